"""CPU seconds and memory of a process and of all that it starts, told apart by what they do.

In: a command. Out: its seconds, CPU seconds (of every process below it, its own account of the
children that ended included), the largest resident size of any one process, that of the driver (the
process that was started), of a worker, of one of Ray's services, the largest sum of all (what they
share is counted with each), and what it printed. Looks are close together at first and rarer later,
so that a long run is not slowed by them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

_PAGE, _TICK = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
_OFTEN, _SELDOM = 0.05, 0.5
"""Seconds between two looks: at first, and when a run takes minutes."""
_SERVICES = ("gcs_server", "raylet", "ray/dashboard", "ray/_private", "ray/autoscaler")
"""Parts of the command lines of what Ray runs beside its workers."""

Known = Mapping[int, tuple[int, float, int]]


class Meter:
    """CPU seconds and memory of a process and of all below it."""

    def __init__(self, root: int) -> None:
        self._kinds: dict[int, str] = {root: "driver"}
        self._cpu: dict[int, float] = {}
        self.peaks: dict[str, int] = {}
        """Bytes of the largest process of each kind, of any (`one`) and of all at once (`all`)."""

    @property
    def cpu(self) -> float:
        """Seconds, user and system, as last seen."""
        return sum(self._cpu.values())

    def look(self) -> None:
        """Take in what is running now; what began and ended between two looks is missed."""
        known = dict(_processes())
        held = 0
        for pid in self._below(known):
            _, cpu, size = known[pid]
            self._cpu[pid] = max(cpu, self._cpu.get(pid, 0.0))
            held += size
            self._peak(self._kind(pid), size)
            self._peak("one", size)
        self._peak("all", held)

    def _peak(self, kind: str, size: int) -> None:
        self.peaks[kind] = max(size, self.peaks.get(kind, 0))

    def _below(self, known: Known) -> set[int]:
        # one that was seen stays ours: Ray's services are handed to process 1 when the driver ends
        own, grown = self._kinds.keys() & known.keys(), True
        while grown:
            more = {pid for pid, (up, _, _) in known.items() if up in own} - own
            own |= more
            grown = bool(more)
        return own

    def _kind(self, pid: int) -> str:
        found = self._kinds.get(pid, "service")
        if found == "service":  # a Ray worker takes its name when it has started
            found = self._kinds[pid] = _kind_of(pid)
        return found


def _kind_of(pid: int) -> str:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "worker"
    words = line.replace(b"\0", b" ").decode("utf-8", "replace")
    ours = words.startswith("ray::") or not any(part in words for part in _SERVICES)
    return "worker" if ours else "service"


def _processes() -> Iterator[tuple[int, tuple[int, float, int]]]:
    """Process id: (parent, CPU seconds, bytes in memory) of all that run."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            ticks = int(stat[11]) + int(stat[12])
            yield int(entry), (int(stat[1]), ticks / _TICK, int(stat[21]) * _PAGE)


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    listen: Callable[[Meter, bytes], None] | None = None,
) -> dict[str, Any]:
    """One process, watched until it ends; `listen` is told at each look what was said on stderr.

    Raises:
        SystemExit: it failed; what it said is told.
    """
    with tempfile.TemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
        with Path(err.name).open("rb") as said:
            start = time.perf_counter()
            own = {**os.environ, **(env or {})}
            process = subprocess.Popen(command, stdout=out, stderr=err, env=own)
            meter = Meter(process.pid)
            try:
                used = _watched(process, meter, lambda: listen and listen(meter, said.read()))
            finally:
                if process.returncode is None:  # we are being ended, and it with us
                    process.terminate()
            took = time.perf_counter() - start
        told = _all(out)
        if process.returncode:
            tail = _all(err).decode("utf-8", "replace")[-2000:]
            words = " ".join(command[:9])
            raise SystemExit(f"{words} ended with {process.returncode}:\n{tail}")
    return {
        "seconds": round(took, 2),
        "cpu_seconds": round(max(meter.cpu, used.ru_utime + used.ru_stime), 2),
        "peak_mb": _mb(max(meter.peaks.get("one", 0), used.ru_maxrss * 1024)),
        **{f"{kind}_mb": _mb(meter.peaks.get(kind)) for kind in ("driver", "worker", "service")},
        "all_mb": _mb(meter.peaks.get("all")),
        "told": _told(told),
    }


def end_with_us() -> None:
    """Let SIGTERM end what is being watched too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def _watched(process: subprocess.Popen[bytes], meter: Meter, listen: Callable[[], object]) -> Any:
    """What the process and the children that it waited for used."""
    start, every = time.perf_counter(), _OFTEN
    while True:
        meter.look()
        listen()
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return used
        time.sleep(every)
        every = min(max(_OFTEN, (time.perf_counter() - start) / 200), _SELDOM)


def _all(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _told(printed: bytes) -> dict[str, Any]:
    """The JSON object in what was printed; empty where there is none."""
    text = printed.decode("utf-8", "replace").strip()
    return dict(json.loads(text)) if text.startswith("{") else {}


def _mb(size: int | None) -> float | None:
    return None if size is None else round(size / 1e6, 1)
