"""A JSON document taken apart while it streams by: the elements of a list, or whole values.

In: blocks of whole lines. Out: one `Item` for each element of a top-level list, or for each
top-level value. Only the element at hand is held; one above the limit is dropped as it grows.
Brackets are found on the bytes, so depth costs nothing and broken JSON cannot recurse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from misstep.ingest.decode import Fault, decode
from misstep.ingest.item import Item

_STRING = rb'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"?'
_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|' + _STRING + rb")*+([{}\[\]])", re.S)
_STRAY = Fault("not-json", "a closing bracket that nothing opened")


def _brackets(text: bytes) -> Iterator[re.Match[bytes]]:
    """Matches that end at each bracket outside strings; anchored, so each byte is seen once."""
    at = 0
    while (found := _BRACKET.match(text, at)) is not None:
        yield found
        at = found.end()


def closes(text: bytes) -> bool:
    """Whether the value that opens at the start of `text` also closes in it."""
    level = 0
    for found in _brackets(text):
        level += 1 if found.group(1) in b"{[" else -1
        if level <= 0:
            return True
    return False


_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_GAP = b" \t\r\n,"


def whole(text: bytes, *, max_bytes: int, max_depth: int) -> Iterator[Item] | None:
    """What `Gather` gives for all of a document, found faster; None where it is not so plain.

    No beginning of an object or a list is one itself, so what decodes ends where it should.
    """
    body = text.strip()
    start = text.find(body)
    if body[:1] == b"{" and len(body) <= max_bytes:
        value = decode(body, max_depth=max_depth)
        line = text.count(b"\n", 0, start) + 1
        return None if isinstance(value, Fault) else iter([Item(line, start, value)])
    if body[:1] != b"[":
        return None
    try:
        listed = [memoryview(raw) for raw in _LIST.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    plain = all(raw[0] in b"{[" and raw.nbytes <= max_bytes for raw in listed)
    return _elements(text, start + 1, listed, max_depth) if listed and plain else None


def _elements(text: bytes, at: int, listed: list[memoryview], max_depth: int) -> Iterator[Item]:
    line = text.count(b"\n", 0, at) + 1
    for index, raw in enumerate(listed):
        before = at
        while text[at] in _GAP:
            at += 1
        line += text.count(b"\n", before, at)
        yield Item(line, at, decode(bytes(raw), max_depth=max_depth), f"/{index}")
        line += text.count(b"\n", at, at + raw.nbytes)
        at += raw.nbytes


class Gather:
    """Gathers the pieces of one value at a time."""

    def __init__(self, *, max_bytes: int, max_depth: int) -> None:
        self._max_bytes = max_bytes
        self._max_depth = max_depth
        self._level = 0
        self._in_list = False
        self._index = 0
        self._pieces: list[bytes] = []
        self._size = 0
        self._start = (1, 0)

    def add(self, text: bytes, *, line: int, offset: int) -> Iterator[Item]:
        """Take the next block, which starts at this line and byte offset."""
        at = counted = 0
        for found in _brackets(text):
            bracket, here = found.group(1), found.start(1)
            if self._level:
                self._level += 1 if bracket in b"{[" else -1
                if not self._level:
                    self._keep(text[at : here + 1])
                    at = here + 1
                    yield self._item()
                continue
            line += text.count(b"\n", counted, here)
            counted = here
            yield from self._between(text[at:here], line, offset + at)
            at = here + 1
            if bracket == b"[" and not self._in_list:
                self._in_list, self._index = True, 0
            elif bracket in b"{[":
                self._level, self._start, at = 1, (line, offset + here), here
            elif bracket == b"]" and self._in_list:
                self._in_list = False
            else:
                yield Item(line, offset + here, _STRAY)
        if self._level:
            self._keep(text[at:])
        else:
            line += text.count(b"\n", counted)
            yield from self._between(text[at:], line, offset + at)

    def _between(self, text: bytes, line: int, offset: int) -> Iterator[Item]:
        """What stands between two values: commas, or scalars that are no records."""
        for piece in text.removeprefix(b"\xef\xbb\xbf").split(b","):
            if piece.strip():
                value = decode(piece.strip(), max_depth=self._max_depth)
                yield Item(line, offset, value, self._pointer())

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._max_bytes:
            self._pieces.clear()
        else:
            self._pieces.append(piece)

    def _pointer(self) -> str | None:
        if not self._in_list:
            return None
        self._index += 1
        return f"/{self._index - 1}"

    def _item(self) -> Item:
        value: Any
        if self._size > self._max_bytes:
            said = f"a record of {self._size} bytes; the limit is {self._max_bytes} bytes"
            value = Fault("too-long", said)
        else:
            value = decode(b"".join(self._pieces), max_depth=self._max_depth)
        self._pieces.clear()
        self._size = 0
        return Item(*self._start, value, self._pointer())

    def rest(self) -> Iterator[Item]:
        """The value that the document never closes."""
        if self._size:
            self._pieces.clear()
            self._size = self._level = 0
            yield Item(*self._start, Fault("not-json", "the document ends inside this value"))
