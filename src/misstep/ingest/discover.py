"""Walking folders: which files there are, in a fixed order, and which are no logs at all.

In: the paths, patterns and URLs that the user gave. Out: `Found` values, sorted by path within each
folder; those that are not to be read carry a `Fault`. Links that lead out of the folder are not
followed, pipes and devices are not opened, a file that two paths reach is read once. `.git` is not
entered.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from misstep import store
from misstep.errors import InputError
from misstep.ingest.containers.kinds import ARROW, ARROW_STREAM, BESIDE, PARQUET, SQLITE
from misstep.ingest.decode import Fault
from misstep.ingest.exclude import IGNORE_FILE, excluded, patterns_of
from misstep.ingest.lines import fault_of, head
from misstep.ingest.pages.beside import is_picture, standing
from misstep.ingest.remote import Remote, printed, spelled, url_of, walk, walked
from misstep.ingest.source import DAMAGED, Damaged, Source, is_archive, members

_TABLES = (SQLITE, PARQUET, ARROW, ARROW_STREAM)
_MAGIC = re.compile(r"[*?\[]")
_TEXT_CONTROLS = b"\t\n\r\f\b\x1b"
_CONTROLS = bytes(c for c in range(32) if c not in _TEXT_CONTROLS)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One file."""

    path: Path
    remote: Remote | None = None
    """Where it is, unless `path` is a file here."""
    name: str
    """How origins name it: as the user gave it, or its path below the folder that the user gave;
    `spelled`, so that it can be written anywhere."""
    member: str | None = None
    """Name inside the archive that `path` is, `spelled`."""
    stored: str | None = None
    """That name as the archive has it."""
    size: int
    """Bytes on disk."""
    fault: Fault | None = None
    left_out: bool = False
    """Excluded by the user; counted, not read."""
    beside: Literal["", "journal", "page"] = ""
    """A database's journal, or the image of a page with gold: read with its database or gold."""

    @property
    def source(self) -> Source:
        """Where its bytes are."""
        return Source(self.path, self.stored, self.remote)

    @property
    def here(self) -> Path | None:
        """The file itself; None for a member of an archive and behind a URL."""
        return self.path if self.member is None and self.remote is None else None

    @property
    def label(self) -> str:
        """Its name; that of a member stands behind the archive's and a `!`."""
        return self.name if self.member is None else f"{self.name}!{self.member}"


class _Entry(NamedTuple):
    """One file of those that a given path stands for."""

    path: Path
    below: str
    """Its path below the folder that the user gave, or that a pattern begins in; empty where the
    path is the file."""
    remote: Remote | None = None


def discover(
    paths: Sequence[Path], exclude: Sequence[str] = (), *, web: bool = False
) -> Iterator[Found]:
    """The files behind the given paths; a folder's `.misstepignore` adds to `exclude`.

    A path may be a file, a folder, a pattern with `*`, `?` or `[…]`, or a URL of these.

    Args:
        web: whether http and https URLs are read.

    Raises:
        InputError: a path does not exist, or a URL may not or cannot be read.
        ExtraMissing: the package that a URL needs is not installed.
    """
    for path in paths:
        if not path.exists() and url_of(path) is None and not _matched(path):
            raise _absent(path)
    seen: set[tuple[int | str, int]] = set()
    for path in paths:
        entries = list(_entries(path, web))
        root = f"{path.name}/" if len(paths) > 1 and not _MAGIC.search(path.name) else ""
        ignored = [*exclude, *_own_patterns(entries)] if any(e.below for e in entries) else []
        for entry in entries:
            name = spelled(root + entry.below) if entry.below else printed(path)
            if ignored and excluded(entry.below or name, ignored):
                yield Found(path=entry.path, name=name, size=0, left_out=True)
                continue
            found, key = _look(entry, name, path)
            if key not in seen:
                seen.add(key)
                yield from _unfolded(found)


def digest_of(path: Path, *, web: bool = False) -> str:
    """A key of what a path stands for: of the bytes of files here, of the listing of remote ones.

    Raises:
        InputError: nothing is there, or a URL may not or cannot be read.
        ExtraMissing: the package that a URL needs is not installed.
    """
    url = url_of(path)
    if url is not None:
        return store.key_of([[r.url, r.size, r.stamp] for r, _ in walk(url, web=web)])
    matched = [path] if path.exists() else _matched(path)
    if not matched:
        raise _absent(path)
    return store.key_of([[spelled(str(each)), store.file_digest(each)] for each in matched])


def _absent(path: Path) -> InputError:
    return InputError(f"{path}: no such file or folder; give a log file or a folder of logs")


