"""Degenerate repetition in one answer: exact, drifting, near, white space, repeated elements.

In: the content, the reasoning and the arguments of each call, unstripped, each on its own. Out:
at most one of REP_WHITESPACE, REP_LOOP, REP_DRIFT, REP_NEAR per channel, and REP_ELEMENT for lists
and parallel calls (`elements`). The cascade runs from cheap to dear; the thresholds were measured
on about 26,000 real model outputs and 2,486 repository files (`docs/codes.md`).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from misstep.redact import cut
from misstep.types import Channel, Finding, Level, Loop
from misstep.validate.elements import asked_count, repeated_calls, repeated_elements
from misstep.validate.excuses import asked_for
from misstep.validate.runs import MAX_PERIOD, Run, runs
from misstep.validate.strict_json import partial
from misstep.validate.validator import Step, Validator

MIN_LIST = 40
"""Characters of the shortest JSON text in which lists are looked at."""
MIN_LENGTH = 300
"""Characters of prose from which this validator can fail a step."""
SURE = 1.0
"""So many periods fewer are enough where the limit cut the answer or the run is half the text."""
SURE_LENGTH = 600
"""Half the text counts as sure only from here on: three like functions are no loop yet (measured
on the labelled answers, `benchmarks/parts/text_loops.py`)."""
MIN_SHARE = 0.15
BIG_SHARE, BIG_COUNT, BIG_LENGTH = 0.3, 10.0, 1000
"""A run that the text went on after is a loop if it is large by one of these, too: else unrolled
code and tables of one value are taken for loops (measured, same place)."""
MASKED_LENGTH = 500
MASKED_COUNT = 8.0
MIN_LETTERS = 8
FEW_LETTERS, FEW_COUNT = 4, 40.0
"""A unit of few letters ("Chapter 12 | ") so often, cut by the limit, is a runaway counter."""
ITEM_LETTERS, ITEM_COUNT = 20, 12.0
"""A numbered list of this many items of so many letters that differ in their ordinal alone."""
NEAR_LENGTH = 1000
NEAR_WINDOW = 200_000
"""Characters at the end of a text in which near repetition is counted, to bound the memory."""
GATE_RATIO = 2.8
"""Text that zlib (level 1) shrinks less than this holds no drifting or near repetition."""
PROBES = tuple(i * 0.6180339887 % 1 for i in range(1, 13))
"""Places in a text at which it is first asked whether seven characters come again; spread by the
golden ratio, since even steps would fall in step with a loop."""
FEW_PROBES = 4
"""Fewer that come again, and there is no drifting or near repetition (each labelled loop has 5 or
more; 73 % of ordinary answers have fewer, and are spared the compression)."""
GAP = 200
"""White space characters on end inside a JSON text that are a flood."""
MOST_MISSED = len(PROBES) - FEW_PROBES
CUT = frozenset(
    {
        "length",
        "max_tokens",
        "max_output_tokens",
        "model_length",
        "incomplete",
        "model_context_window_exceeded",
    }
)

_VOLATILE = re.compile(r"\b[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]{4,}){0,4}\b|\d+")
_DIGITS = re.compile(r"\d+")
_HEX_AS_X = bytes.maketrans(
    bytes(range(256)),
    bytes(ord("x") if chr(byte) in "0123456789abcdefABCDEF" else ord(" ") for byte in range(256)),
)
_GAP = re.compile(r"[,:\[{]\s{" + str(GAP) + r",}(?=[\"\[\]{}\d\-tfn]|\Z)")
_ITEM = re.compile(r"[\s*_-]*#[.):][^#]*\Z")
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


def _check(step: Step) -> Iterable[Finding]:
    long, calls = min(step.settings.limits.loop_length, GAP), step.calls
    if len(calls) > 1 or _worth(step.text, long) or _worth(step.reasoning, long):
        return _found(step)
    return _found(step) if calls and _worth(calls[0].arguments, long) else ()


def _found(step: Step) -> Iterator[Finding]:
    if step.text:
        yield from _channel(step, "content", step.text)
    if step.reasoning:
        yield from _channel(step, "reasoning", step.reasoning)
    for index, call in enumerate(step.calls):
        yield from _channel(step, "arguments", call.arguments, call=index)
    if len(step.calls) > 1:
        yield from repeated_calls(step)


def _worth(text: str, long: int) -> bool:
    """A quick look: false only for a short text without a list and without white space behind."""
    return len(text) >= long or "[" in text or text[-1:].isspace()


def _channel(
    step: Step, channel: Channel, text: str, *, call: int | None = None
) -> Iterator[Finding]:
    seen = look(text, step) if len(text) >= step.settings.limits.shortest else None
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
                unit=cut(text, run.start, run.start + min(run.period, 200))[:200],
            ),
        )
    if channel != "reasoning":
        yield from _elements(step, channel, text, call)


def _elements(step: Step, channel: Channel, text: str, call: int | None) -> Iterator[Finding]:
    if len(text) < MIN_LIST or "[" not in text or text.lstrip()[:1] not in ("{", "["):
        return
    known = step.parsed if call is None else step.arguments[call]
    value = known.value if known is not None and known.ok else partial(text)
    yield from repeated_elements(step, channel, value, call=call)


def look(text: str, step: Step) -> _Seen | None:
    """The first kind of repetition that the cascade finds in a text."""
    size, limits = len(text), step.settings.limits
    return (
        _white_space(text, limits.trailing_space)
        or (_exact(text, step) if size >= limits.loop_length else None)
        or (_inexact(text, step) if size >= MASKED_LENGTH else None)
    )


def _white_space(text: str, flood: int) -> _Seen | None:
    if text[-1:].isspace():
        tail = len(text.rstrip())
        if len(text) - tail >= flood:
            run = Run(tail, len(text), 1)
            return _Seen("REP_WHITESPACE", "defect", run, f"{run.length} trailing white space")
    # a gap of GAP characters holds one of the places at which is looked here
    if any(map(str.isspace, text[GAP - 1 :: GAP])) and text.lstrip()[:1] in ("{", "["):
        gap = _GAP.search(text)
        if gap is not None:
            run = Run(gap.start() + 1, gap.end(), 1)
            said = f"{run.length} white space characters between two JSON tokens"
            return _Seen("REP_WHITESPACE", "defect", run, said)
    return None


def _exact(text: str, step: Step) -> _Seen | None:
    limits, cut = step.settings.limits, step.finish in CUT
    every = [
        run
        for run in runs(text, length=limits.loop_length, count=limits.loop_count - SURE)
        if run.period > 4 or not is_filler(text, run)
    ]
    loops = [run for run in every if _is_loop(text, run, cut, limits.loop_count)]
    if not loops or max(run.count for run in loops) <= asked_for(step):
        return None
    found = _earliest(text, max(loops, key=lambda run: run.length), every)
    unit = text[found.start : found.start + found.period]
    code = "REP_LOOP" if unit.strip() else "REP_WHITESPACE"
    return _Seen(code, "defect", found, _said(text, found, _unit(text, found)))


def _is_loop(text: str, run: Run, cut: bool, count: float) -> bool:
    share = run.length / len(text)
    sure = cut or (share >= 0.5 and run.length >= SURE_LENGTH)
    if run.count < (count - SURE if sure else count):
        return False
    if run.end >= len(text) - run.period:
        return True
    large = share >= BIG_SHARE or run.count >= BIG_COUNT or run.length >= BIG_LENGTH
    return share >= MIN_SHARE and large and (share >= 0.5 or _has_letters(text, run))


def _has_letters(text: str, run: Run) -> bool:
    return any(map(str.isalpha, text[run.start : run.start + run.period]))


def _earliest(text: str, loop: Run, every: Sequence[Run]) -> Run:
    """The first run with the unit of `loop`: what was interrupted began there."""
    twice = 2 * text[loop.start : loop.start + loop.period]
    for run in every:
        if run.period == loop.period and text[run.start : run.start + run.period] in twice:
            return run
    return loop


def is_filler(text: str, run: Run) -> bool:
    """A rule line, base64 padding or a hex dump: short units that are no loop."""
    unit = text[run.start : run.start + run.period]
    at_end = run.end >= len(text) - run.period
    if not at_end and run.length < len(text) / 2 and _RULE.match(unit):
        return True
    before = text[max(run.start - 24, 0) : run.start]
    after = text[run.end : run.end + 24]
    blobs = (_BLOB, _HEX)
    return any(p.match(before) or p.match(after) for p in blobs) and any(
        p.match((unit * 24)[:24]) for p in blobs
    )


def _unit(text: str, run: Run) -> str:
    return cut(text, run.start, run.start + min(run.period, 120))


def _said(text: str, run: Run, unit: str) -> str:
    share = 100 * run.length / len(text)
    return f"{run.count:.1f} times a unit of {run.period} characters, {share:.0f} %: {unit!r}"


def _inexact(text: str, step: Step) -> _Seen | None:
    if not _recurs(text):
        return None
    data = text.encode("utf-8", "surrogatepass")
    ratio = len(data) / len(zlib.compress(data, 1))
    if ratio < GATE_RATIO:
        return None
    long = b"x" * 8 in data.translate(_HEX_AS_X)
    mask = _VOLATILE if long else _DIGITS
    masked = mask.sub("#", text)
    return _drift(text, masked, step, mask) or (
        _near(text, masked)
        if len(text) >= NEAR_LENGTH and ratio > 3 and not asked_for(step)
        else None
    )


def _recurs(text: str) -> bool:
    """A cheap look: false only where hardly anything in the text comes again."""
    size, find, seen = len(text), text.find, 0
    missed = 0
    for probe in PROBES:
        at = int(size * probe)
        if find(text[at : at + 7], at + 1, at + MAX_PERIOD) >= 0:
            seen += 1
            if seen == FEW_PROBES:
                return True
        else:
            missed += 1
            if missed > MOST_MISSED:
                return False
    return False


def _ratio(text: str, level: int) -> float:
    data = text.encode("utf-8", "surrogatepass")
    return len(data) / len(zlib.compress(data, level))


def _drift(text: str, masked: str, step: Step, mask: re.Pattern[str]) -> _Seen | None:
    for run in runs(masked, length=MASKED_LENGTH, count=MASKED_COUNT):
        unit = masked[run.start : run.start + run.period]
        letters = sum(map(str.isalpha, unit))
        level = _drifts(unit, letters, run, step)
        if level is None or run.length / len(masked) < MIN_SHARE:
            continue
        start, end = _unmasked(text, run.start), _unmasked(text, run.end)
        raw = Run(start, end, max(round((end - start) / run.count), 1))
        shown = mask.sub("#", _unit(text, raw))  # a masked secret is no pattern any more
        said = f"with numbers masked, {_said(masked, run, shown)}"
        return _Seen("REP_DRIFT", level, raw, said)
    return None


def _drifts(unit: str, letters: int, run: Run, step: Step) -> Level | None:
    """How sure a drifting run is; None for a counter or a table."""
    if run.count <= asked_for(step):
        return None
    asked, cut = asked_count(step), step.finish in CUT
    beyond = asked is not None and run.count >= 3 * asked
    if letters < MIN_LETTERS:
        runaway = letters >= FEW_LETTERS and run.count >= FEW_COUNT
        wanted = asked is not None and run.count <= asked
        return "defect" if runaway and cut and not wanted else None
    items = letters >= ITEM_LETTERS and run.count >= ITEM_COUNT and _is_item(unit)
    return "defect" if cut or beyond or items else "suspect"


def _is_item(unit: str) -> bool:
    """True for one item of a numbered list, whichever character of it comes first."""
    head, _, tail = unit.rpartition("\n")
    return unit.count("#") == 1 and _ITEM.match(tail + head) is not None


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
    return not step.calls and (len(step.text) >= MIN_LENGTH or _transcribes(step))


def _transcribes(step: Step) -> bool:
    """True for text of any length that answers an image, where neither JSON nor a call was due.

    All that can be asked of such an answer without gold is that it is there, whole and no loop.
    """
    if step.parsed is not None or step.withheld or step.context.tools:
        return False
    if step.message.end == "cut" or not step.text.strip():
        return False
    for message in reversed(step.session.messages[: step.index]):
        if message.role == "assistant":
            return False
        if any(part.kind == "image" for part in message.parts):
            return True
    return False


VALIDATOR = Validator(
    name="text_loop",
    codes=("REP_LOOP", "REP_WHITESPACE", "REP_DRIFT", "REP_ELEMENT", "REP_NEAR"),
    check=_check,
    judges=_judges,
)
