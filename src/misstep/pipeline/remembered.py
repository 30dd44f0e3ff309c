"""What one scan leaves for the next: which bytes it saw, and what the sessions in them came to.

In: a folder. Out: a `Memory`: for each file its pieces with their digests and what the look at them
showed, for each group of records its `Part`, by content. What was kept of sessions stays in the
spools of the folder. The state is written whole or not at all; spools that no state names are
leftovers of a killed scan and go.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from misstep import store
from misstep.errors import SetupError
from misstep.ingest import Share
from misstep.pipeline.unit import Aside, Part, Row, spool_name

NAME = "state.msgpack"
_MANY = 256
"""Spools above which small ones are put together."""
_SMALL = 1_000_000


class Piece(msgspec.Struct, array_like=True):
    """Some bytes of a file, from the start of a line to the end of one."""

    start: int
    end: int
    digest: bytes
    ended: bool
    """Whether the last byte is a line feed."""
    surveyed: bytes = b""
    """What the look at them showed, packed."""


class Seen(msgspec.Struct, array_like=True):
    """A file as it was."""

    size: int
    changed: int
    """Modification time in nanoseconds."""
    stamp: str
    """Device, inode and change time, or what a service told."""
    at: int
    """When it was looked at, in nanoseconds."""
    pieces: list[Piece]


class Kept(msgspec.Struct, array_like=True):
    """What a group of records came to."""

    spool: int
    files: dict[int, str]
    """The files by the numbers they have in `part`."""
    part: bytes
    start: int
    size: int
    """Where in the spool its bytes stand."""


class Parts(msgspec.Struct, array_like=True):
    """A group that was too large, in parts."""

    files: dict[int, str]
    groups: list[list[Share]]


class State(msgspec.Struct):
    """All of it."""

    key: str
    next: int = 0
    files: dict[str, Seen] = {}
    groups: dict[bytes, Kept] = {}
    parted: dict[bytes, Parts] = {}


_STATE = msgspec.msgpack.Decoder(State)
_PART = msgspec.msgpack.Decoder(Part)


class Memory:
    """The state in a folder, held by one scan at a time."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self.state = _read(folder / NAME, key)
        self._tidy()

    def save(self, state: State) -> None:
        """Put `state` in the place of what was known."""
        store.write_pieces(self.folder / NAME, [msgspec.msgpack.encode(state)])
        self.state = state

    def kept(self, which: int) -> Iterator[bytes]:
        """One kind of what was kept of all sessions, by its number in what the scan wanted."""
        for kept in self.state.groups.values():
            part = _PART.decode(kept.part)
            if part.rows:
                with (self.folder / spool_name(kept.spool)).open("rb") as spool:
                    for row in part.rows:
                        spool.seek(row.at + sum(row.sizes[:which]))
                        yield spool.read(row.sizes[which])

    def _tidy(self) -> None:
        """Remove what nothing refers to; rewrite spools of which little is left."""
        live: dict[int, list[bytes]] = {}
        for key, kept in self.state.groups.items():
            live.setdefault(kept.spool, []).append(key)
        names = {spool_name(number): number for number in live}
        sizes: dict[int, int] = {}
        for path in [*self.folder.glob("part-*"), *self.folder.glob("plain-*")]:
            if path.name in names:
                sizes[names[path.name]] = path.stat().st_size
            else:
                path.unlink()
        gone = [key for number, keys in live.items() if number not in sizes for key in keys]
        for key in gone:
            del self.state.groups[key]
        many = len(sizes) > _MANY
        thin = [
            number
            for number, size in sizes.items()
            if (many and size < _SMALL)
            or 2 * sum(self.state.groups[key].size for key in live[number]) < size
        ]
        if thin:
            self._rewrite(thin, [key for number in thin for key in live[number]])

    def _rewrite(self, spools: list[int], keys: list[bytes]) -> None:
        number = self.state.next
        self.state.next += 1
        path = self.folder / spool_name(number)
        with store.telling(path), path.open("wb") as out:
            for key in keys:
                kept = self.state.groups[key]
                with (self.folder / spool_name(kept.spool)).open("rb") as old:
                    old.seek(kept.start)
                    data = old.read(kept.size)
                self.state.groups[key] = _moved(kept, number, out.tell())
                out.write(data)
        self.save(self.state)
        for each in spools:
            (self.folder / spool_name(each)).unlink()


def _entries(part: Part) -> list[Row | Aside]:
    return [*part.rows, *part.asides]


def _moved(kept: Kept, spool: int, start: int) -> Kept:
    part = _PART.decode(kept.part)
    for entry in _entries(part):
        entry.at += start - kept.start
    data = msgspec.msgpack.encode(part)
    return Kept(spool=spool, files=kept.files, part=data, start=start, size=kept.size)


def kept_of(part: Part, spool: int, names: list[str]) -> Kept:
    """What a group came to, by the names of its files."""
    entries = _entries(part)
    files = {e.place[0]: names[e.place[0]] for e in entries if e.place[0] < len(names)}
    ends = [row.at + sum(row.sizes) for row in part.rows] + [a.at + a.size for a in part.asides]
    start = min((entry.at for entry in entries), default=0)
    size = max(ends, default=0) - start
    return Kept(spool, files, msgspec.msgpack.encode(part), start, size)


def part_of(kept: Kept, numbers: dict[str, int]) -> Part | None:
    """The same with the numbers that its files have now; None where one is gone."""
    if any(name not in numbers for name in kept.files.values()):
        return None
    now = {was: numbers[name] for was, name in kept.files.items()}
    part = _PART.decode(kept.part)
    for entry in _entries(part):
        entry.place = (now.get(entry.place[0], entry.place[0]), *entry.place[1:])
    return part


def _read(path: Path, key: str) -> State:
    """What is known; nothing where it is of another version or other settings."""
    try:
        state = _STATE.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return State(key)
    return state if state.key == key else State(key)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep the folder to this process.

    Raises:
        SetupError: another process holds it.
        StageError: it cannot be written.
    """
    with store.telling(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        import fcntl
    except ImportError:  # no such locks here
        fcntl = None  # type: ignore[assignment]
    try:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise SetupError(
                    f"{folder}: another misstep keeps its state there; wait for it, or give "
                    f"another folder with --state"
                ) from None
        yield
    finally:
        os.close(lock)
