"""An agent that turns in a circle: the same call with the same result, again and again.

In: a step with the session's exchanges. Out: LOOP_SAME_CALL on the step at which the loop was first
knowable and on each later one. Scope is one turn: the steps since the last message by a human.
Calls are equal by tool and canonical arguments, results by their exact text without volatile tokens
(ids, times, durations, temporary paths); a call without a result is not checkable. Calls of one
message count once: none of them could know the others' results.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, pairwise
from operator import attrgetter
from typing import Any

from misstep.redact import clip
from misstep.types import Finding, Level, Loop
from misstep.validate.error_text import read_fault
from misstep.validate.excuses import NOT_A_LOOP, asked_times, polls, reads, waits
from misstep.validate.strict_json import parse
from misstep.validate.transcript import Exchange, Transcript
from misstep.validate.validator import Step, Validator

SUSPECT = 3
"""The same call with the same result this often in a turn is suspect, unless `limits.same_call`
says another number; once more is a defect, and so are this many in a row with an error result."""
COSMETIC = frozenset({"task_progress", "explanation", "description"})
"""Arguments that say why a call is made, not what it does."""

_TURN = attrgetter("turn")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.I)
_NUMBERED = re.compile(
    r"""[0-9](?:
      [0-9]{3}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:[Zz]|[+-]\d\d:?\d\d)?  # time stamp
    | (?<!\w[0-9])(?:
        (?<=1)[5-9]\d{8}(?:\d{3}|\d{6}|\d{9})?\b                              # unix time
      | \d*(?:\.\d+)?\ ?(?i:[mµun]?s|secs?|seconds?|minutes?)\b                # duration
      )
    )""",
    re.X,
)
_WORDED = (
    ("pid", re.compile(r"\bpid\W{1,3}\d+", re.I)),
    ("process", re.compile(r"\bprocess\W{1,3}\d+", re.I)),
    ("tmp/", re.compile(r"(?:/private)?/tmp/[\w./-]+")),
    ("/var/folders/", re.compile(r"(?:/private)?/var/folders/[\w./-]+")),
    ("truncated", re.compile(r"\[?(?:output|result)?\ ?truncated[^\n]{0,120}", re.I)),
)
"""Volatile tokens by a word that stands in each: a text without the word is not searched."""


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
    limit = transcript.limits.same_call
    for _, turn in groupby(transcript.every, key=_TURN):
        exchanges = list(turn)
        if len(exchanges) >= limit - 1 and _may_repeat(exchanges, limit - 1):
            asked = asked_times(transcript.session, exchanges[0].turn)
            for step, hit in _same_calls(_turn(exchanges, limit), max(asked, limit - 2)):
                hits.setdefault(step, []).append(hit)
    return hits


def _may_repeat(exchanges: Sequence[Exchange], often: int) -> bool:
    """A quick look: false only where no call can have been made so `often`."""
    by_name: dict[str, list[Exchange]] = {}
    for exchange in exchanges:
        if exchange.result is not None:
            by_name.setdefault(exchange.call.name, []).append(exchange)
    return any(
        max(Counter(map(outline_of, made)).values()) >= often
        for made in by_name.values()
        if len(made) >= often
    )


def outline_of(exchange: Exchange) -> Any:
    """What calls with the same `call_key` have in common, found without rendering them."""
    return outline(exchange.call.arguments)


@lru_cache(maxsize=512)
def outline(arguments: str) -> Any:
    """What calls with the same `call_key` have in common, found without rendering them."""
    parsed = parse(arguments)
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
    return exchange.call.name, _canonical(exchange.call.arguments)


@lru_cache(maxsize=512)
def _canonical(arguments: str) -> str:
    parsed = parse(arguments)
    if not parsed.ok:
        return " ".join(arguments.split())
    value = parsed.value
    if isinstance(value, dict):
        value = {k: v for k, v in value.items() if k not in COSMETIC}
    return json.dumps(_folded(value), sort_keys=True)


def _folded(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, dict):
        return {k: _folded(v) for k, v in value.items()}
    return [_folded(v) for v in value] if isinstance(value, list) else value


def fingerprint(text: str) -> str:
    """The text of a result without what changes from run to run."""
    if text.count("-") >= 4:
        text = _UUID.sub("#", text)
    text = _NUMBERED.sub("#", text)
    low = text.lower()
    for word, pattern in _WORDED:
        if word in low:
            text = pattern.sub("#", text)
    return text.strip()


@dataclass(frozen=True, slots=True)
class _Turn:
    """The exchanges of one turn with what is derived from each once."""

    exchanges: Sequence[Exchange]
    keys: Sequence[tuple[str, str]]
    changes: Sequence[int]
    """How many of the exchanges up to here may have changed state: no reading tool, new result."""
    limit: int
    """Calls that are a defect."""

    def changed(self, start: int, end: int) -> bool:
        """True where state may have changed between two exchanges."""
        return self.changes[end - 1] > self.changes[start]


def _turn(exchanges: Sequence[Exchange], limit: int) -> _Turn:
    keys = [call_key(exchange) for exchange in exchanges]
    seen: set[tuple[tuple[str, str], str]] = set()
    changes: list[int] = []
    for key, exchange in zip(keys, exchanges, strict=True):
        text = None if exchange.result is None else exchange.result.text
        new = text is not None and (key, text) not in seen and not reads(*key)
        changes.append((changes[-1] if changes else 0) + new)
        if text is not None:
            seen.add((key, text))
    return _Turn(exchanges, keys, changes, limit)


def _same_calls(turn: _Turn, excused: int) -> Iterator[tuple[int, _Hit]]:
    places: dict[tuple[str, str], list[int]] = {}
    for at, (key, exchange) in enumerate(zip(turn.keys, turn.exchanges, strict=True)):
        if exchange.result is not None and not exchange.blind:
            places.setdefault(key, []).append(at)
    for key, found in places.items():
        if len(found) <= excused:
            continue
        by_result: dict[str, list[int]] = {}
        for at in found:
            result = turn.exchanges[at].result
            if result is not None:
                by_result.setdefault(fingerprint(result.text), []).append(at)
        for same in by_result.values():
            moved_on = same[-1] != found[-1] and polls(*key)
            between = same[-1] - same[0] >= len(same)
            if not moved_on and not (between and waits(*key)):
                yield from _repeats(turn, same, excused)


def _repeats(turn: _Turn, same: Sequence[int], excused: int) -> Iterator[tuple[int, _Hit]]:
    """Hits for one call with one result at the places `same`, more often than `excused`."""
    steps = [turn.exchanges[at].step for at in same]
    once = [at for i, at in enumerate(same) if not i or steps[i] != steps[i - 1]]
    result = turn.exchanges[same[0]].result
    fault = None if result is None else read_fault(result, turn.keys[same[0]][0])
    limit = turn.limit
    if len(once) <= excused or (fault is not None and fault.cause in NOT_A_LOOP):
        return
    name, arguments = turn.keys[same[0]]
    idle, busy = 1, True  # calls since the last change of state; whether each pair has one between
    for count, (before, at) in enumerate(pairwise(once), start=2):
        changed = turn.changed(before, at)
        idle, busy = (1 if changed else idle + 1), busy and changed
        if count <= excused:
            continue
        together = fault is not None and at - once[count - min(count, limit - 1)] == limit - 2
        sure = idle >= limit or (together and idle >= limit - 1)
        yield (
            turn.exchanges[at].step,
            _Hit(
                code="LOOP_SAME_CALL",
                level="info" if busy else "defect" if sure else "suspect",
                call=turn.exchanges[at].index,
                evidence=f"{count} times with the same result: {name}({clip(arguments, 160)})",
                loop=_loop(turn.exchanges, once[:count], f"{name} {arguments}"),
                tags=("redundant",) if busy else (),
            ),
        )


def _loop(exchanges: Sequence[Exchange], places: Sequence[int], unit: str) -> Loop:
    return Loop(
        onset=exchanges[places[0]].step,
        period=max((places[-1] - places[0]) // (len(places) - 1), 1),
        count=len(places),
        share=round(len(places) / len(exchanges), 4),
        unit=clip(unit, 200),
    )


VALIDATOR = Validator(
    name="agent_loop",
    codes=("LOOP_SAME_CALL",),
    check=_check,
    scan=_scan,
)
