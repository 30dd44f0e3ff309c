"""Work for worker processes; in a module of its own, since they find it by its name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from misstep.errors import InputError

PLUGIN = """
import os
from misstep.ingest.format import Format

class Reader:
    def __init__(self, tally):
        self.tally = tally
    def read(self, record):
        if record.value.get("deadly"):
            os._exit(9)
        if record.value.get("hungry"):
            bytearray(1 << 46)
        self.tally.ignore("harmless")
    def close_file(self):
        pass
    def finish(self):
        return ()

FORMAT = Format(
    name="brittle", about="dies", unit="line", reader=Reader, keeps_tools=False,
    sniff=lambda peek: float(any("brittle" in v for v in peek.values if isinstance(v, dict))),
)
"""


def prepare(given):
    return given


def square(given, piece):
    return given + piece * piece


def dies_once(given, piece):
    """Ends its process the first time that a piece is met."""
    seen = Path(given) / str(piece)
    if piece == 3 and not seen.exists():
        seen.touch()
        os._exit(7)
    return piece


def dies(given, piece):
    if piece == 3:
        os._exit(7)
    return piece


def raises(given, piece):
    if piece == 3:
        raise ValueError("three")
    return piece


def name(given, piece):
    return __name__, os.getpid()


def sleeps(given, piece):
    Path(given, str(os.getpid())).touch()
    time.sleep(60)


def faults(given, piece):
    """Ends its process as a parser of C that reads where it may not."""
    if piece == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    return piece


def hoards(given, piece):
    """Asks for more memory than there is."""
    if piece == 3:
        return len(bytearray(1 << 46))
    return piece


def slow(given, piece):
    time.sleep(0.05)
    return piece


def refuses(given, piece):
    raise InputError("give another")


def brittle(folder):
    """A package with a log format whose reader dies of some records; gives its place."""
    (folder / "brittle-1.dist-info").mkdir(parents=True)
    (folder / "brittle_format.py").write_text(PLUGIN)
    (folder / "brittle-1.dist-info/METADATA").write_text("Name: brittle\nVersion: 1\n")
    entry = "[misstep.formats]\nbrittle = brittle_format:FORMAT\n"
    (folder / "brittle-1.dist-info/entry_points.txt").write_text(entry)
    return str(folder)


def puts():
    """An object of the cluster that is gone with the process that this runs in, and its id."""
    import ray

    return ray.put([b"x" * 1_000_000]), os.getpid()


def naps(given, piece):
    time.sleep(0.1)
    return os.getpid()


def unready(given):
    raise InputError("give another")


def perish(given):
    os._exit(7)


def mines(given, kit, piece):
    """Mines, but for what `given` says: a folder, what is done of mining, and a session's id.

    Ends its process when it does that and meets that session; the first time of all where the id is
    empty.
    """
    from misstep.pipeline import spreadwork

    folder, what, name = given
    seen = Path(folder) / "seen"
    met = what.encode() in piece[:8] and name.encode() in piece
    if met and (name or not seen.exists()):
        seen.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return spreadwork.work(kit, piece)
