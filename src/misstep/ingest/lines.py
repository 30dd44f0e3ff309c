"""Bytes of a log file as lines or as blocks of lines: decompressed, bounded, with their place.

In: a path. Out: `Line` or `Block` values; a line above the limit comes without its bytes. What is
wrong with the container itself (a broken gzip, a size above the limit) ends the stream as a
`Broken`. At no time is more than one line and one block held in memory.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import msgspec
import zstandard

from misstep import store
from misstep.ingest.decode import Fault
from misstep.ingest.source import DAMAGED, Source

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK = 1 << 18
GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
BOM = b"\xef\xbb\xbf"
_PIECE = 1 << 9
"""Bytes read at a time near a damage: what is read with it is lost."""


class Line(msgspec.Struct):
    """One line without its line feed."""

    number: int
    """1-based."""
    offset: int
    """Byte offset of its first byte in the decompressed file."""
    size: int
    """Bytes without the line feed."""
    data: bytes | None
    """None where the line is above the limit; without a byte order mark."""
    ended: bool = True
    """False for a last line without a line feed."""


class Broken(msgspec.Struct, frozen=True):
    """Why a stream ended before its file did."""

    number: int
    offset: int
    reason: str
    said: str


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much is read."""

    max_bytes: int
    """Longest line or record in bytes."""
    max_depth: int
    """Deepest nesting of a record."""
    max_file: int
    """Decompressed bytes after which reading a file stops."""


Progress = Callable[[int], None]
"""Told the position in the file on disk after each block."""


def unpacked(raw: IO[bytes]) -> io.BufferedIOBase:
    """The decompressed bytes of an open file; gzip and zstd are known by their first bytes."""
    magic = _peeked(raw)
    if magic.startswith(GZIP):
        return cast(io.BufferedIOBase, gzip.GzipFile(fileobj=raw, mode="rb"))
    if magic == ZSTD:
        return io.BufferedReader(_Zstd(raw), BLOCK)
    return cast(io.BufferedIOBase, raw)


def _peeked(raw: IO[bytes]) -> bytes:
    """The first four bytes of an open file, which stay to be read."""
    peek = getattr(raw, "peek", None)  # a member that is read without its checksum cannot seek
    if peek is not None:
        return bytes(peek(4)[:4])
    magic = raw.read(4)
    raw.seek(0)
    return magic


