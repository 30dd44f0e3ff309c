"""Bytes of a log file as a stream of lines: decompressed, bounded, with line number and offset.

In: a path. Out: `Line` values; a line above the limit comes without its bytes. What is wrong with
the container itself (a broken gzip, a size above the limit) ends the stream as a `Broken`.
At no time is more than one line and one block held in memory.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import zstandard

BLOCK = 1 << 18
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its line break."""

    number: int
    """1-based."""
    offset: int
    """Byte offset of its first byte in the decompressed file."""
    size: int
    """Bytes without the line break."""
    data: bytes | None
    """None where the line is above the limit."""
    ended: bool
    """False for a last line without a line break."""


@dataclass(frozen=True, slots=True)
class Broken:
    """Why a stream ended before its file did."""

    number: int
    offset: int
    reason: str
    said: str


def open_stream(path: Path, raw: IO[bytes]) -> IO[bytes]:
    """The decompressed bytes of an open file; gzip and zstd are known by their first bytes."""
    magic = raw.read(4)
    raw.seek(0)
    if magic.startswith(_GZIP):
        return cast(IO[bytes], gzip.GzipFile(fileobj=raw, mode="rb"))
    if magic == _ZSTD:
        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        return cast(IO[bytes], reader)
    return raw


def read_lines(
    path: Path,
    *,
    max_line: int,
    max_file: int,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Line | Broken]:
    """The lines of a file.

    Args:
        max_line: longest line in bytes that is handed out with its bytes.
        max_file: decompressed bytes after which reading stops.
        progress: told the position in the file on disk after each block.

    Raises:
        OSError: the file cannot be opened or read.
    """
    with path.open("rb") as raw:
        cutter = _Cutter(max_line)
        stream = open_stream(path, raw)
        while True:
            try:
                block = stream.read(BLOCK)
            except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
                yield from cutter.rest()
                said = f"the compressed file breaks off or is damaged ({error})"
                yield Broken(cutter.number, cutter.offset, "broken-archive", said)
                return
            if progress is not None:
                progress(raw.tell())
            if not block:
                yield from cutter.rest()
                return
            if cutter.total + len(block) > max_file:
                yield from cutter.cut(block[: max_file - cutter.total])
                said = f"more than {max_file} bytes after decompression; the rest is not read"
                yield Broken(cutter.number, cutter.offset, "too-large", said)
                return
            yield from cutter.cut(block)


class _Cutter:
    """Cuts blocks into lines; keeps the unfinished one unless it is too long."""

    def __init__(self, max_line: int) -> None:
        self.max_line = max_line
        self.number = 1
        self.offset = 0
        self.total = 0
        self._held: list[bytes] = []
        self._size = 0

    def cut(self, block: bytes) -> Iterator[Line]:
        self.total += len(block)
        start = 0
        while (end := block.find(b"\n", start)) >= 0:
            self._hold(block[start:end])
            yield self._line(ended=True)
            start = end + 1
        self._hold(block[start:])

    def rest(self) -> Iterator[Line]:
        if self._size:
            yield self._line(ended=False)

    def _hold(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self.max_line:
            self._held.clear()
        elif piece:
            self._held.append(piece)

    def _line(self, *, ended: bool) -> Line:
        fits = self._size <= self.max_line
        data = b"".join(self._held) if fits else None
        if data is not None and data.endswith(b"\r"):
            data = data[:-1]
        line = Line(self.number, self.offset, self._size, data, ended)
        self.offset += self._size + ended
        self.number += 1
        self._held.clear()
        self._size = 0
        return line


def head(path: Path, size: int = 8192) -> bytes:
    """The first decompressed bytes of a file; none where it cannot be decompressed."""
    with path.open("rb") as raw:
        try:
            return io.BufferedReader(cast(io.RawIOBase, open_stream(path, raw))).read(size)
        except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError):
            return b""
