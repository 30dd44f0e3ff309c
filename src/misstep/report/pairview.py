"""Pair rows made ready for the page: prompt tail, both sides as blocks, differences and marks.

In: pair rows (chat messages, see `RunView.pairs`). Out: `PairView`s of plain text runs; the
template only escapes and lays out. Long texts are shortened around what matters, and say so.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from rapidfuzz.distance import Indel

from misstep.report.view import Row
from misstep.report.words import visible

MAX_TEXT = 4_000
"""Characters shown of one block of an answer."""
MAX_PROMPT = 1_500
"""Characters shown of one message of the prompt."""
PROMPT_TAIL = 4
"""Last messages of the prompt that are shown."""
_MAX_DIFF = 12_000
"""Characters above which texts are shown without their differences."""
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")

Look = Literal["", "diff", "mark", "diff mark", "gap"]
_LOOKS: Mapping[tuple[bool, bool], Look] = {
    (False, False): "",
    (True, False): "diff",
    (False, True): "mark",
    (True, True): "diff mark",
}


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of text that looks the same: differs from the other side, holds a finding."""

    text: str
    look: Look = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One part of a message."""

    kind: Literal["text", "reasoning", "call", "result", "error"]
    title: str
    """For a call: the tool's name."""
    runs: tuple[Run, ...]
    named: bool = False
    """Whether the title is what a finding is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message of the prompt."""

    role: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairView:
    """One pair, ready to lay out."""

    number: int
    id: str
    source: str
    codes: tuple[str, ...]
    family: str
    edits: tuple[str, ...]
    tools: tuple[str, ...]
    called: tuple[str, ...]
    """Tools that the rejected side calls, each once."""
    earlier: int
    """Messages of the prompt before the tail that is shown."""
    tail: tuple[Turn, ...]
    chosen: tuple[Block, ...]
    rejected: tuple[Block, ...]
    evidence: tuple[tuple[str, str], ...]
    """(code, what was expected and what was got)."""
    from_chosen: str
    from_rejected: str
    place: str = ""
    """The step of the log whose prompt it is."""
    chosen_size: int = 0
    """Characters of the whole chosen side, of texts and arguments."""
    rejected_size: int = 0


@dataclass(frozen=True, slots=True)
class _Raw:
    """A part of a chat message before marking; offsets of marks point into `text`."""

    kind: Literal["text", "reasoning", "call"]
    title: str
    text: str
    call: int | None = None


def pair_view(row: Row, number: int) -> PairView:
    """One pair row made ready."""
    prompt = _list(row.get("prompt"))
    chosen, rejected = (_answer(row.get(side)) for side in ("chosen", "rejected"))
    marks = [mark for mark in _list(row.get("marks")) if isinstance(mark, dict)]
    tools = _list(row.get("tools"))
    return PairView(
        number=number,
        id=str(row.get("id") or ""),
        source=str(row.get("source") or "unknown"),
        codes=_words(row.get("codes")),
        family=str(row.get("family") or ""),
        edits=_words(row.get("edits")),
        tools=tuple(dict.fromkeys(_tool_name(tool) for tool in tools)),
        called=tuple(dict.fromkeys(raw.title for raw in rejected if raw.kind == "call")),
        earlier=max(0, len(prompt) - PROMPT_TAIL),
        tail=tuple(_turn(message) for message in prompt[-PROMPT_TAIL:]),
        chosen=tuple(_sides(chosen, rejected, ())),
        rejected=tuple(_sides(rejected, chosen, marks)),
        evidence=tuple(
            (str(m.get("code") or ""), visible(str(m["evidence"])))
            for m in marks
            if m.get("evidence")
        ),
        from_chosen=_origins(row.get("origin_chosen")),
        from_rejected=_origins(row.get("origin_rejected")),
        place=_place(row),
        chosen_size=sum(len(raw.text) for raw in chosen),
        rejected_size=sum(len(raw.text) for raw in rejected),
    )


def _answer(side: Any) -> list[_Raw]:
    messages = side if isinstance(side, list) else [side]
    return [raw for message in messages for raw in _raws(message)]


def _raws(message: Any) -> Iterator[_Raw]:
    """The parts of one chat message; anything that is no message is shown as JSON."""
    if not isinstance(message, dict):
        yield _Raw("text", "", _text(message))
        return
    reasoning = message.get("reasoning_content") or message.get("thinking")
    if reasoning:
        yield _Raw("reasoning", "reasoning", _text(reasoning))
    content = message.get("content")
    if content:
        yield _Raw("text", "", _text(content))
    for index, call in enumerate(_list(message.get("tool_calls"))):
        inner = call.get("function", call) if isinstance(call, dict) else None
        body = inner if isinstance(inner, dict) else {"arguments": call}
        yield _Raw("call", str(body.get("name") or ""), _text(body.get("arguments")), index)


