"""Where a pair fails: the characters of each side that the findings are about.

In: both sides of a pair and the defects of the rejected one. Out: `Mark`s, character spans in the
text of a channel; on the chosen side the value at the same JSON pointer, where it has one. A
finding that names no place (a missing call, a text that was cut) gives none. What is trained on is
redacted, so `moved` carries marks from the logged text to the text that is written; `as_json` and
`from_json` are the column of a row, where what cannot be used is told apart and never raises.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from rapidfuzz.distance import Levenshtein

from misstep.mine.json_places import Place, places
from misstep.types import Finding, Mark, Message

Span = tuple[int, int]
_FENCED = frozenset({"JSON_FENCED", "JSON_FENCED_PROSE"})
"""Codes whose span is the JSON itself: what is wrong stands around it."""
_CHARACTERS = ("REP_LOOP", "REP_WHITESPACE", "REP_DRIFT", "TRUNCATED", "JSON_TRUNCATED")
"""Codes whose `Loop` counts characters; a cut has one by the published rule (`placing`)."""
_OF_ROOT = ("ARGS_NOT_OBJECT", "WRONG_TYPE", "ENUM", "FORMAT", "RANGE", "SCHEMA_COMBO")
"""Codes of a value: with an empty pointer they are about the whole text."""
_ALIGNED = 8_000
"""Characters of a changed stretch in which marks are followed; in a longer one they are lost."""
_BROKEN = 3
"""Members at a text's broken end that are left off to read what stands before them."""


def marks_of(chosen: Message, rejected: Message, findings: Sequence[Finding]) -> tuple[Mark, ...]:
    """Marks of both sides, each once; `rejected` may be a trimmed form of what was judged."""
    found: dict[Mark, None] = {}
    for finding in findings:
        found |= dict.fromkeys(_rejected(rejected, finding))
        found |= dict.fromkeys(_chosen(chosen, rejected, finding))
    return tuple(found)


def text_of(message: Message, mark: Mark) -> str | None:
    """The text that a mark's offsets count in; None where the message has no such channel."""
    return _text(message, mark.channel, mark.call)


def _text(message: Message, channel: str, call: int | None) -> str | None:
    if channel == "content":
        return message.text
    calls = message.calls
    if call is None or not 0 <= call < len(calls):
        return None
    return calls[call].name if channel == "name" else calls[call].arguments


# --- from findings -----------------------------------------------------------------------------


def _rejected(side: Message, finding: Finding) -> Iterator[Mark]:
    channel = _channel(finding)
    text = _text(side, channel, finding.call) if channel else None
    if channel is None or text is None:
        return
    again = _again(text, finding)
    for start, end in _spans(text, finding, channel):
        if start <= len(text):
            span = start, min(max(end, start), len(text))
            yield Mark(
                side="rejected",
                code=finding.code,
                channel=channel,
                call=finding.call,
                span=span,
                again=again,
            )


def _channel(finding: Finding) -> Literal["content", "arguments", "name"] | None:
    if finding.code == "TOOL_UNKNOWN":
        return "name"
    if finding.channel == "content":
        return "content"
    return "arguments" if finding.channel == "arguments" else None


def _spans(text: str, finding: Finding, channel: str) -> Iterator[Span]:
    """Where the failure lies in the text of its channel; nothing where nobody says."""
    whole = 0, len(text)
    if channel == "name" or "parallel" in finding.tags:
        yield whole
    elif finding.span is not None and _FENCED & {finding.code, *finding.tags}:
        yield 0, finding.span[0]
        yield finding.span[1], len(text)
    elif finding.span is not None:
        yield finding.span
    elif finding.where:
        for place in _places(text).get(finding.where, ()):
            key = place.key if finding.code == "UNEXPECTED_ARG" else None
            yield (key or place.value)[0], place.value[1]
    elif finding.code in _OF_ROOT:
        yield whole


def _again(text: str, finding: Finding) -> Span | None:
    """The first period that repeats another, as far as the text still holds it."""
    loop = finding.loop
    if loop is None:
        return None
    if "parallel" in finding.tags:
        return 0, len(text)
    if finding.code in _CHARACTERS:
        start = loop.onset + loop.period
        return (start, min(start + loop.period, len(text))) if start < len(text) else None
    listed, _, first = finding.where.rpartition("/")
    if not first.isdigit():
        return None
    second = _places(text).get(f"{listed}/{int(first) + 1}", ())
    return (second[0].before, second[0].value[1]) if second else None


