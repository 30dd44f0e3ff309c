"""What one scan leaves for the next: which bytes it saw, and what the sessions in them came to.

In: a folder. Out: a `Memory`: for each file its pieces with their digests and what the look at them
showed, for each group of records its `Part`, by content. What was kept of sessions stays in the
spools of the folder. The state is written whole or not at all; spools that no state names are
leftovers of a killed scan and go. Nothing is touched in a folder that is not a state's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from misstep import store
from misstep.errors import InUse, SetupError
from misstep.ingest import Share
from misstep.pipeline.unit import Aside, Part, Row, spool_name

NAME = "state.msgpack"
_LOCK = "lock"
_OURS = b"misstep state\n"
"""What the lock of a folder of ours says."""
_SPOOL = re.compile(r"(part|plain)-\d{6,}")
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
        self._safe = {kept.spool for kept in self.state.groups.values()}
        """Spools that are on the disk."""
        self._tidy()

    def save(self, state: State) -> None:
        """Put `state` in the place of what was known, once all that it names is on the disk."""
        spools = {kept.spool for kept in state.groups.values()}
        for number in spools - self._safe:
            _to_disk(self.folder / spool_name(number))
        self._safe = spools
        with store.replacing(self.folder / NAME) as path:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(handle, "wb") as out:
                out.write(msgspec.msgpack.encode(state))
                out.flush()
                os.fsync(out.fileno())
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
        for path in spools_in(self.folder):
            if path.name in names:
                sizes[names[path.name]] = path.stat().st_size
            else:
                path.unlink()
        for number, keys in live.items():
            for key in [key for key in keys if self._is_cut(key, sizes.get(number))]:
                del self.state.groups[key]
                keys.remove(key)
        many = len(sizes) > _MANY
        thin = [
            number
            for number, size in sizes.items()
            if (many and size < _SMALL)
            or 2 * sum(self.state.groups[key].size for key in live[number]) < size
        ]
        if thin:
            self._rewrite(thin, [key for number in thin for key in live[number]])

    def _is_cut(self, key: bytes, size: int | None) -> bool:
        """Whether what was kept of a group is not there, or not whole."""
        kept = self.state.groups[key]
        return size is None or kept.start + kept.size > size

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


def spools_in(folder: Path) -> list[Path]:
    """What scans have spooled there, by the names alone."""
    return [path for path in folder.iterdir() if _SPOOL.fullmatch(path.name) and path.is_file()]


def _to_disk(path: Path) -> None:
    with store.telling(path), path.open("rb+") as spool:
        os.fsync(spool.fileno())


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
    state = _state(path)
    return State(key) if state is None or state.key != key else state


def _state(path: Path) -> State | None:
    try:
        return _STATE.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return None


def _own(folder: Path) -> None:
    """See that the folder is a state's own, and that the next scan sees it too.

    Raises:
        SetupError: it holds something else.
    """
    lock = folder / _LOCK
    told = lock.read_bytes() if lock.is_file() else b""
    if told == _OURS:
        return
    names = {path.name for path in folder.iterdir()} - ({_LOCK} if not told else set())
    if names and _state(folder / NAME) is None:
        raise SetupError(
            f"{folder}: holds {min(names)} and no state of misstep; give an empty or a new folder "
            f"with --state"
        )
    with store.telling(lock):
        lock.write_bytes(_OURS)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep the folder to this process.

    Raises:
        InUse: another process holds it.
        SetupError: it holds something else than a state.
        StageError: it cannot be written.
    """
    with store.telling(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = not (folder / _LOCK).exists()
    lock = store.take(folder / _LOCK)
    if lock is None:
        raise InUse(
            f"{folder}: another misstep keeps its state there; wait for it, or give another "
            f"folder with --state"
        )
    try:
        try:
            _own(folder)
        except SetupError:
            if fresh:
                (folder / _LOCK).unlink(missing_ok=True)
            raise
        yield
    finally:
        os.close(lock)