def _turn(message: Any) -> Turn:
    role = str(message.get("role") or "") if isinstance(message, dict) else ""
    blocks = (
        Block(kind=r.kind, title=visible(r.title), runs=_shorten([Run(r.text)], MAX_PROMPT))
        for r in _raws(message)
    )
    return Turn(role=visible(role), blocks=tuple(blocks))


def _sides(own: Sequence[_Raw], other: Sequence[_Raw], marks: Iterable[Row]) -> Iterator[Block]:
    """Own blocks with the differences to the other side's block of the same kind and place."""
    marked = list(marks)
    for i, raw in enumerate(own):
        place = sum(1 for each in own[:i] if each.kind == raw.kind)
        peers = [each for each in other if each.kind == raw.kind]
        differs = _differs(raw.text, peers[place].text) if place < len(peers) else []
        spans = [span for mark in marked if (span := _span(mark, raw)) is not None]
        runs = list(_runs(raw.text, differs, spans))
        named = any(mark.get("named") and mark.get("call") in (None, raw.call) for mark in marked)
        yield Block(
            kind=raw.kind,
            title=visible(raw.title),
            runs=_shorten(runs, MAX_TEXT),
            named=named and raw.kind == "call",
        )


def _span(mark: Row, raw: _Raw) -> tuple[int, int] | None:
    channel = {"text": "content", "reasoning": "reasoning", "call": "arguments"}[raw.kind]
    if mark.get("channel") != channel or mark.get("call") not in (None, raw.call):
        return None
    start, end = mark.get("start"), mark.get("end")
    if not isinstance(start, int) or not isinstance(end, int):
        return None
    return max(0, start), min(len(raw.text), end)


def _differs(text: str, other: str) -> list[tuple[int, int]]:
    """Stretches of `text` that the other text lacks; none where either is too long."""
    if max(len(text), len(other)) > _MAX_DIFF:
        return []
    own, peer = _TOKEN.findall(text), _TOKEN.findall(other)
    starts = [0]
    for token in own:
        starts.append(starts[-1] + len(token))
    return [
        (starts[op.src_start], starts[op.src_end])
        for op in Indel.opcodes(own, peer)
        if op.tag == "delete"
    ]


def _runs(
    text: str, differs: Sequence[tuple[int, int]], marks: Sequence[tuple[int, int]]
) -> Iterator[Run]:
    """Cut the text wherever a difference or a mark begins or ends."""
    steps: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for which, spans in enumerate((differs, marks)):
        for start, end in spans:
            if start < end:
                steps[start][which] += 1
                steps[end][which] -= 1
    diff = mark = at = 0
    for edge in (*sorted(steps), len(text)):
        if at < edge:
            yield Run(text[at:edge], _LOOKS[diff > 0, mark > 0])
            at = edge
        diff += steps[edge][0]
        mark += steps[edge][1]


def _shorten(runs: Sequence[Run], most: int) -> tuple[Run, ...]:
    """At most `most` characters; plain stretches give way first, and every cut says how much."""
    budget = most - sum(min(len(r.text), most // 4) for r in runs if r.look)
    plain = max(1, sum(1 for r in runs if not r.look))
    total = 0
    kept: list[Run] = []
    for run in runs:
        allowed = most // 4 if run.look else max(80, budget // plain)
        if total > most:
            allowed = 0
        total += min(len(run.text), allowed)
        kept.extend(_clip(run, allowed))
    return tuple(Run(visible(run.text), run.look) for run in kept if run.text)


def _clip(run: Run, allowed: int) -> Iterator[Run]:
    extra = len(run.text) - allowed
    if extra <= 40:
        yield run
        return
    half = allowed // 2
    yield Run(run.text[:half], run.look)
    yield Run(f" … {extra:,} characters left out … ", "gap")
    if half:
        yield Run(run.text[-half:], run.look)


def _list(value: Any) -> list[Any]:
    """A list, also where it was stored as JSON text."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return []
    return list(value) if isinstance(value, (list, tuple)) else []


def _text(value: Any) -> str:
    """Text as it is; a list of content parts as its texts; anything else as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(p, dict) and "text" in p for p in value):
        return "".join(str(p["text"]) for p in value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _words(value: Any) -> tuple[str, ...]:
    return tuple(visible(str(word)) for word in value) if isinstance(value, (list, tuple)) else ()


def _tool_name(tool: Any) -> str:
    body = tool.get("function", tool) if isinstance(tool, dict) else {}
    return visible(str(body.get("name") or "?") if isinstance(body, dict) else "?")


def _place(row: Row) -> str:
    if not row.get("session"):
        return ""
    return visible(f"session {row['session']} step {row.get('step')}")


def _origins(value: Any) -> str:
    """`file:line` of each origin, comma-separated."""
    rows = value if isinstance(value, (list, tuple)) else [value] if value else []
    places = []
    for row in rows:
        if isinstance(row, dict):
            line = f":{row['line']}" if row.get("line") else ""
            places.append(f"{row.get('file') or ''}{line}")
        else:
            places.append(str(row))
    return visible(", ".join(place for place in places if place))
