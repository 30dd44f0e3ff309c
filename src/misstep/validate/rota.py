"""Who is asked about a step: of all validators those that can have something to say about it.

In: validators, a session's transcript, its steps. Out: a `Pick` for each step. What a validator
declares (`needs`, `scan`) is looked up here once for a step or a session, so that the many steps
at which nothing is to be seen cost little; the order of the validators is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from typing import NamedTuple, get_args

from misstep.types import Finding
from misstep.validate.transcript import Transcript
from misstep.validate.validator import USUAL, Need, Step, Validator, never

_NEEDS: tuple[Need, ...] = get_args(Need)

Check = Callable[[Step], Iterable[Finding]]
Holds = tuple[bool, bool, bool, bool]
"""Which needs a step meets, in the order of `Need`."""


class Jury(NamedTuple):
    """Validators that can tell that a step is right."""

    members: tuple[Validator, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...]

    def those(self, able: Callable[[Validator], bool]) -> Jury:
        """The members of which this is true."""
        return _jury(filter(able, self.members))


def _jury(members: Iterable[Validator]) -> Jury:
    members = tuple(members)
    return Jury(members, tuple(v.name for v in members), tuple(v.group for v in members))


class Pick:
    """Those who are asked about a step, in their order."""

    def __init__(self, used: Sequence[Validator]) -> None:
        self.checks: tuple[Check, ...] = tuple(v.check for v in used)
        self._members = tuple(v for v in used if v.judges is not never)
        self._judges = tuple(v.judges for v in self._members)
        self._juries: dict[tuple[bool, ...], Jury] = {}

    def jury(self, step: Step) -> Jury:
        """Those who could have failed the step and looked at it."""
        told = tuple([judges(step) for judges in self._judges])
        known = self._juries.get(told)
        if known is None:
            known = self._juries[told] = _jury(compress(self._members, told))
        return known


class Rota:
    """One tuple of validators, and whom of them to ask."""

    def __init__(self, validators: Sequence[Validator]) -> None:
        self._validators = tuple(validators)
        self._scanning = tuple(v for v in self._validators if v.scan is not None)
        self._picks: dict[tuple[bool, ...], dict[Holds, Pick]] = {}

    def pick(self, step: Step) -> Pick:
        """Whom to ask about a step that stands alone: scans are spared."""
        return self._pick((True,) * len(self._scanning), _holds(step))

    def of_session(self, transcript: Transcript) -> Callable[[Step], Pick]:
        """Whom to ask about each step of a session."""
        scans = [transcript.once(v.scan) for v in self._scanning if v.scan is not None]
        quiet = (False,) * len(scans)
        if not any(scans):
            return lambda step: self._pick(quiet, _holds(step))
        spoken = {at for places in scans for at in places}

        def pick(step: Step) -> Pick:
            if step.index not in spoken:
                return self._pick(quiet, _holds(step))
            return self._pick(tuple([step.index in places for places in scans]), _holds(step))

        return pick

    def _pick(self, spoken: tuple[bool, ...], holds: Holds) -> Pick:
        picks = self._picks.setdefault(spoken, {})
        known = picks.get(holds)
        if known is None:
            scanned = dict(zip((v.name for v in self._scanning), spoken, strict=True))
            used = [v for v in self._validators if scanned.get(v.name, True) and _meets(v, holds)]
            known = picks[holds] = Pick(used)
        return known


def _meets(validator: Validator, holds: Holds) -> bool:
    return validator.needs is None or any(
        held and need in validator.needs for need, held in zip(_NEEDS, holds, strict=True)
    )


def _holds(step: Step) -> Holds:
    message, context, settings = step.message, step.context, step.settings
    called = bool(step.calls)
    return (
        called,
        not called
        and (
            context.response_schema is not None
            or context.json_mode
            or settings.json
            or settings.response_schema is not None
        ),
        message.error is not None
        or message.fault is not None
        or message.end == "cut"
        or step.finish not in USUAL,
        step.demand_call or context.tool_choice is not None or settings.expect_call == "always",
    )
