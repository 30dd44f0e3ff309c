"""Stretches of plain files: the lines of each, or blocks of lines, to look at without a copy.

In: a path and the stretches. Out: `Line` values, or `Block` values of whole lines. A line above the
limit comes without its bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import msgspec

from misstep.ingest.lines import BLOCK, BOM, Broken, Limits, Line, split_lines
from misstep.ingest.source import Source


class Span(msgspec.Struct, frozen=True):
    """A stretch of whole lines of a plain file."""

    start: int
    """Byte offset of its first line."""
    end: int | None
    """Byte offset behind its last line; None for the end of the file."""
    line: int
    """1-based number of its first line."""


class Block(msgspec.Struct):
    """Some whole lines, each with its line feed but for the last one of a file."""

    offset: int
    """Byte offset of the first line in the file."""
    data: bytes
    """None of it for one line above the limit, whose size is then `end`."""
    start: int
    """Where in `data` the lines begin, and where they end."""
    end: int


class LastFile:
    """The file that was read last, open for what may stand in it too."""

    def __init__(self) -> None:
        self._source: Source | None = None
        self._raw: io.RawIOBase | None = None

    def of(self, source: Source) -> io.RawIOBase:
        """A file, opened unless it is the last one.

        Raises:
            OSError: it cannot be opened.
        """
        if self._raw is None or self._source != source:
            self.close()
            self._raw, self._source = source.raw(), source
        return self._raw

    def close(self) -> None:
        """Close what is open."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None


def read_spans(source: Source, spans: Iterable[Span], limits: Limits) -> Iterator[Line | Broken]:
    """The lines of stretches of a plain file, stretch after stretch.

    Raises:
        OSError: the file cannot be opened or read.
    """
    with source.raw() as raw:
        yield from spans_of(raw, spans, limits)


def spans_of(raw: io.RawIOBase, spans: Iterable[Span], limits: Limits) -> Iterator[Line | Broken]:
    """The lines of stretches of an open file.

    Raises:
        OSError: the file cannot be read.
    """
    for span in spans:
        size = BLOCK + 1 if span.end is None else span.end - span.start
        if 0 < size <= BLOCK:
            raw.seek(span.start)
            data = raw.read(size) or b""
            if data.find(b"\n") == size - 1 and size <= limits.max_bytes:
                # one line, as it is where conversations stand interleaved
                bare = data[:-1].removeprefix(BOM) if span.line == 1 else data[:-1]
                yield Line(span.line, span.start, size - 1, bare)
                continue
        yield from split_lines(_pieces(raw, span), limits, line=span.line, start=span.start)


def _pieces(raw: io.RawIOBase, span: Span) -> Iterator[bytes]:
    at = span.start
    while span.end is None or at < span.end:
        size = BLOCK if span.end is None else min(BLOCK, span.end - at)
        raw.seek(at)
        chunk = raw.read(size)
        if not chunk:
            return
        yield chunk
        at += len(chunk)


def read_stretch(source: Source, span: Span, limits: Limits) -> Iterator[Block]:
    """The lines of a stretch, uncopied but for those that lie across two pieces of the file.

    Raises:
        OSError: the file cannot be opened or read.
    """
    offset, size = span.start, 0
    held: list[bytes] = []
    with source.raw() as raw:
        for chunk in _pieces(raw, span):
            first = chunk.find(b"\n") + 1 if size else 0
            if size:
                size += first or len(chunk)
                held.append(chunk[:first] if first else chunk)
                if size > limits.max_bytes + 1:
                    held.clear()
                if not first:
                    continue
                yield Block(offset, b"".join(held), 0, size)
                offset += size
            last = chunk.rfind(b"\n") + 1
            if last > first:
                yield Block(offset, chunk, first, last)
                offset += last - first
            held = [chunk[last:]]
            size = len(chunk) - last
    if size:
        yield Block(offset, b"".join(held), 0, size)
