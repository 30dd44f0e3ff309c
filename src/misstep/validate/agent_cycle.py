"""Cycles: a block of 2 to 6 steps made again and again, with the same calls and the same results.

In: a step with the session's exchanges. Out: LOOP_CYCLE on the step that completes the third round
without a gap, and on each later step that still goes round. The scope is one turn. Results belong
to the block: an edit-test cycle, paging or polling whose results change is none. Steps are compared
whole, with all their parallel calls; a step with a result that is not there equals no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from misstep.redact import clip
from misstep.types import Finding, Loop
from misstep.validate.agent_loop import outline
from misstep.validate.excuses import asked_times
from misstep.validate.transcript import Transcript
from misstep.validate.turns import Turn, turns
from misstep.validate.validator import Step, Validator

ROUNDS = 3
"""Rounds that make a cycle (detectors.md 2.2; fewer are met in sound work)."""
LONGEST = 6
"""Steps in a block at most (the widest of the detectors that were compared)."""


@dataclass(frozen=True, slots=True)
class _Step:
    """The exchanges of one step, as places in their turn."""

    step: int
    places: tuple[int, ...]
    number: int | None
    """Equal for steps with equal calls and results; None where one of them is not known."""


@dataclass(frozen=True, slots=True)
class _Round:
    """At `at` (a place in the list of steps), the block of `size` steps stood `count` times."""

    at: int
    size: int
    count: float


def _check(step: Step) -> Iterator[Finding]:
    found = step.transcript.once(_scan).get(step.index)
    if found is not None:
        evidence, loop = found
        yield step.find("LOOP_CYCLE", "transcript", call=0, evidence=evidence, loop=loop)


def _scan(transcript: Transcript) -> dict[int, tuple[str, Loop]]:
    hits: dict[int, tuple[str, Loop]] = {}
    for turn in turns(transcript, ROUNDS * 2):
        if not may_cycle(turn):
            continue
        steps = _steps(turn)
        asked = asked_times(transcript.session, turn.exchanges[0].turn)
        for found in rounds([s.number for s in steps]):
            block = steps[found.at - found.size + 1 : found.at + 1]
            if found.count > asked and not _excused(turn, block):
                hits[steps[found.at].step] = _hit(turn, steps, found)
    return hits


def may_cycle(turn: Turn) -> bool:
    """A quick look: false only where no two calls were made `ROUNDS` times each."""
    names = Counter(exchange.call.name for exchange in turn.exchanges)
    if max(names.values()) < ROUNDS:
        return False
    alike = Counter((e.call.name, outline(e.call.arguments)) for e in turn.exchanges)
    if sum(n // ROUNDS for n in alike.values()) < 2:
        return False
    return sum(n >= ROUNDS for n in Counter(turn.keys).values()) > 1


def _steps(turn: Turn) -> list[_Step]:
    made = []
    for step, group in groupby(range(len(turn.exchanges)), key=lambda at: turn.exchanges[at].step):
        places = tuple(group)
        prints = [turn.prints[at] for at in places]
        known = None if None in prints else turn.number(tuple(prints))
        made.append(_Step(step, places, known))
    return made


def rounds(numbers: Sequence[int | None]) -> Iterator[_Round]:
    """Every place at which a block of 2 to `LONGEST` unequal numbers stood `ROUNDS` times or more.

    One counter per block size says how many numbers on end equal the one that many places before.
    """
    equal = [0] * (LONGEST + 1)
    for at, number in enumerate(numbers):
        for size in range(1, LONGEST + 1):
            same = at >= size and number is not None and number == numbers[at - size]
            equal[size] = equal[size] + 1 if same else 0
        if equal[1] >= ROUNDS - 1:
            continue  # the same step on end is LOOP_SAME_CALL
        for size in range(2, LONGEST + 1):
            if equal[size] >= (ROUNDS - 1) * size:
                yield _Round(at, size, equal[size] / size + 1)
                break


def _excused(turn: Turn, block: Sequence[_Step]) -> bool:
    """True for polling that moved on in the end, and for failures that were not the model's."""
    return any(turn.excused(at) or turn.moved_on(at) for step in block for at in step.places)


def _hit(turn: Turn, steps: Sequence[_Step], found: _Round) -> tuple[str, Loop]:
    first = found.at + 1 - round(found.count * found.size)
    block = steps[first : first + found.size]
    names = [" + ".join(turn.exchanges[at].call.name for at in step.places) for step in block]
    calls = "; ".join(f"{n}({a})" for step in block for n, a in (turn.keys[i] for i in step.places))
    said = f"{found.count:.1f} rounds of {found.size} steps with the same results: "
    return said + clip(" > ".join(names), 160), Loop(
        onset=steps[first].step,
        period=found.size,
        count=round(found.count, 2),
        share=round(found.count * found.size / len(steps), 4),
        unit=clip(calls, 200),
    )


VALIDATOR = Validator(name="agent_cycle", codes=("LOOP_CYCLE",), check=_check, scan=_scan)
