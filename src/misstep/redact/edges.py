"""Where a word begins in text that may be the inside of a JSON string.

In: a text and a place. Out: whether a word begins there. In `{"note": "key:\\nsk-…"}` the token is
preceded by the letter `n` of an escape; it begins a word all the same.
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\\(?:[nrtbf]|u[0-9a-fA-F]{4})\Z")


def at_edge(text: str, at: int, joins: str = "-_") -> bool:
    """Whether the character before `at` is no part of a word; `joins` also belong to words."""
    if at == 0:
        return True
    before = text[at - 1]
    if not (before.isascii() and before.isalnum()) and before not in joins:
        return True
    return escape_before(text, at)


def escape_before(text: str, at: int) -> bool:
    """Whether a JSON escape ends at `at`."""
    return _ESCAPE.search(text, max(0, at - 6), at) is not None


def past_escape(text: str, start: int) -> int:
    """Where a word begins that was taken to begin inside an escape: `\\nbob` begins at `bob`."""
    if start == 0 or text[start - 1] != "\\":
        return start
    for end in (start + 1, start + 5):
        if escape_before(text, end):
            return end
    return start
