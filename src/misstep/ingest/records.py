"""Files to records: JSON lines, or whole JSON documents that span lines.

In: a path. Out: `Item` values, one for each record: a line of a JSON-lines file, an element of a
document that is a list, or a document itself. Also for what cannot be decoded: every byte of the
file that is not white space or punctuation between records belongs to exactly one item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import msgspec

from misstep.ingest.decode import Fault, decode
from misstep.ingest.document import Gather, closes, whole
from misstep.ingest.item import Item
from misstep.ingest.lines import Broken, Limits, Line, Progress, read_blocks, read_lines
from misstep.ingest.source import Source

WHOLE = 16_000_000
"""Bytes up to which a document is held in one piece."""
BLANK = Fault("blank", "an empty line")


class _Start(msgspec.Struct, frozen=True):
    document: bool
    """Whether the file is one JSON document over several lines."""
    alone: bool
    """Whether the file holds one line only."""


def items(source: Source, limits: Limits, progress: Progress | None = None) -> Iterator[Item]:
    """The records of a file in their order.

    Raises:
        OSError: the file cannot be opened or read.
    """
    start = _look(source, limits)
    if start.document:
        yield from _document(read_blocks(source, limits, progress), limits)
        return
    for line in read_lines(source, limits, progress):
        item = item_of(line, limits)
        if start.alone and isinstance(item.value, list) and item.value:
            yield from _elements(item)
        else:
            yield item


def is_lines(source: Source, limits: Limits) -> bool:
    """Whether a JSON file is one record a line, on more than one line.

    Raises:
        OSError: the file cannot be opened or read.
    """
    start = _look(source, limits)
    return not (start.document or start.alone)


def _look(source: Source, limits: Limits) -> _Start:
    first: list[Line | Broken] = []
    for line in read_lines(source, limits):
        if isinstance(line, Broken) or line.data is None or line.data.strip():
            first.append(line)
        if len(first) == 2:
            break
    return _Start(document=_is_document(first), alone=len(first) == 1)


def _is_document(first: list[Line | Broken]) -> bool:
    if len(first) < 2 or not isinstance(first[0], Line) or not first[0].data:
        return False
    text = first[0].data.strip()
    if text[:1] not in (b"{", b"[") or closes(text):
        return False
    if text[:1] == b"[":
        return True
    after = first[1].data if isinstance(first[1], Line) else None
    opens = text[-1:] in (b"{", b"[", b",") and after is not None
    return text == b"{" or (opens and not (after or b"").lstrip().startswith(b"{"))


def item_of(
    line: Line | Broken, limits: Limits, decoder: Callable[[bytes], Any] | None = None
) -> Item:
    """The record of one line."""
    value: Any
    if isinstance(line, Broken):
        value = Fault(line.reason, line.said)
    elif line.data is None:
        value = Fault(
            "too-long", f"a line of {line.size} bytes; the limit is {limits.max_bytes} bytes"
        )
    elif not line.data.strip():
        value = BLANK
    else:
        value = None if decoder is None else decoder(line.data)
        if value is None:
            value = decode(line.data, max_depth=limits.max_depth, cut=not line.ended)
    return Item(line.number, line.offset, value)


def _elements(item: Item) -> Iterator[Item]:
    """A file of one line that is a list: its elements are the records."""
    for index, element in enumerate(item.value):
        yield Item(item.line, item.offset, element, f"/{index}")


def _document(blocks: Iterator[Line | Broken], limits: Limits) -> Iterator[Item]:
    held: list[Line | Broken] = []
    size = 0
    for block in blocks:
        held.append(block)
        size += block.size if isinstance(block, Line) else WHOLE
        if size > WHOLE:
            break
    else:
        text = b"".join(block.data or b"" for block in held if isinstance(block, Line))
        found = whole(text, max_bytes=limits.max_bytes, max_depth=limits.max_depth)
        if found is not None:
            yield from found
            return
    gather = Gather(max_bytes=limits.max_bytes, max_depth=limits.max_depth)
    for block in chain(held, blocks):
        if isinstance(block, Broken):
            yield from gather.rest()
            yield Item(block.number, block.offset, Fault(block.reason, block.said))
            return
        yield from gather.add(block.data or b"", line=block.number, offset=block.offset)
    yield from gather.rest()