class _Zstd(io.RawIOBase):
    """The frames of a zstd file one after another; unlike the library's own reader it tells a file
    that ends inside a frame. Fed in small pieces, since 4 bytes may unfold to 128 kB."""

    _PIECE = 1 << 11

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self._ready:
            piece = self._raw.read(self._PIECE)
            if not piece:
                if self._frame is not None:
                    raise zstandard.ZstdError("the file ends inside a frame")
                return 0
            self._ready = memoryview(self._unfold(piece))
        into = memoryview(buffer).cast("B")
        size = min(len(into), len(self._ready))
        into[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _unfold(self, piece: bytes) -> bytes:
        parts = []
        while piece:
            frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            parts.append(frame.decompress(piece))
            self._frame = None if frame.eof else frame
            piece = frame.unused_data if frame.eof else b""
        return b"".join(parts)


def _chunks(
    source: Source, max_file: int, progress: Progress | None
) -> Iterator[bytes | tuple[str, str]]:
    """Pieces of the decompressed file; at last, where it ended early, the reason and a sentence."""
    total = 0
    with source.open() as raw:
        stream = None
        while True:
            try:
                stream = unpacked(raw) if stream is None else stream
                chunk = stream.read1(BLOCK)  # `read` would lose what came before an error
            except (*DAMAGED, OSError) as error:
                if not is_damage(error):
                    raise
                yield from _saved(source, total, max_file)
                yield "broken-archive", f"the compressed file breaks off or is damaged ({error})"
                return
            if progress is not None:
                progress(raw.tell())
            if not chunk:
                return
            yield chunk[: max_file - total]
            total += len(chunk)
            if total > max_file:
                said = f"more than {max_file} bytes after decompression; the rest is not read"
                yield "too-large", said
                return


def is_damage(error: BaseException) -> bool:
    """Whether it tells of packed bytes that cannot be unpacked, not of a system that refuses."""
    numberless = isinstance(error, OSError) and error.errno is None  # gzip and bz2 raise such
    return numberless or isinstance(error, DAMAGED)


def fault_of(error: Exception) -> Fault:
    """Why a file is set aside whose reading ended in `DAMAGED` or in an `OSError`."""
    if isinstance(error, OSError) and not is_damage(error):
        return Fault("unreadable", f"cannot be read ({error.strerror})")
    return Fault("broken-archive", f"cannot be unpacked: {error}")


def _saved(source: Source, at: int, end: int) -> Iterator[bytes]:
    """What stands between `at` and the damage, as near to it as small reads come."""
    passed = 0
    try:
        with source.open(checked=False) as raw:
            stream = unpacked(raw)
            while passed < end:
                most = min(BLOCK, at - passed) if passed < at else min(_PIECE, end - passed)
                piece = stream.read1(most)
                if not piece:
                    return
                if passed >= at:
                    yield piece
                passed += len(piece)
    except (*DAMAGED, OSError) as error:
        if not is_damage(error):
            raise


def read_lines(
    source: Source, limits: Limits, progress: Progress | None = None
) -> Iterator[Line | Broken]:
    """The lines of a file.

    Raises:
        OSError: the file cannot be opened or read.
    """
    yield from split_lines(_chunks(source, limits.max_file, progress), limits)


def unpack(source: Source, into: Path, limits: Limits) -> bool:
    """Write a compressed file out plain, so that it can be read in stretches; False where it breaks
    off or is too large, and nothing is left.

    Raises:
        OSError: the file cannot be read.
        StageError: `into` cannot be written.
    """
    whole = True
    with store.telling(into), into.open("wb") as out:
        for chunk in _chunks(source, limits.max_file, None):
            if isinstance(chunk, tuple):
                whole = False
                break
            out.write(chunk)
    if not whole:
        into.unlink()
    return whole


def split_lines(
    chunks: Iterable[bytes | tuple[str, str]], limits: Limits, *, line: int = 1, start: int = 0
) -> Iterator[Line | Broken]:
    """The lines of pieces of a file; the first one's number and offset."""
    number, offset, size = line, start, 0
    held: list[bytes] = []
    for chunk in chunks:
        if isinstance(chunk, tuple):
            if size:
                yield _line(number, offset, held, size, limits, ended=False)
            yield Broken(number + bool(size), offset + size, *chunk)
            return
        *ends, rest = chunk.split(b"\n")
        for piece in ends:
            size += len(piece)
            held.append(piece)
            yield _line(number, offset, held, size, limits, ended=True)
            number += 1
            offset += size + 1
            size = 0
            held.clear()
        size += len(rest)
        held.append(rest)
        if size > limits.max_bytes:
            held.clear()
    if size:
        yield _line(number, offset, held, size, limits, ended=False)


def _line(
    number: int, offset: int, held: list[bytes], size: int, limits: Limits, *, ended: bool
) -> Line:
    if size > limits.max_bytes:
        return Line(number, offset, size, None, ended)
    data = held[0] if len(held) == 1 else b"".join(held)
    return Line(number, offset, size, data.removeprefix(BOM) if number == 1 else data, ended)


def read_blocks(
    source: Source, limits: Limits, progress: Progress | None = None
) -> Iterator[Line | Broken]:
    """The file in blocks of whole lines; `number` and `offset` are those of a block's first line.

    A line above the limit ends the stream.

    Raises:
        OSError: the file cannot be opened or read.
    """
    number, offset, rest = 1, 0, b""
    for chunk in _chunks(source, limits.max_file, progress):
        if isinstance(chunk, tuple):
            if rest:
                yield Line(number, offset, len(rest), rest, ended=False)
            yield Broken(number + bool(rest), offset + len(rest), *chunk)
            return
        cut = chunk.rfind(b"\n") + 1
        if cut:
            data = rest + chunk[:cut]
            yield Line(number, offset, len(data), data)
            number += data.count(b"\n")
            offset += len(data)
            rest = chunk[cut:]
        else:
            rest += chunk
        if len(rest) > limits.max_bytes:
            said = f"a line above the limit of {limits.max_bytes} bytes; the rest is not read"
            yield Broken(number, offset, "too-long", said)
            return
    if rest:
        yield Line(number, offset, len(rest), rest, ended=False)


def head(source: Source, size: int = 8192) -> bytes:
    """The first decompressed bytes of a file; where it is damaged, those that stand before that."""
    with source.open() as raw:
        try:
            return unpacked(raw).read(size)
        except (*DAMAGED, OSError) as error:
            if not is_damage(error):
                raise
    return b"".join(_saved(source, 0, size))
