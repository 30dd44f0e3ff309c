"""Lines to records: JSON lines, or whole JSON documents that span lines.

In: the lines of one file. Out: `Item` values, one for each record: a line of a JSON-lines file,
an element of a document that is a list, or a document itself. Also for what cannot be decoded.
Every byte of the file that is not white space between records belongs to exactly one item.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from misstep.ingest.decode import Fault, decode
from misstep.ingest.lines import Broken, Line

_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[{}\[\]]', re.S)
_BOM = b"\xef\xbb\xbf"
BLANK = Fault("blank", "an empty line")


@dataclass(frozen=True, slots=True)
class Item:
    """One record, decoded or not."""

    line: int
    offset: int
    value: Any
    """The JSON value, or a `Fault`."""
    pointer: str | None = None
    """Place in its document, for an element of a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of one record is read."""

    max_bytes: int
    max_depth: int


def items(lines: Iterable[Line | Broken], limits: Limits) -> Iterator[Item]:
    """The records of a file in their order."""
    stream = iter(lines)
    first: list[Line | Broken] = []
    for line in stream:
        if _blank(line):
            yield Item(line.number, line.offset, BLANK)
            continue
        first.append(line)
        if len(first) == 2:
            break
    if is_document(first):
        yield from _document(chain(first, stream), limits)
    elif len(first) == 1:
        yield from _single(first[0], limits)
    else:
        for line in chain(first, stream):
            yield from _line(line, limits)


def _blank(line: Line | Broken) -> bool:
    return isinstance(line, Line) and line.data is not None and not _strip(line).strip()


def is_document(first: list[Line | Broken]) -> bool:
    """Whether a file that starts with these lines is one JSON document over several lines."""
    if len(first) < 2 or not isinstance(first[0], Line) or not first[0].data:
        return False
    text = _strip(first[0]).strip()
    if text[:1] not in (b"{", b"[") or _closes(text):
        return False
    if text[:1] == b"[":
        return True
    after = first[1].data if isinstance(first[1], Line) else None
    return text == b"{" or (
        text[-1:] in b"{[," and after is not None and not after.lstrip().startswith(b"{")
    )


def _closes(text: bytes) -> bool:
    level = 0
    for token in _TOKEN.finditer(text):
        level += _STEP.get(token.group(), 0)
        if level <= 0 and token.group() in (b"}", b"]"):
            return True
    return False


_STEP = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}


def _strip(line: Line) -> bytes:
    data = line.data or b""
    return data.removeprefix(_BOM) if line.offset == 0 else data


def _line(line: Line | Broken, limits: Limits) -> Iterator[Item]:
    if isinstance(line, Broken):
        yield Item(line.number, line.offset, Fault(line.reason, line.said))
    elif line.data is None:
        said = f"a line of {line.size} bytes; the limit is {limits.max_bytes}"
        yield Item(line.number, line.offset, Fault("too-long", said))
    elif _blank(line):
        yield Item(line.number, line.offset, BLANK)
    else:
        value = decode(_strip(line), max_depth=limits.max_depth, cut=not line.ended)
        yield Item(line.number, line.offset, value)


def _single(line: Line | Broken, limits: Limits) -> Iterator[Item]:
    """A file of one line: a list is a document, so its elements are the records."""
    for item in _line(line, limits):
        if isinstance(item.value, list) and item.value:
            for index, element in enumerate(item.value):
                yield Item(item.line, item.offset, element, f"/{index}")
        else:
            yield item


def _document(lines: Iterator[Line | Broken], limits: Limits) -> Iterator[Item]:
    gather = _Gather(limits)
    for line in lines:
        if isinstance(line, Broken):
            yield from gather.rest()
            yield Item(line.number, line.offset, Fault(line.reason, line.said))
            return
        yield from gather.add(line)
    yield from gather.rest()


class _Gather:
    """Gathers the pieces of one value at a time out of a document's lines."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._level = 0
        self._base = 0
        self._index = 0
        self._pieces: list[bytes] = []
        self._size = 0
        self._start: tuple[int, int] = (1, 0)

    def add(self, line: Line) -> Iterator[Item]:
        if line.data is None:
            said = f"a line of {line.size} bytes; the limit is {self._limits.max_bytes}"
            yield Item(line.number, line.offset, Fault("too-long", said))
            return
        text = _strip(line)
        shift = line.offset + len(line.data) - len(text)
        at = 0
        for token in _TOKEN.finditer(text):
            step = _STEP.get(token.group(), 0)
            if step > 0:
                if self._level == self._base:
                    yield from self._between(text[at : token.start()], line.number, shift + at)
                    at = token.start()
                    if self._opens_list(token.group()):
                        at = token.end()
                        continue
                    self._start = (line.number, shift + at)
                self._level += 1
            elif step < 0:
                if self._level == self._base:
                    yield from self._between(text[at : token.start()], line.number, shift + at)
                    at = token.end()
                    if token.group() == b"]" and self._base:
                        self._level = self._base = self._index = 0
                    else:
                        yield Item(line.number, shift + token.start(), _STRAY)
                    continue
                self._level -= 1
                if self._level == self._base:
                    self._keep(text[at : token.end()])
                    at = token.end()
                    yield self._item()
        if self._level > self._base:
            self._keep(text[at:] + b"\n")
        else:
            yield from self._between(text[at:], line.number, shift + at)

    def _opens_list(self, token: bytes) -> bool:
        if token == b"[" and self._base == 0:
            self._level = self._base = 1
            self._index = 0
            return True
        return False

    def _between(self, text: bytes, line: int, offset: int) -> Iterator[Item]:
        """What stands between two values: commas, or scalars that are no records."""
        for piece in text.split(b","):
            if piece.strip():
                value = decode(piece.strip(), max_depth=self._limits.max_depth)
                yield Item(line, offset, value, self._pointer())

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limits.max_bytes:
            self._pieces.clear()
        else:
            self._pieces.append(piece)

    def _pointer(self) -> str | None:
        if not self._base:
            return None
        self._index += 1
        return f"/{self._index - 1}"

    def _item(self) -> Item:
        if self._size > self._limits.max_bytes:
            said = f"a record of {self._size} bytes; the limit is {self._limits.max_bytes}"
            value: Any = Fault("too-long", said)
        else:
            value = decode(b"".join(self._pieces), max_depth=self._limits.max_depth)
        self._pieces.clear()
        self._size = 0
        return Item(*self._start, value, self._pointer())

    def rest(self) -> Iterator[Item]:
        if self._size:
            self._pieces.clear()
            yield Item(*self._start, Fault("not-json", "the document ends inside this value"))


_STRAY = Fault("not-json", "a closing bracket that nothing opened")
