"""Finding call markup of any dialect inside plain text.

In: text, and the names that were offered. Out: the places where markup opens with one of them. A
find says nothing about whether the call behind it is well formed; `reading` takes it apart.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from misstep.dialects.table import DIALECTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Markup:
    """Call markup found in plain text."""

    start: int
    """Character offset of its first character."""
    end: int
    """Character offset behind its last character; the opener and the name, not all arguments."""
    dialect: str
    name: str


_COMPILED: dict[str, re.Pattern[str]] = {}
_FENCE = re.compile(r"^[ \t]{0,3}(`{3,}|~{3,})", re.M)


def markup(text: str, tools: Collection[str]) -> list[Markup]:
    """Call markup in `text` that names one of `tools`, outside code fences, in order of place.

    Overlapping finds of several dialects count once: the first that starts, then the longest.
    """
    if not any(name in text for name in tools):
        return []  # true of most texts, and quicker than any pattern
    fences = _fences(text)
    found = sorted(
        (
            m
            for d in DIALECTS
            for opener in d.openers
            for m in _finds(d.name, opener, text, tools)
            if not _inside(m.start, fences)
        ),
        key=lambda m: (m.start, -m.end),
    )
    kept: list[Markup] = []
    for one in found:
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
    return kept


def _finds(dialect: str, opener: str, text: str, tools: Collection[str]) -> Iterator[Markup]:
    pattern = _COMPILED.get(opener)
    if pattern is None:
        pattern = _COMPILED.setdefault(opener, re.compile(opener))
    for match in pattern.finditer(text):
        name = match.group("name")
        if name in tools:
            yield Markup(start=match.start(), end=match.end(), dialect=dialect, name=name)


def _fences(text: str) -> list[tuple[int, int]]:
    """Spans of code fences; an unclosed one runs to the end."""
    spans: list[tuple[int, int]] = []
    opened: tuple[int, str] | None = None
    for match in _FENCE.finditer(text):
        mark = match.group(1)
        if opened is None:
            opened = (match.start(), mark)
        elif mark[0] == opened[1][0] and len(mark) >= len(opened[1]):
            spans.append((opened[0], match.end()))
            opened = None
    if opened is not None:
        spans.append((opened[0], len(text)))
    return spans


def _inside(at: int, spans: list[tuple[int, int]]) -> bool:
    index = bisect_right(spans, (at, float("inf"))) - 1
    return index >= 0 and at < spans[index][1]
