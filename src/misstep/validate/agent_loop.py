"""An agent that turns in a circle: the same call with the same result, the same error again.

In: a step with the session's exchanges. Out: LOOP_SAME_CALL and LOOP_ERROR on the step at which the
loop was first knowable and on each later one. Scope is one turn: the steps since the last message
by a human. Calls are equal by tool and canonical arguments, results by their exact text without
volatile tokens (ids, times, durations, temporary paths); a call without a result is not checkable.
Calls of one message count once: none of them could know the others' results.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from misstep.redact import clip
from misstep.types import Finding, Level, Loop
from misstep.validate.error_text import read_fault
from misstep.validate.strict_json import Parsed, parse
from misstep.validate.transcript import Exchange, Transcript
from misstep.validate.validator import Step, Validator

SUSPECT = 3
"""The same call with the same result this often in a turn is suspect."""
DEFECT = 4
"""This often it is a defect; with an error result and nothing between, `SUSPECT` times are."""
SAME_ERROR = 3
"""Steps in a row in which the same tool fails with the same error."""
COSMETIC = frozenset({"task_progress", "explanation", "description"})
"""Arguments that say why a call is made, not what it does."""

_VOLATILE = re.compile(
    r"""[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}   # uuid
    | \d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?  # time stamp
    | \b1[5-9]\d{8}(?:\d{3}|\d{6}|\d{9})?\b                            # unix time
    | \b(?:pid|process)\W{1,3}\d+
    | \b\d+(?:\.\d+)?\ ?(?:ms|µs|us|ns|s|secs?|seconds?|minutes?)\b    # duration
    | (?:/private)?/(?:tmp|var/folders)/[\w./-]+                       # temporary path
    | \[?(?:output|result)?\ ?truncated[^\n]{0,120}""",
    re.I | re.X,
)
_READS = re.compile(
    r"(?:get|list|read|search|find|view|show|check|query|fetch|look_?up|describe|count|glob|grep|"
    r"ls|cat|open|think|calculate|status|browse|web|inspect|retrieve|poll)",
    re.I,
)
_POLLS = re.compile(r"poll|wait|status|scroll|sleep|monitor|tail|progress|refresh|output", re.I)
_NOT_A_LOOP = frozenset({"infrastructure", "human", "knock-on"})


@dataclass(frozen=True, slots=True)
class _Hit:
    """One finding of the scan, before it is bound to its step."""

    code: str
    level: Level
    call: int
    evidence: str
    loop: Loop
    tags: tuple[str, ...] = ()


def _check(step: Step) -> Iterator[Finding]:
    for hit in step.transcript.once(_scan).get(step.index, ()):
        yield step.find(
            hit.code,
            "transcript",
            level=hit.level,
            call=hit.call,
            evidence=hit.evidence,
            loop=hit.loop,
            tags=hit.tags,
        )


def _scan(transcript: Transcript) -> dict[int, list[_Hit]]:
    hits: dict[int, list[_Hit]] = {}
    every = [e for made in transcript.exchanges.values() for e in made]
    for _, turn in groupby(every, key=lambda e: e.turn):
        exchanges = list(turn)
        if len(exchanges) >= SUSPECT:
            same = _same_calls(_turn(exchanges)) if _may_repeat(exchanges) else ()
            for step, hit in (*same, *_same_errors(exchanges, transcript)):
                hits.setdefault(step, []).append(hit)
    return hits


def _may_repeat(exchanges: Sequence[Exchange]) -> bool:
    """A quick look: false only where no call can have been made `SUSPECT` times."""
    counts: dict[tuple[str, Any], int] = {}
    for exchange in exchanges:
        if exchange.result is not None:
            key = (exchange.call.name, _outline(parse(exchange.call.arguments)))
            counts[key] = counts.get(key, 0) + 1
            if counts[key] >= SUSPECT:
                return True
    return False


def _outline(parsed: Parsed) -> Any:
    """What calls with the same `call_key` have in common, found without rendering them."""
    value = parsed.value
    if not parsed.ok or not isinstance(value, dict):
        return parsed.ok
    return frozenset((k, _ends(v)) for k, v in value.items() if k not in COSMETIC)


def _ends(value: Any) -> Any:
    if not isinstance(value, str):
        return type(value)
    stripped = value.strip()
    return stripped[:1], stripped[-1:]


def call_key(exchange: Exchange) -> tuple[str, str]:
    """Tool and canonical arguments: keys sorted, white space folded, cosmetic fields dropped."""
    parsed = parse(exchange.call.arguments)
    if not parsed.ok:
        return exchange.call.name, " ".join(exchange.call.arguments.split())
    value = parsed.value
    if isinstance(value, dict):
        value = {k: v for k, v in value.items() if k not in COSMETIC}
    return exchange.call.name, json.dumps(_folded(value), sort_keys=True)


def _folded(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, dict):
        return {k: _folded(v) for k, v in value.items()}
    return [_folded(v) for v in value] if isinstance(value, list) else value


def fingerprint(text: str) -> str:
    """The text of a result without what changes from run to run."""
    return _VOLATILE.sub("#", text).strip()


@dataclass(frozen=True, slots=True)
class _Turn:
    """The exchanges of one turn with what is derived from each once."""

    exchanges: Sequence[Exchange]
    keys: Sequence[tuple[str, str]]
    changes: Sequence[int]
    """How many of the exchanges up to here may have changed state: no reading tool, new result."""

    def changed(self, start: int, end: int) -> bool:
        """True where state may have changed between two exchanges."""
        return self.changes[end - 1] > self.changes[start]


def _turn(exchanges: Sequence[Exchange]) -> _Turn:
    keys = [call_key(exchange) for exchange in exchanges]
    seen: set[tuple[tuple[str, str], str]] = set()
    changes: list[int] = []
    for key, exchange in zip(keys, exchanges, strict=True):
        text = None if exchange.result is None else exchange.result.text
        new = text is not None and (key, text) not in seen and not _READS.match(key[0])
        changes.append((changes[-1] if changes else 0) + new)
        if text is not None:
            seen.add((key, text))
    return _Turn(exchanges, keys, changes)


def _same_calls(turn: _Turn) -> Iterator[tuple[int, _Hit]]:
    places: dict[tuple[str, str], list[int]] = {}
    for at, (key, exchange) in enumerate(zip(turn.keys, turn.exchanges, strict=True)):
        if exchange.result is not None:
            places.setdefault(key, []).append(at)
    for key, found in places.items():
        if len(found) < SUSPECT:
            continue
        by_result: dict[str, list[int]] = {}
        for at in found:
            result = turn.exchanges[at].result
            if result is not None:
                by_result.setdefault(fingerprint(result.text), []).append(at)
        for same in by_result.values():
            moved_on = same[-1] != found[-1] and _POLLS.search(key[0]) is not None
            if not moved_on:
                yield from _repeats(turn, same)


def _repeats(turn: _Turn, same: Sequence[int]) -> Iterator[tuple[int, _Hit]]:
    """Hits for one call with one result at the places `same`."""
    steps = [turn.exchanges[at].step for at in same]
    once = [at for i, at in enumerate(same) if not i or steps[i] != steps[i - 1]]
    result = turn.exchanges[same[0]].result
    fault = None if result is None else read_fault(result, turn.keys[same[0]][0])
    if len(once) < SUSPECT or (fault is not None and fault.cause in _NOT_A_LOOP):
        return
    name, arguments = turn.keys[same[0]]
    excused = all(turn.changed(a, b) for a, b in pairwise(once))
    for count in range(SUSPECT, len(once) + 1):
        at = once[count - 1]
        together = at - once[count - SUSPECT] == SUSPECT - 1
        sure = count >= DEFECT or (fault is not None and together)
        hit = _Hit(
            code="LOOP_SAME_CALL",
            level="info" if excused else "defect" if sure else "suspect",
            call=turn.exchanges[at].index,
            evidence=f"{count} times with the same result: {name}({clip(arguments, 160)})",
            loop=_loop(turn.exchanges, once[:count], f"{name} {arguments}"),
            tags=("redundant",) if excused else (),
        )
        yield turn.exchanges[at].step, hit


def _loop(exchanges: Sequence[Exchange], places: Sequence[int], unit: str) -> Loop:
    return Loop(
        onset=exchanges[places[0]].step,
        period=max((places[-1] - places[0]) // (len(places) - 1), 1),
        count=len(places),
        share=round(len(places) / len(exchanges), 4),
        unit=clip(unit, 200),
    )


def _same_errors(
    exchanges: Sequence[Exchange], transcript: Transcript
) -> Iterator[tuple[int, _Hit]]:
    """Hits for the same tool failing alike in step after step, whatever the arguments."""
    streak: list[int] = []
    last: tuple[str, str] | None = None
    for at, exchange in enumerate(exchanges):
        result = exchange.result
        fault = transcript.fault(exchange)
        if result is None or fault is None or fault.cause in _NOT_A_LOOP:
            streak, last = [], None
            continue
        key = (exchange.call.name, " ".join(fingerprint(result.text).split()))
        if key != last:
            streak, last = [], key
        elif exchange.step == exchanges[streak[-1]].step:
            continue
        streak.append(at)
        if len(streak) >= SAME_ERROR:
            said = f"{len(streak)} steps in a row: {key[0]} fails with {clip(key[1], 180)!r}"
            loop = _loop(exchanges, streak, f"{key[0]} {key[1]}")
            yield exchange.step, _Hit("LOOP_ERROR", "defect", exchange.index, said, loop)


def _judges(step: Step) -> bool:
    """A step is only told to turn in a circle, never told to be right because it does not."""
    return False


VALIDATOR = Validator(
    name="agent_loop",
    codes=("LOOP_SAME_CALL", "LOOP_ERROR"),
    check=_check,
    judges=_judges,
)
