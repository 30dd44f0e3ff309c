"""Nearly the same call again and again, and nothing new from it: suspect, never more.

In: a step with the session's exchanges. Out: LOOP_NEAR_CALL on a step whose call is the sixth or
later within the last 16 calls of its turn to the same tool, with nearly the same arguments and the
same result. Results are compared without ids and times and without what they quote from the
arguments; numbers in them count, since they are what a reading tool brings. Calls to tools that
change something are left out: working off a list, each item answered "ok", looks just the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from misstep.redact import clip
from misstep.types import Finding, Loop
from misstep.validate.agent_loop import fingerprint
from misstep.validate.excuses import asked_times, polls
from misstep.validate.quoted import without_arguments
from misstep.validate.transcript import Exchange, Transcript
from misstep.validate.turns import Turn, turns
from misstep.validate.validator import Step, Validator

NEAR = 6
"""Calls within the window (detectors.md 2.2)."""
WINDOW = 16
"""Calls of the turn that are looked back on (detectors.md 2.2)."""
OVERLAP = 0.8
"""Jaccard index of the words of two argument texts (detectors.md 2.2)."""

_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+")
_WRITES = re.compile(
    r"(?:\w+[._])?(?:update|create|add|set|delete|remove|send|write|insert|put|post|move|edit|"
    r"book|cancel|assign|mark|click|press|type|append|replace|store|save|upload|submit|issue)",
    re.I,
)


@dataclass(frozen=True, slots=True)
class _Call:
    """What is compared of one call; its result is only read where the arguments are alike."""

    step: int
    key: tuple[str, str]
    words: frozenset[str]
    masked: str

    def near(self, other: _Call) -> bool:
        """True for the same tool with nearly the same arguments."""
        if self.key[0] != other.key[0]:
            return False
        if self.masked == other.masked:
            return True
        shared = len(self.words & other.words)
        return shared >= OVERLAP * (len(self.words) + len(other.words) - shared) > 0


def _check(step: Step) -> Iterator[Finding]:
    found = step.transcript.once(_scan).get(step.index)
    if found is not None:
        call, evidence, loop = found
        yield step.find("LOOP_NEAR_CALL", "transcript", call=call, evidence=evidence, loop=loop)


def _scan(transcript: Transcript) -> dict[int, tuple[int, str, Loop]]:
    hits: dict[int, tuple[int, str, Loop]] = {}
    for turn in turns(transcript, NEAR):
        often = Counter(exchange.call.name for exchange in turn.exchanges)
        names = {name for name, n in often.items() if n >= NEAR and not _WRITES.match(name)}
        if names:
            asked = asked_times(transcript.session, turn.exchanges[0].turn)
            for at, loop in _loops(turn, names):
                made = turn.exchanges[at]
                if loop.count > asked:
                    said = f"{loop.count:.0f} times nearly the same call with the same result: "
                    hits[made.step] = (made.index, said + loop.unit, loop)
    return hits


def _loops(turn: Turn, names: set[str]) -> Iterator[tuple[int, Loop]]:
    open_to: dict[str, list[int]] = {}
    seen: dict[int, _Call] = {}
    results: dict[int, str] = {}
    for at, exchange in enumerate(turn.exchanges):
        if exchange.call.name not in names or exchange.result is None or exchange.blind:
            continue
        if turn.excused(at) or polls(*turn.keys[at]):
            continue
        same_tool = open_to.setdefault(exchange.call.name, [])
        same_tool.append(at)
        like = [i for i in same_tool[-WINDOW:] if i > at - WINDOW]
        if len(like) < NEAR:
            continue  # so few of one tool need not be compared
        for i in like:
            if i not in seen:
                seen[i] = _call(turn, i)
        call = seen[at]
        like = [i for i in like if call.near(seen[i])]
        if len(like) < NEAR:
            continue
        for i in like:
            if i not in results:
                results[i] = _result(turn.exchanges[i])
        like = [i for i in like if results[i] == results[at]]
        steps = {seen[i].step for i in like}
        if len(steps) >= NEAR and len({seen[i].key for i in like}) > 1:
            yield (
                at,
                Loop(
                    onset=seen[like[0]].step,
                    period=max((like[-1] - like[0]) // (len(like) - 1), 1),
                    count=len(steps),
                    share=round(len(like) / len(turn.exchanges), 4),
                    unit=clip("{}({})".format(*call.key), 200),
                ),
            )


def _call(turn: Turn, at: int) -> _Call:
    key = turn.keys[at]
    return _Call(
        step=turn.exchanges[at].step,
        key=key,
        words=frozenset(_WORD.findall(key[1][:4000])),
        masked=_NUMBER.sub("#", key[1]),
    )


def _result(exchange: Exchange) -> str:
    text = "" if exchange.result is None else exchange.result.text
    return without_arguments(fingerprint(text), exchange.call.arguments)


VALIDATOR = Validator(name="agent_near", codes=("LOOP_NEAR_CALL",), check=_check, scan=_scan)
