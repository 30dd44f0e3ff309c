"""Walking folders: which files there are, in a fixed order, and which are no logs at all.

In: the paths that the user gave. Out: `Found` values, sorted by path within each folder; those
that are not to be read carry a `Fault`. Links that lead out of the folder are not followed,
pipes and devices are not opened, a file that two paths reach is read once. `.git` is not entered.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from misstep.errors import InputError
from misstep.ingest.containers.kinds import BESIDE, PARQUET, SQLITE
from misstep.ingest.decode import Fault
from misstep.ingest.exclude import excluded, patterns_of
from misstep.ingest.lines import head
from misstep.ingest.source import Damaged, Source, is_archive, members

_TEXT_CONTROLS = b"\t\n\r\f\b\x1b"
_CONTROLS = bytes(c for c in range(32) if c not in _TEXT_CONTROLS)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One file."""

    path: Path
    name: str
    """How origins name it: as the user gave it, or its path below the folder that the user gave."""
    member: str | None = None
    """Name inside the archive that `path` is."""
    size: int
    """Bytes on disk."""
    fault: Fault | None = None
    left_out: bool = False
    """Excluded by the user; counted, not read."""
    beside: bool = False
    """A database's journal; read with its database."""

    @property
    def source(self) -> Source:
        """Where its bytes are."""
        return Source(self.path, self.member)

    @property
    def label(self) -> str:
        """Its name; that of a member stands behind the archive's and a `!`."""
        return self.name if self.member is None else f"{self.name}!{self.member}"


def discover(paths: Sequence[Path], exclude: Sequence[str] = ()) -> Iterator[Found]:
    """The files behind the given paths; a folder's `.misstepignore` adds to `exclude`.

    Raises:
        InputError: a path does not exist.
    """
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder; give a log file or a folder of logs")
    seen: set[tuple[int, int]] = set()
    for path in paths:
        root = f"{path.name}/" if len(paths) > 1 else ""
        named = (
            ((file, root + file.relative_to(path).as_posix()) for file in _walk(path))
            if path.is_dir()
            else [(path, str(path))]
        )
        patterns = (*exclude, *patterns_of(path)) if path.is_dir() else ()
        for file, name in named:
            below = file.relative_to(path).as_posix() if patterns else name
            if patterns and excluded(below, patterns):
                yield Found(path=file, name=name, size=0, left_out=True)
                continue
            found, key = _look(file, name, path)
            if key not in seen:
                seen.add(key)
                yield from _unfolded(found)


def _unfolded(found: Found) -> Iterator[Found]:
    """The members of an archive, each as a file; any other file as it is."""
    if found.fault is not None or not is_archive(found.source):
        yield found
        return
    none = True
    try:
        for member, size in members(found.path):
            none = False
            one = replace(found, member=member, size=size)
            fault = _member_fault(one)
            yield one if fault is None else replace(one, fault=fault)
    except (Damaged, OSError) as error:
        yield replace(found, fault=Fault("broken-archive", f"not a readable archive: {error}"))
        return
    if none:
        yield replace(found, fault=Fault("unknown-format", "an empty archive"))


def _member_fault(found: Found) -> Fault | None:
    try:
        start = head(found.source)
    except (Damaged, OSError) as error:
        return Fault("broken-archive", f"a member that cannot be read: {error}")
    return _fault_of(start)


def _walk(folder: Path) -> Iterator[Path]:
    closed: list[Path] = []

    def refused(error: OSError) -> None:
        closed.append(Path(error.filename))

    for at, folders, files in os.walk(folder, onerror=refused, followlinks=False):
        folders[:] = sorted(name for name in folders if name != ".git")
        links = [name for name in folders if (Path(at) / name).is_symlink()]
        for name in sorted(files + links):
            yield Path(at) / name
    yield from closed


def _look(file: Path, name: str, root: Path) -> tuple[Found, tuple[int, int]]:
    """What one directory entry is, and the identity of the file behind it."""
    if file != root and file.is_symlink():
        entry = file.lstat()
        said = "a symbolic link; its target is not followed, give its path to read it"
        return _fault(file, name, "symlink", said), (entry.st_dev, entry.st_ino)
    try:
        entry = file.stat()
    except OSError as error:
        key = (-1, hash(file))
        return _fault(file, name, "unreadable", f"cannot be read ({error.strerror})"), key
    key = (entry.st_dev, entry.st_ino)
    if stat.S_ISDIR(entry.st_mode):
        return _fault(file, name, "unreadable", "a folder that may not be listed"), key
    if not stat.S_ISREG(entry.st_mode):
        return _fault(file, name, "not-a-file", "neither a file nor a folder; not opened"), key
    fault = _content_fault(file)
    beside = _beside(file)
    return Found(path=file, name=name, size=entry.st_size, fault=fault, beside=beside), key


def _beside(file: Path) -> bool:
    """Whether a file is the journal of an SQLite file beside it."""
    for end in BESIDE:
        if file.name.endswith(end):
            return file.with_name(file.name.removesuffix(end)).exists()
    return False


def _fault(file: Path, name: str, reason: str, said: str) -> Found:
    return Found(path=file, name=name, size=0, fault=Fault(reason, said))


def _content_fault(file: Path) -> Fault | None:
    try:
        start = head(Source(file))
    except OSError as error:
        return Fault("unreadable", f"cannot be read ({error.strerror})")
    return None if is_archive(Source(file)) else _fault_of(start)


def _fault_of(start: bytes) -> Fault | None:
    if not start.startswith((SQLITE, PARQUET)) and is_binary(start):
        return Fault("binary", "binary data; expected text of JSON or JSON lines")
    return None


def is_binary(start: bytes) -> bool:
    """A NUL byte, or more than a tenth of control characters that text does not use."""
    strange = len(start) - len(start.translate(None, _CONTROLS))
    return b"\x00" in start or strange * 10 > len(start)
