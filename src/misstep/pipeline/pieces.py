"""Files as pieces of whole lines with their digests: what of a file is as it was.

In: a file, and what is known of it. Out: a `Seen`: pieces that still hold carry what the look at
them showed, others do not. Digests are taken before anything is read, so that what changes in
between is seen the next time.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Container
from pathlib import Path
from typing import IO

import msgspec

from misstep.ingest import Found, Surveyed, shown
from misstep.ingest.pages import IMAGES
from misstep.pipeline import gather
from misstep.pipeline.remembered import Piece, Seen

_FRESH = 2_000_000_000
"""Nanoseconds within which a file may change again without a trace in its times."""
_CROWD = 32
"""Small pieces of one file after which they are looked through again as one."""
_BLOCK = 1 << 20
_GOLD = (".json", ".jsonl")
_PAGES = (*IMAGES, ".pdf")
_SURVEYED = msgspec.msgpack.Decoder(Surveyed)


def name_of(file: Found) -> str:
    """What a file is known by, wherever misstep is started; of what a URL hides, a hash."""
    place = _named(file.remote.url) if file.remote is not None else os.path.abspath(file.path)
    return _utf8(place if file.stored is None else f"{place}\x00{file.stored}")


def _utf8(name: str) -> str:
    """A name that can be written; of one that cannot, its bytes, so that no two become one."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return f"\x00{name.encode('utf-8', 'surrogatepass').decode('latin-1')}"
    return name


def _named(url: str) -> str:
    plain = shown(url)
    hidden = url[len(plain) :].encode("utf-8", "surrogatepass")
    return f"{plain}?{hashlib.blake2b(hidden, digest_size=16).hexdigest()}" if hidden else plain


def seen_now(file: Found, was: Seen | None) -> Seen:
    """A file as it is.

    Raises:
        OSError: it cannot be read.
        Damaged: it is a member that its archive does not give.
    """
    seen = _status(file)
    if was is not None:
        same = (was.size, was.changed, was.stamp) == (seen.size, seen.changed, seen.stamp)
        if same and was.at - was.changed > _FRESH:
            seen.pieces = was.pieces
            return seen
    with file.source.open() as raw:
        if was is not None:
            seen.pieces = _still(file, was, seen.size, raw)
        _add_pieces(file, seen, raw)
    return seen


def one_kind(seen: Seen) -> bool:
    """Whether all looks at the pieces of a file took it for the same."""
    told = set()
    for piece in seen.pieces:
        if piece.surveyed:
            one = _SURVEYED.decode(piece.surveyed)
            if one.cut or one.strands or not piece.start:
                told.add((one.kind, one.format, one.wrapper, one.plain, one.cut))
    return len(told) < 2


def _status(file: Found) -> Seen:
    at = time.time_ns()
    if file.remote is not None:
        return Seen(file.size, 0, file.remote.stamp, at, [])
    status = file.path.stat()
    stamp = f"{status.st_dev} {status.st_ino} {status.st_ctime_ns}"
    changed = status.st_mtime_ns
    beside = _journal(file)
    if beside is not None:
        status = beside.stat()
        stamp += f" {status.st_size} {status.st_ino} {status.st_ctime_ns}"
        changed = max(changed, status.st_mtime_ns)
    stamp += _pages(file)
    return Seen(file.size, changed, stamp, at, [])


def _journal(file: Found) -> Path | None:
    """The write-ahead log beside a database, which holds its newest rows."""
    path = file.path.with_name(file.path.name + "-wal")
    here = file.member is None and file.remote is None
    return path if here and path.exists() else None


def _pages(file: Found) -> str:
    """The image or the PDF of the same name beside a gold file: when it came or was changed."""
    if file.here is None or file.path.suffix.lower() not in _GOLD:
        return ""
    ends = (spelled for end in _PAGES for spelled in (end, end.upper()))
    return "".join(_told(file.path.with_suffix(end), end) for end in ends)


def pages_below(folder: Path, out: Container[Path]) -> bytes:
    """All images and PDFs that the rows of a file in a folder may name: a key of their states.

    Args:
        out: what the user left out.
    """
    digest = hashlib.blake2b(digest_size=16)
    for at, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(name for name in files if name.lower().endswith(_PAGES)):
            path = Path(at, name)
            told = _told(path, path.relative_to(folder).as_posix())
            digest.update(f"{told}{' out' * (path in out)}".encode())
    return digest.digest()


def _told(path: Path, name: str) -> str:
    """Name, size, time and inode of a file; empty where there is none."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f" {name!a} {status.st_size} {status.st_mtime_ns} {status.st_ino}"


def _still(file: Found, was: Seen, size: int, raw: IO[bytes]) -> list[Piece]:
    """The pieces that hold as they were. What the file is, is asked again at the last of them."""
    pieces: list[Piece] = []
    for piece in was.pieces:
        if piece.end > size or (piece.end < size and not piece.ended):
            break
        if _digest(file, raw, piece.start, piece.end)[0] != piece.digest:
            break
        pieces.append(piece)
    small = [at for at, p in enumerate(pieces) if p.end - p.start < gather.STRETCH // 2]
    if len(small) > _CROWD:
        del pieces[small[0] :]
    first = _SURVEYED.decode(pieces[0].surveyed) if pieces and pieces[0].surveyed else None
    if first is None or not first.cut or first.plain:
        for piece in pieces if len(pieces) < len(was.pieces) or size != was.size else ():
            piece.surveyed = b""
    elif pieces:
        pieces[-1].surveyed = b""
    return pieces


def _add_pieces(file: Found, seen: Seen, raw: IO[bytes]) -> None:
    """Pieces behind those that hold."""
    at = seen.pieces[-1].end if seen.pieces else 0
    while at < seen.size or not seen.pieces:
        end = _line_start(raw, at + gather.STRETCH, seen.size)
        digest, ended = _digest(file, raw, at, end)
        seen.pieces.append(Piece(at, end, digest, ended))
        at = end


def _line_start(raw: IO[bytes], at: int, size: int) -> int:
    """Where the first line begins that begins at `at` or behind it; at most `size`."""
    at -= 1
    raw.seek(min(at, size))
    while at < size and (block := raw.read(_BLOCK)):
        found = block.find(b"\n")
        if found >= 0:
            return min(at + found + 1, size)
        at += len(block)
    return size


def _digest(file: Found, raw: IO[bytes], start: int, end: int) -> tuple[bytes, bool]:
    """Of some bytes, and whether the last is a line feed."""
    digest = hashlib.blake2b(digest_size=16)
    last = b""
    journal = _journal(file) if start == 0 else None
    digest.update(_pages(file).encode() if start == 0 else b"")
    raw.seek(start)
    while start < end and (block := raw.read(min(_BLOCK, end - start))):
        digest.update(block)
        start += len(block)
        last = block[-1:]
    if journal is not None:
        with journal.open("rb") as beside:
            while block := beside.read(_BLOCK):
                digest.update(block)
    return digest.digest(), last == b"\n"
