"""One record of a file, decoded or not; what `records` hands to `read`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)  # not frozen: one a record, and frozen ones take thrice as long to make
class Item:
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