def _chosen(chosen: Message, rejected: Message, finding: Finding) -> Iterator[Mark]:
    """What the chosen side has at the place of the failure, in the same call of the same tool."""
    channel, call = _channel(finding), finding.call
    if channel is None or (not finding.where and channel != "name"):
        return
    text = _text(chosen, channel, call)
    if text is None or finding.loop is not None:
        return
    if channel == "name":
        yield Mark(
            side="chosen", code=finding.code, channel=channel, call=call, span=(0, len(text))
        )
        return
    if call is not None and _text(rejected, "name", call) != _text(chosen, "name", call):
        return
    for place in _places(text).get(finding.where, ()):
        start = place.key[0] if place.key and finding.code == "MISSING_REQUIRED" else place.value[0]
        span = start, place.value[1]
        yield Mark(side="chosen", code=finding.code, channel=channel, call=call, span=span)


def _places(text: str) -> Mapping[str, Sequence[Place]]:
    """Values of a JSON text by pointer; of one that broke off, those before its broken end."""
    if text.lstrip()[:1] not in ("{", "["):
        return {}
    for _ in range(_BROKEN):
        try:
            return places(text)
        except ValueError:
            text = text[: max(text.rfind(","), 0)]
    return {}


# --- through redaction -------------------------------------------------------------------------


def moved(
    marks: Sequence[Mark], before: Mapping[str, Message], after: Mapping[str, Message]
) -> tuple[Mark, ...]:
    """Marks in the texts of `after`, the same messages with some stretches replaced, by side."""
    out = []
    for mark in marks:
        old, new = text_of(before[mark.side], mark), text_of(after[mark.side], mark)
        if old is None or new is None:
            continue
        span = _followed(mark.span, old, new)
        again = _followed(mark.again, old, new) if mark.again is not None else None
        if span is not None:
            out.append(msgspec.structs.replace(mark, span=span, again=again))
    return tuple(out)


def _followed(span: Span, old: str, new: str) -> Span | None:
    if old == new:
        return span
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    middle, made = old[head : len(old) - tail], new[head : len(new) - tail]
    if max(len(middle), len(made)) > _ALIGNED:
        return span if span[1] <= head else None
    ends = [_moved_point(at, head, middle, made) for at in span]
    return ends[0], max(ends)


def _common(left: str, right: str) -> int:
    """Characters that both begin with."""
    if left[: len(right)] == right[: len(left)]:
        return min(len(left), len(right))
    return next(at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b)


def _moved_point(at: int, head: int, middle: str, made: str) -> int:
    if at <= head:
        return at
    if at >= head + len(middle):
        return at + len(made) - len(middle)
    for op in Levenshtein.opcodes(middle, made):
        if op.src_start <= at - head < op.src_end:
            return head + min(op.dest_start + at - head - op.src_start, op.dest_end)
    return head + len(made)


# --- the column of a row -----------------------------------------------------------------------


def as_json(marks: Sequence[Mark]) -> str:
    """Marks as JSON text."""
    return msgspec.json.encode(marks).decode()


def from_json(value: Any, sides: Mapping[str, Message]) -> tuple[tuple[Mark, ...], tuple[str, ...]]:
    """Marks of a row that can be used, and of each other one what is wrong with it.

    A row without the column, or with an empty one, has neither.
    """
    if value is None or value == "":
        return (), ()
    try:
        listed = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return (), ("places: not JSON",)
    if not isinstance(listed, list):
        return (), (f"places: expected a list, got {type(listed).__name__}",)
    marks, wrong = [], []
    for at, each in enumerate(listed):
        read = _read(each, sides)
        if isinstance(read, Mark):
            marks.append(read)
        else:
            wrong.append(f"places/{at}: {read}")
    return tuple(marks), tuple(wrong)


def _read(value: Any, sides: Mapping[str, Message]) -> Mark | str:
    try:
        mark = msgspec.convert(value, Mark)
    except msgspec.ValidationError as error:
        return str(error)
    text = text_of(sides[mark.side], mark) if mark.side in sides else None
    if text is None:
        return f"the {mark.side} side has no {mark.channel} of call {mark.call}"
    for start, end in (mark.span, mark.again or (0, 0)):
        if not 0 <= start <= end <= len(text):
            return f"[{start}, {end}] lies outside of {len(text)} characters"
    return mark
