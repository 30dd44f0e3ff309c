"""Which tokens of a pair its marks are about.

In: a pair as messages with `Mark`s (character spans in a content, a call's arguments or its name)
and the model's template. Out: the numbers of the tokens of each side. An answer is rendered once
more with a private-use character at both ends of a span; where this changes nothing else, the span
lies between them, whatever the template puts around it. Pure: no torch, no files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

from misstep.types import Mark, Message, Part, ToolCall

_POINT = "\ue005"
Span = tuple[int, int]
Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Token numbers of a pair, counted from the start of each side."""

    chosen: Tokens = ()
    """What the accepted answer has where the failed one fails."""
    rejected: Tokens = ()
    """Where the failed answer fails."""
    again: Tokens = ()
    """Of the rejected side: the first period of a loop that repeats another."""


class Renderer(Protocol):
    """The part of `models.Template` that places need."""

    def answer_text(self, answer: Message, end: bool = True) -> str:
        """The answer as text."""

    def answer_spans(self, answer: Message, end: bool = True) -> list[Span] | None:
        """Characters of that text behind each token; None where unknown."""


def places(
    sides: tuple[Message, Message], marks: Sequence[Mark], template: Renderer, *, cut: bool
) -> Places:
    """Tokens of the chosen and the rejected side that the marks are about.

    A mark that cannot be found in the rendered answer gives none.
    """
    chosen, rejected = sides
    mine = [mark for mark in marks if mark.side == "chosen"]
    failed = [mark for mark in marks if mark.side == "rejected"]
    loops = [_at_repeat(mark) for mark in failed if mark.again is not None]
    return Places(
        chosen=tokens(chosen, mine, template, end=True),
        rejected=tokens(rejected, failed, template, end=not cut),
        again=_first_run(tokens(rejected, loops, template, end=not cut)),
    )


def _at_repeat(mark: Mark) -> Mark:
    """The mark of the first repeated period."""
    return replace(mark, span=mark.again or mark.span)


def _first_run(found: Tokens) -> Tokens:
    """The tokens up to the first gap: of several loops the earliest."""
    return tuple(at for n, at in enumerate(found) if at == found[0] + n)


def tokens(side: Message, marks: Sequence[Mark], template: Renderer, *, end: bool) -> Tokens:
    """Numbers of the tokens of an answer that the marks are about, ascending."""
    if not marks:
        return ()
    spans = template.answer_spans(side, end)
    if spans is None:
        return ()
    found = {
        at
        for start, stop in _rendered(side, marks, template)
        for at in _covered(spans, start, stop)
    }
    return tuple(sorted(found))


def _covered(spans: Sequence[Span], start: int, stop: int) -> Iterator[int]:
    """Tokens that share a character with the span; for an empty one, what stands there."""
    if start == stop:
        behind = [at for at, (_, end) in enumerate(spans) if end > start]
        yield from behind[:1] or range(len(spans))[-1:]
        return
    yield from (at for at, (a, b) in enumerate(spans) if a < stop and b > start)


def _rendered(side: Message, marks: Sequence[Mark], template: Renderer) -> Iterator[Span]:
    """Spans of the marks in the rendered answer."""
    plain = template.answer_text(side)
    for channel, call in dict.fromkeys((mark.channel, mark.call) for mark in marks):
        spans = [mark.span for mark in marks if (mark.channel, mark.call) == (channel, call)]
        wanted = sorted({at for span in spans for at in span})
        pointed = _pointed(side, channel, call, wanted)
        text = template.answer_text(pointed) if pointed is not None else ""
        if text.replace(_POINT, "") != plain or text.count(_POINT) != len(wanted):
            continue
        pieces = text.split(_POINT)[:-1]
        where = {at: sum(map(len, pieces[: n + 1])) for n, at in enumerate(wanted)}
        yield from ((where[start], where[stop]) for start, stop in spans)


def _pointed(side: Message, channel: str, call: int | None, wanted: list[int]) -> Message | None:
    """The message with a point at each offset of the channel; None where it has no such text."""
    parts: list[Part] = []
    calls, before = -1, 0
    left = list(wanted)
    for part in side.parts:
        calls += part.call is not None
        if part.call is not None and channel != "content" and calls == call:
            parts.append(replace(part, call=_pointed_call(part.call, channel, left)))
            left = []
        elif part.kind == "text" and channel == "content":
            size = len(part.text or "")
            here = [at - before for at in left if at - before <= size]
            parts.append(replace(part, text=_with_points(part.text or "", here)))
            left, before = left[len(here) :], before + size
        else:
            parts.append(part)
    return None if left else replace(side, parts=tuple(parts))


def _pointed_call(call: ToolCall, channel: str, wanted: Sequence[int]) -> ToolCall:
    if channel == "name":
        return replace(call, name=_with_points(call.name, wanted))
    return replace(call, arguments=_with_points(call.arguments, wanted))


def _with_points(text: str, wanted: Sequence[int]) -> str:
    ends = [0, *wanted, len(text)]
    if sorted(ends) != ends:
        return text
    return _POINT.join(text[a:b] for a, b in pairwise(ends))
