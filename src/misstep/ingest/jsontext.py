"""JSON inside text: an object in a line of a text log, or JSON that a field keeps as text.

In: untrusted text. Out: the value, or None where there is none. Depth is bounded; nothing raises.
"""

from __future__ import annotations

from typing import Any

from misstep.ingest.decode import Fault, decode

DEPTH = 200
"""Deepest nesting that is read; the log's own limit counts from the outer record."""


def parsed(text: Any) -> Any:
    """The value of a text that is JSON as a whole; anything but text stands for itself."""
    if not isinstance(text, str):
        return text
    value = decode(text.encode("utf-8", "surrogatepass"), max_depth=DEPTH)
    return None if isinstance(value, Fault) else value


def object_in(line: str) -> Any:
    """The JSON object that starts in a line; what a logger adds behind it is cut off."""
    start, end = line.find('{"'), len(line)
    for _ in range(3):
        end = line.rfind("}", 0, end)
        if start < 0 or end < start:
            return None
        value = parsed(line[start : end + 1])
        if value is not None:
            return value
    return None
