"""Validators that a step spares by what they declare: they would have said nothing of it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from misstep.types import Finding, Session
from misstep.validate import VALIDATORS, Settings
from misstep.validate.rota import Pick, Rota
from misstep.validate.transcript import Transcript
from misstep.validate.validator import Step
from validate.building import asked, cases, session, tool
from validate.test_properties import anything

quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
GIVEN = (
    Settings(),
    Settings(json=True, answer_code="python", code={"python.code": "python"}),
    Settings(response_schema='{"type": "object"}', expect_call="always"),
)
ROTA = Rota(VALIDATORS)


def everybody(step: Step) -> tuple[list[Finding], list[str]]:
    found = [finding for validator in VALIDATORS for finding in validator.check(step)]
    return found, [validator.name for validator in VALIDATORS if validator.judges(step)]


def picked(step: Step, pick: Pick) -> tuple[list[Finding], list[str]]:
    found = [finding for check in pick.checks for finding in check(step)]
    return found, [*pick.jury(step).names]


def same(subject: Session, given: Settings, *, demand: bool = False) -> None:
    views = [Transcript(subject, given.limits) for _ in range(3)]
    of_session = ROTA.of_session(views[1])
    for index in subject.steps:
        whole, some, alone = (
            Step(session=subject, index=index, settings=given, transcript=view, demand_call=demand)
            for view in views
        )
        assert picked(some, of_session(some)) == everybody(whole)
        assert picked(alone, ROTA.pick(alone)) == everybody(whole)


@given(anything, st.sampled_from(GIVEN), st.booleans())
@quick
def test_who_is_not_asked_would_have_said_nothing_of_any_session(subject, given, demand):
    same(subject, given, demand=demand)


@pytest.mark.parametrize("given", GIVEN, ids=["plain", "json and code", "schema and calls"])
def test_who_is_not_asked_would_have_said_nothing_of_a_case(given):
    for _, row in cases():
        same(session(row), given)


def test_an_answer_of_which_nothing_was_demanded_is_shown_to_few():
    subject = asked(content="The folder holds two files.", tools=[tool("list_files")])
    transcript = Transcript(subject)
    step = Step(session=subject, index=1, transcript=transcript)
    assert len(ROTA.of_session(transcript)(step).checks) < len(VALIDATORS) / 3
