"""One record of a file, decoded or not; what `records` hands to `read`."""

from __future__ import annotations

from typing import Any

import msgspec


class Item(msgspec.Struct):
    """One record."""

    line: int
    """1-based line on which it starts."""
    offset: int
    """Byte offset at which it starts, in the decompressed file."""
    value: Any
    """The JSON value, or a `Fault`."""
    pointer: str | None = None
    """Place in its document, for an element of a list."""
    row: str | None = None
    """Table and row, for a record of a table."""
