"""Code fences of Markdown text.

In: text of an answer. Out: `Fence` values in their order (CommonMark 0.31, section 4.5: a fence is
closed by a line of at least as many of the same characters and nothing else; fences inside a
`markdown` block nest). Linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MARK = re.compile(r"^(?P<lead>(?:[ \t]|>[ ]?|[-*+][ ]|[0-9]{1,3}[.)][ ]){0,24})(?P<mark>`{3,}|~{3,})(?P<info>[^\n]*)$", re.M)  # fmt: skip  # noqa: E501
_TAG = re.compile(r"[{.]*(?P<tag>[A-Za-z0-9_+#.-]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """One fenced block."""

    tag: str
    """The language as written, without decoration; empty where none is named."""
    body: str
    start: int
    """Character offset of the opening fence in the text."""
    body_at: int
    """Character offset of the first line of the body."""
    closed: bool


def fenced(text: str) -> bool:
    """A quick look: false only where a text has no fence."""
    return "```" in text or "~~~" in text


def fences(text: str) -> Iterator[Fence]:
    """The fenced blocks of a text; the last may be unclosed."""
    if not fenced(text):
        return
    opened: re.Match[str] | None = None
    inner = 0
    for found in _MARK.finditer(text):
        info = found["info"].strip()
        if opened is None:
            if "`" not in info:
                opened = found
            continue
        if found["mark"][0] != opened["mark"][0] or len(found["mark"]) < len(opened["mark"]):
            continue
        if info:
            inner += _tag(opened) in ("markdown", "md")
        elif inner:
            inner -= 1
        else:
            yield _fence(text, opened, found.start(), closed=True)
            opened = None
    if opened is not None:
        yield _fence(text, opened, len(text), closed=False)


def _tag(opened: re.Match[str]) -> str:
    found = _TAG.match(opened["info"].strip())
    return found["tag"].lower() if found else ""


def _fence(text: str, opened: re.Match[str], end: int, *, closed: bool) -> Fence:
    start = min(opened.end() + 1, end)
    body = text[start:end]
    if opened["lead"]:
        body = "\n".join(_unled(line, len(opened["lead"])) for line in body.split("\n"))
    return Fence(tag=_tag(opened), body=body, start=opened.start(), body_at=start, closed=closed)


def _unled(line: str, width: int) -> str:
    """A line without the indentation or quote marks that its fence stands behind."""
    lead = len(line) - len(line.lstrip(" \t>"))
    return line[min(lead, width) :]
