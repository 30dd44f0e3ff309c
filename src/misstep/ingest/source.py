"""Where bytes are read from: a file, a remote one, or a member of an archive, opened the same way.

In: a path or a `Remote`, and a member's name. Out: a binary stream of what is stored there. Members
are only ever read through a stream; nothing is unpacked to disk, so no member's name can name a
place outside.
"""

from __future__ import annotations

import copy
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import msgspec
import zstandard

from misstep.ingest.remote import Remote

ZSTD_METHOD = 93
_MAX_MEMBERS = 200_000
_MAX_MEMBER = 1 << 30
"""Decompressed bytes of one zstd member, which is unfolded in memory."""


class Damaged(Exception):
    """An archive that cannot be listed or read; caught where the file is set aside."""


DAMAGED = (
    Damaged,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    zstandard.ZstdError,
    EOFError,
)
"""What packed bytes that cannot be unpacked raise, at the opening or at any read."""
_CLOSED = (*DAMAGED, RuntimeError, KeyError, UnicodeDecodeError)
"""What an archive raises that cannot be opened or listed: damaged, locked, packed in an unknown way
or with names in no encoding."""


class Source(msgspec.Struct, frozen=True):
    """A file, or a member of an archive."""

    path: Path
    member: str | None = None
    remote: Remote | None = None
    """Where the bytes are, unless `path` is a file here."""

    @property
    def size(self) -> int:
        """Bytes of the file, that is of the whole archive of a member.

        Raises:
            OSError: the file is not there.
        """
        return self.path.stat().st_size if self.remote is None else self.remote.size

    def file(self) -> IO[bytes]:
        """The bytes of the file, that is of the whole archive of a member.

        Raises:
            OSError: the file cannot be opened.
        """
        return self.path.open("rb") if self.remote is None else self.remote.open()

    def raw(self) -> io.RawIOBase:
        """The same, without a buffer.

        Raises:
            OSError: the file cannot be opened.
        """
        return io.FileIO(self.path) if self.remote is None else self.remote.raw()

    def open(self, *, checked: bool = True) -> IO[bytes]:
        """The stored bytes.

        Args:
            checked: whether a zip member that breaks its checksum ends with an error, which takes
                the last bytes before it along.

        Raises:
            OSError: the file cannot be opened.
            Damaged: the archive is broken, or a member is locked or packed in an unknown way.
        """
        if self.member is None:
            return self.file()
        try:
            if is_zip(self):
                return _zip_member(self, self.member, checked=checked)
            return _tar_member(self, self.member)
        except _CLOSED as error:
            raise Damaged(str(error)) from None


def is_zip(source: Source) -> bool:
    """Whether the file begins as a zip archive does."""
    with source.file() as raw:
        return raw.read(4) == b"PK\x03\x04"


def is_archive(source: Source) -> bool:
    """Whether a file is a zip or tar archive, a compressed tar included; a member never is one.

    Raises:
        OSError: the file cannot be opened.
    """
    if source.member is not None:
        return False
    if is_zip(source):
        return True
    name = source.path.name.lower()
    if not name.endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".txz", ".tbz2")):
        return False
    with source.file() as raw:
        try:
            return tarfile.is_tarfile(raw)
        except DAMAGED:
            return True


def members(source: Source) -> Iterator[tuple[str, int]]:
    """Name and decompressed size of each file in an archive, in stored order.

    Raises:
        OSError: the file cannot be opened.
        Damaged: it is no readable archive, or breaks off; what came before was listed.
    """
    try:
        listed = _zip_listing(source) if is_zip(source) else _tar_listing(source)
        for number, entry in enumerate(listed):
            if number >= _MAX_MEMBERS:
                raise Damaged(f"more than {_MAX_MEMBERS} members")
            yield entry
    except _CLOSED as error:
        raise Damaged(str(error)) from None


def _zip_listing(source: Source) -> Iterator[tuple[str, int]]:
    with source.file() as raw, zipfile.ZipFile(raw) as archive:
        for info in archive.infolist():
            if not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16):
                yield info.filename, info.file_size


def _tar_listing(source: Source) -> Iterator[tuple[str, int]]:
    for info in _tar(source, _changed(source)):
        if info.isfile():
            yield info.name, info.size


def _zip_member(source: Source, member: str, *, checked: bool) -> IO[bytes]:
    place: Any = source.path if source.remote is None else source.file()
    archive = zipfile.ZipFile(place)
    info = archive.getinfo(member)
    if info.compress_type != ZSTD_METHOD:
        info = info if checked else copy.copy(info)
        if not checked:
            del info.CRC  # zipfile holds nothing against a checksum that it does not know
        return archive.open(info)
    with archive, source.file() as raw:
        raw.seek(info.header_offset)
        header = raw.read(30)
        if header[:4] != b"PK\x03\x04":
            raise zipfile.BadZipFile(f"no local header before {member}")
        skip = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        raw.seek(info.header_offset + 30 + skip)
        packed = raw.read(info.compress_size)
    with zstandard.ZstdDecompressor().stream_reader(packed) as stream:
        data = stream.read(_MAX_MEMBER + 1)
    if len(data) > _MAX_MEMBER:
        raise zipfile.BadZipFile(f"{member} unfolds to more than {_MAX_MEMBER} bytes")
    if zlib.crc32(data) != info.CRC:
        raise zipfile.BadZipFile(f"{member} does not match its checksum")
    return io.BytesIO(data)


def _changed(source: Source) -> int:
    return source.path.stat().st_mtime_ns if source.remote is None else 0


@lru_cache(maxsize=2)
def _tar(source: Source, changed: int) -> tarfile.TarFile:
    """An open archive; kept, since going back in a compressed one means to begin again."""
    if source.remote is None:
        return tarfile.open(source.path)
    return tarfile.open(fileobj=source.file())


@lru_cache(maxsize=2)
def _tar_index(source: Source, changed: int) -> dict[str, tarfile.TarInfo]:
    """The last member of each name; of a damaged archive what stands before the damage."""
    index = {}
    try:
        for info in _tar(source, changed):
            index[info.name] = info
    except DAMAGED:
        pass
    except OSError as error:  # bz2 tells damage so, without a number
        if error.errno is not None:
            raise
    return index


def _tar_member(source: Source, member: str) -> IO[bytes]:
    whole = Source(source.path, None, source.remote)
    changed = _changed(whole)
    found = _tar(whole, changed).extractfile(_tar_index(whole, changed)[member])
    if found is None:
        raise Damaged(f"{member} is no file")
    return found
