"""The same tool failing with the same error in step after step, whatever the arguments.

In: a step with the session's exchanges. Out: LOOP_ERROR on the third failure in a row within a turn
and on each later one. Errors are compared without ids and times. Errors that are equal only once
what they quote from the arguments is left out ("no file a.py", "no file b.py") are suspect, and a
defect from the sixth on. Failures of infrastructure, a human's no and knock-on failures do not
count, and parallel calls of one message count once: none of them could know the others' results.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from misstep.redact import clip
from misstep.types import Finding, Level, Loop
from misstep.validate.agent_loop import fingerprint
from misstep.validate.excuses import asked_times
from misstep.validate.quoted import without_arguments
from misstep.validate.transcript import Exchange, Transcript
from misstep.validate.turns import Turn, turns
from misstep.validate.validator import Step, Validator

LIKE_ERROR = 2
"""Times the limit of equal errors, for errors that differ in what they quote: three guesses in a
row may be a search, six are not (our decision)."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """A failed exchange: its tool and what it said, exactly and without its arguments."""

    at: int
    tool: str
    said: str
    bare: str


def _check(step: Step) -> Iterator[Finding]:
    found = step.transcript.once(_scan).get(step.index)
    if found is not None:
        level, call, evidence, loop = found
        yield step.find(
            "LOOP_ERROR", "transcript", level=level, call=call, evidence=evidence, loop=loop
        )


def _scan(transcript: Transcript) -> dict[int, tuple[Level, int, str, Loop]]:
    hits: dict[int, tuple[Level, int, str, Loop]] = {}
    least = transcript.limits.same_error
    for turn in turns(transcript, least):
        streak: list[_Failure] = []
        for at, exchange in enumerate(turn.exchanges):
            failure = _failure(turn, at)
            if failure is None:
                streak = []
            elif streak and exchange.step == turn.exchanges[streak[-1].at].step:
                continue
            else:
                alike = streak and _same(streak[-1], failure)
                streak = [*streak, failure] if alike else [failure]
                if len(streak) >= least and len(streak) > _asked(turn):
                    hits[exchange.step] = _hit(turn, streak, least)
    return hits


def _asked(turn: Turn) -> int:
    return asked_times(turn.transcript.session, turn.exchanges[0].turn)


def _failure(turn: Turn, at: int) -> _Failure | None:
    exchange: Exchange = turn.exchanges[at]
    result = exchange.result
    if result is None or turn.transcript.fault(exchange) is None or turn.excused(at):
        return None
    said = " ".join(fingerprint(result.text).split())
    bare = without_arguments(said, exchange.call.arguments)
    return _Failure(at=at, tool=exchange.call.name, said=said, bare=bare)


def _same(one: _Failure, other: _Failure) -> bool:
    return one.tool == other.tool and (one.said == other.said or one.bare == other.bare)


def _hit(turn: Turn, streak: list[_Failure], least: int) -> tuple[Level, int, str, Loop]:
    last = streak[-1]
    count, result = len(streak), turn.exchanges[last.at].result
    # of the text itself: where numbers are masked, a secret is no pattern any more
    shown = "" if result is None else " ".join(fingerprint(clip(result.text, 400)).split())
    exact = all(failure.said == last.said for failure in streak[-least:])
    level: Level = "defect" if exact or count >= LIKE_ERROR * least else "suspect"
    said = f"{count} steps in a row: {last.tool} fails with {shown[:180]!r}"
    loop = Loop(
        onset=turn.exchanges[streak[0].at].step,
        period=max((last.at - streak[0].at) // (count - 1), 1),
        count=count,
        share=round(count / len(turn.exchanges), 4),
        unit=clip(f"{last.tool} {shown}", 200),
    )
    return level, turn.exchanges[last.at].index, said, loop


VALIDATOR = Validator(name="same_error", codes=("LOOP_ERROR",), check=_check, scan=_scan)
