"""Degenerate repetition in one answer: exact, drifting, near, white space, repeated elements.

In: the content, the reasoning and the arguments of each call, unstripped, each on its own. Out:
at most one of REP_WHITESPACE, REP_LOOP, REP_DRIFT, REP_NEAR per channel, and REP_ELEMENT for lists
and parallel calls (`elements`). The cascade runs from cheap to dear; the thresholds were measured
on about 26,000 real model outputs and 2,486 repository files (`docs/codes.md`).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from misstep.redact import clip
from misstep.types import Channel, Finding, Level, Loop
from misstep.validate.elements import asked_count, repeated_calls, repeated_elements
from misstep.validate.runs import Run, runs
from misstep.validate.strict_json import partial
from misstep.validate.validator import Step, Validator

MIN_LENGTH = 300
MIN_COUNT = 4.0
MIN_COUNT_SURE = 3.0
"""Enough where the answer was cut by its limit, or the run is half of the text."""
MIN_SHARE = 0.15
TRAILING_SPACE = 100
GAP_SPACE = 200
MASKED_LENGTH = 500
MASKED_COUNT = 8.0
MIN_LETTERS = 8
NEAR_LENGTH = 1000
NEAR_WINDOW = 200_000
"""Characters at the end of a text in which near repetition is counted, to bound the memory."""
GATE_RATIO = 2.8
"""Text that zlib (level 1) shrinks less than this holds no drifting or near repetition."""
CUT = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "incomplete"})

_VOLATILE = re.compile(r"\b[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]{4,}){0,4}\b|\d+")
_GAP = re.compile(r"[,:\[{]\s{200,}(?=[\"\[\]{}\d\-tfn]|\Z)")
_RULE = re.compile(r"[-=_*#~.+|:/\\ ]+\Z")
_BLOB = re.compile(r"[A-Za-z0-9+/=_-]{24}\Z")
_HEX = re.compile(r"[0-9a-fA-F\s:]{24}\Z")


@dataclass(frozen=True, slots=True)
class _Seen:
    """One finding of the cascade, before it knows its channel."""

    code: str
    level: Level
    run: Run
    said: str


def _check(step: Step) -> Iterator[Finding]:
    yield from _channel(step, "content", step.text)
    yield from _channel(step, "reasoning", step.reasoning)
    for index, call in enumerate(step.calls):
        yield from _channel(step, "arguments", call.arguments, call=index)
    yield from repeated_calls(step)


def _channel(
    step: Step, channel: Channel, text: str, *, call: int | None = None
) -> Iterator[Finding]:
    seen = look(text, step) if len(text) >= TRAILING_SPACE else None
    if seen is not None:
        run = seen.run
        yield step.find(
            seen.code,
            channel,
            level=seen.level,
            call=call,
            span=(run.start, run.end),
            evidence=seen.said,
            loop=Loop(
                onset=run.start,
                period=run.period,
                count=round(run.count, 2),
                share=round(run.length / len(text), 4),
                unit=clip(text[run.start : run.start + run.period], 200),
            ),
        )
    if channel != "reasoning":
        yield from _elements(step, channel, text, call)


def _elements(step: Step, channel: Channel, text: str, call: int | None) -> Iterator[Finding]:
    if len(text) < 40 or "[" not in text or text.lstrip()[:1] not in ("{", "["):
        return
    known = step.parsed if call is None else step.arguments[call]
    value = known.value if known is not None and known.ok else partial(text)
    yield from repeated_elements(step, channel, value, call=call)


def look(text: str, step: Step) -> _Seen | None:
    """The first kind of repetition that the cascade finds in a text."""
    return (
        _white_space(text)
        or _exact(text, step.finish in CUT)
        or (_inexact(text, step) if len(text) >= MASKED_LENGTH else None)
    )


def _white_space(text: str) -> _Seen | None:
    tail = len(text.rstrip())
    if len(text) - tail >= TRAILING_SPACE:
        run = Run(tail, len(text), 1)
        return _Seen("REP_WHITESPACE", "defect", run, f"{run.length} trailing white space")
    if text.lstrip()[:1] in ("{", "["):
        gap = _GAP.search(text)
        if gap is not None:
            run = Run(gap.start() + 1, gap.end(), 1)
            said = f"{run.length} white space characters between two JSON tokens"
            return _Seen("REP_WHITESPACE", "defect", run, said)
    return None


def _exact(text: str, cut: bool) -> _Seen | None:
    found: Run | None = None
    for run in runs(text, length=MIN_LENGTH, count=MIN_COUNT_SURE):
        if _is_loop(text, run, cut) and (found is None or run.length > found.length):
            found = run
    if found is None:
        return None
    unit = text[found.start : found.start + found.period]
    code = "REP_LOOP" if unit.strip() else "REP_WHITESPACE"
    return _Seen(code, "defect", found, _said(text, found))


def _is_loop(text: str, run: Run, cut: bool) -> bool:
    share = run.length / len(text)
    at_end = run.end >= len(text) - run.period
    enough = MIN_COUNT_SURE if cut or share >= 0.5 else MIN_COUNT
    if run.count < enough or not (share >= MIN_SHARE or at_end):
        return False
    return run.period > 4 or not _is_filler(text, run, share, at_end)


def _is_filler(text: str, run: Run, share: float, at_end: bool) -> bool:
    """A rule line, base64 padding or a hex dump: short units that are no loop."""
    unit = text[run.start : run.start + run.period]
    if not at_end and share < 0.5 and _RULE.match(unit):
        return True
    before = text[max(run.start - 24, 0) : run.start]
    after = text[run.end : run.end + 24]
    blobs = (_BLOB, _HEX)
    return any(p.match(before) or p.match(after) for p in blobs) and any(
        p.match((unit * 24)[:24]) for p in blobs
    )


def _said(text: str, run: Run) -> str:
    unit = text[run.start : run.start + min(run.period, 120)]
    share = 100 * run.length / len(text)
    return f"{run.count:.1f} times a unit of {run.period} characters, {share:.0f} %: {unit!r}"


def _inexact(text: str, step: Step) -> _Seen | None:
    ratio = _ratio(text, 1)
    if ratio < GATE_RATIO:
        return None
    masked = _VOLATILE.sub("#", text)
    return _drift(text, masked, step) or (
        _near(text, masked) if len(text) >= NEAR_LENGTH and ratio > 3 else None
    )


def _ratio(text: str, level: int) -> float:
    data = text.encode("utf-8", "surrogatepass")
    return len(data) / len(zlib.compress(data, level))


def _drift(text: str, masked: str, step: Step) -> _Seen | None:
    for run in runs(masked, length=MASKED_LENGTH, count=MASKED_COUNT):
        unit = masked[run.start : run.start + run.period]
        letters = sum(c.isalpha() for c in unit)
        if letters < MIN_LETTERS or run.length / len(masked) < MIN_SHARE:
            continue
        start, end = _unmasked(text, run.start), _unmasked(text, run.end)
        raw = Run(start, end, max(round((end - start) / run.count), 1))
        asked = asked_count(step)
        sure = step.finish in CUT or (asked is not None and run.count >= 3 * asked)
        said = f"with numbers masked, {_said(masked, run)}"
        return _Seen("REP_DRIFT", "defect" if sure else "suspect", raw, said)
    return None


def _unmasked(text: str, offset: int) -> int:
    """The offset in `text` of an offset in its masked form."""
    shift = 0
    for found in _VOLATILE.finditer(text):
        if found.start() - shift >= offset:
            break
        shift += len(found[0]) - 1
    return min(offset + shift, len(text))


def _near(text: str, masked: str) -> _Seen | None:
    ratio = _ratio(text, 6)
    if ratio <= 4:
        return None
    words = masked[-NEAR_WINDOW:].split()
    grams = list(zip(words, words[1:], words[2:], words[3:], strict=False))
    if not grams:
        return None
    repeated = 1 - len(set(grams)) / len(grams)
    if repeated > (0.5 if ratio > 5 else 0.6):
        said = f"{100 * repeated:.0f} % of 4-grams occur before, zlib ratio {ratio:.1f}"
        return _Seen("REP_NEAR", "suspect", Run(0, len(text), len(text)), said)
    return None


def _judges(step: Step) -> bool:
    """True for prose that is long enough to loop; a call is judged by its schema or its result."""
    return not step.calls and len(step.text) >= MIN_LENGTH


VALIDATOR = Validator(
    name="text_loop",
    codes=("REP_LOOP", "REP_WHITESPACE", "REP_DRIFT", "REP_ELEMENT", "REP_NEAR"),
    check=_check,
    judges=_judges,
)