def _entries(path: Path, web: bool) -> Iterator[_Entry]:
    url = url_of(path)
    if url is not None:
        yield from (_Entry(Path(r.url), below, r) for r, below in walk(url, web=web))
    elif path.is_dir():
        yield from (_Entry(file, file.relative_to(path).as_posix()) for file in _walk(path))
    elif path.exists():
        yield _Entry(path, "")
    else:
        fixed = _fixed(path)
        files = {f for m in _matched(path) for f in (_walk(m) if m.is_dir() else [m])}
        entries = [_Entry(file, file.relative_to(fixed).as_posix()) for file in files]
        yield from sorted(entries, key=lambda entry: walked(entry.below))


def _fixed(path: Path) -> Path:
    """The folder that a pattern begins in."""
    at = next((n for n, part in enumerate(path.parts) if _MAGIC.search(part)), 0)
    return Path(*path.parts[:at])


def _matched(path: Path) -> list[Path]:
    """What a pattern stands for."""
    if not _MAGIC.search(path.as_posix()):
        return []
    fixed = _fixed(path)
    return sorted(fixed.glob(path.relative_to(fixed).as_posix()))


def _own_patterns(entries: Sequence[_Entry]) -> tuple[str, ...]:
    """Those of the `.misstepignore` at the top."""
    for entry in entries:
        if entry.below == IGNORE_FILE:
            return patterns_of(Source(entry.path, None, entry.remote))
    return ()


def _unfolded(found: Found) -> Iterator[Found]:
    """The members of an archive, each as a file; any other file as it is."""
    if found.fault is not None:
        yield found
        return
    try:
        folded = is_archive(found.source)
    except OSError as error:  # gone since it was listed, as where logs rotate
        yield replace(found, fault=fault_of(error))
        return
    if not folded:
        yield found
        return
    none = True
    try:
        for member, size in members(found.source):
            none = False
            one = replace(found, member=spelled(member), stored=member, size=size)
            fault = _member_fault(one)
            yield one if fault is None else replace(one, fault=fault)
    except (Damaged, OSError) as error:
        said = "not a readable archive" if none else "breaks off or is damaged behind its members"
        yield replace(found, fault=Fault("broken-archive", f"{said}: {error}"))
        return
    if none:
        yield replace(found, fault=Fault("unknown-format", "an empty archive"))


def _member_fault(found: Found) -> Fault | None:
    try:
        start = head(found.source)
    except (OSError, *DAMAGED) as error:
        return fault_of(error)
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


def _look(entry: _Entry, name: str, root: Path) -> tuple[Found, tuple[int | str, int]]:
    """What one directory entry is, and the identity of the file behind it."""
    file = entry.path
    if entry.remote is not None:
        found = Found(path=file, remote=entry.remote, name=name, size=entry.remote.size)
        return replace(found, fault=_content_fault(found.source)), (entry.remote.url, 0)
    if file != root and file.is_symlink():
        link = file.lstat()
        said = "a symbolic link; its target is not followed, give its path to read it"
        return _fault(file, name, "symlink", said), (link.st_dev, link.st_ino)
    try:
        status = file.stat()
    except OSError as error:
        key = (-1, hash(file))
        return _fault(file, name, "unreadable", f"cannot be read ({error.strerror})"), key
    key = (status.st_dev, status.st_ino)
    if stat.S_ISDIR(status.st_mode):
        return _fault(file, name, "unreadable", "a folder that may not be listed"), key
    if not stat.S_ISREG(status.st_mode):
        return _fault(file, name, "not-a-file", "neither a file nor a folder; not opened"), key
    fault = _content_fault(Source(file))
    beside: Literal["", "journal", "page"] = _beside(file)
    if is_picture(file):
        untold = standing(file, root)
        fault, beside = untold or fault, "page" if untold is None else ""
    return Found(path=file, name=name, size=status.st_size, fault=fault, beside=beside), key


def _beside(file: Path) -> Literal["", "journal"]:
    """`journal` for the journal of an SQLite file beside it, else nothing."""
    for end in BESIDE:
        if file.name.endswith(end):
            return "journal" if file.with_name(file.name.removesuffix(end)).exists() else ""
    return ""


def _fault(file: Path, name: str, reason: str, said: str) -> Found:
    return Found(path=file, name=name, size=0, fault=Fault(reason, said))


def _content_fault(source: Source) -> Fault | None:
    try:
        start = head(source)
        return None if is_archive(source) else _fault_of(start)
    except OSError as error:
        return fault_of(error)


def _fault_of(start: bytes) -> Fault | None:
    if not start.startswith(_TABLES) and is_binary(start):
        return Fault("binary", "binary data; expected text of JSON or JSON lines")
    return None


def is_binary(start: bytes) -> bool:
    """A NUL byte, or more than a tenth of control characters that text does not use."""
    strange = len(start) - len(start.translate(None, _CONTROLS))
    return b"\x00" in start or strange * 10 > len(start)
