"""What holds of every validator for any session: nothing is raised, order and company do not count.

The sessions are those of `test_wild`, and some with code, schemas in a benchmark's dialect and
recursive ones; the checks go over all of `VALIDATORS`, so that a new one is held to them, too.
"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from misstep.codes import CODES
from misstep.types import Context, Message, Part, Session, ToolCall, ToolSpec
from misstep.validate import VALIDATORS, Settings, validate
from misstep.validate.transcript import Transcript
from misstep.validate.validator import Step
from validate.building import cases
from validate.building import session as built
from validate.test_wild import wild

quick = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))

RECURSIVE = {"$ref": "#/$defs/n", "$defs": {"n": {"properties": {"c": {"$ref": "#/$defs/n"}}}}}
SCHEMAS = [
    RECURSIVE,
    {"type": "dict", "properties": {"code": {"type": "float", "required": True}}},
    {"type": "object", "properties": {"code": {"type": "string", "format": "python"}}},
    {"anyOf": [{"$ref": "#"}, {"required": ["x"]}]},
]
CODE = [
    "```python\nx = (\n```",
    "```json\n{,}\n```",
    "~~~\n",
    "```",
    "x = (",
    "SELECT (",
    "<a>" * 9,
]
coded = st.builds(
    lambda text, name, syntax, argument, schema: Session(
        id="coded",
        format="coded",
        messages=(
            Message(role="user", parts=(Part(kind="text", text="go on"),)),
            Message(
                role="assistant",
                context=0,
                parts=(
                    Part(kind="text", text=text),
                    Part(
                        kind="call", call=ToolCall(name=name, arguments=argument, syntax=syntax)
                    ),
                ),
            ),
            Message(role="assistant", context=0, parts=(Part(kind="text", text=text),)),
        ),
        contexts=(
            Context(tools=(ToolSpec(name="python", parameters=json.dumps(schema)),)),
        ),
    ),
    st.lists(st.sampled_from(CODE), max_size=3).map("\n".join),
    st.sampled_from(["python", "bash", "run_sql", "write_file"]),
    st.sampled_from(["json", "code", "text"]),
    st.sampled_from(CODE)
    | st.sampled_from(CODE).map(lambda code: json.dumps({"code": code, "command": code}))
    | st.just('{"c":' * 50 + "1" + "}" * 50),
    st.sampled_from(SCHEMAS),
)  # fmt: skip
anything = wild | coded
SETTINGS = Settings(code={"python.code": "python"}, answer_code="python")


def alone(session: Session, order=lambda found: found) -> list[list[object]]:
    """The findings of each validator on fresh steps, in the order that `order` asks them."""
    by_name = {}
    for validator in order(VALIDATORS):
        transcript = Transcript(session)
        steps = [
            Step(session=session, index=index, settings=SETTINGS, transcript=transcript)
            for index in session.steps
        ]
        by_name[validator.name] = [f for step in steps for f in validator.check(step)]
    return [by_name[validator.name] for validator in VALIDATORS]


@given(anything)
@quick
def test_a_validator_raises_nothing_and_emits_only_codes_that_it_names(session):
    for validator, found in zip(VALIDATORS, alone(session), strict=True):
        assert {f.code for f in found} <= set(validator.codes)
        assert {f.code for f in found} <= set(CODES)
        for finding in found:
            assert finding.step in set(session.steps)
            assert finding.span is None or 0 <= finding.span[0] <= finding.span[1]


@given(anything)
@quick
def test_what_a_validator_finds_does_not_hang_on_those_before_it(session):
    together = Transcript(session)
    shared: dict[str, list[object]] = {v.name: [] for v in VALIDATORS}
    for index in session.steps:
        step = Step(session=session, index=index, settings=SETTINGS, transcript=together)
        for validator in reversed(VALIDATORS):
            shared[validator.name].extend(validator.check(step))
    assert list(map(shared.get, [v.name for v in VALIDATORS])) == alone(session)


@given(anything)
@quick
def test_steps_judged_backwards_have_the_same_findings(session):
    forwards = alone(session)
    for validator, found in zip(VALIDATORS, forwards, strict=True):
        transcript = Transcript(session)
        steps = [
            Step(session=session, index=index, settings=SETTINGS, transcript=transcript)
            for index in session.steps
        ]
        backwards = [list(validator.check(step)) for step in reversed(steps)]
        assert [f for of_step in reversed(backwards) for f in of_step] == found


@given(anything)
@quick
def test_judging_twice_gives_the_same(session):
    assert validate(session, SETTINGS) == validate(session, SETTINGS)


_judged = partial(validate, settings=SETTINGS)


@given(st.lists(anything, min_size=2, max_size=6))
@settings(quick, max_examples=25)
def test_sessions_judged_in_threads_have_the_same_findings(sessions):
    whole = list(map(_judged, sessions))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(_judged, sessions)) == whole


@pytest.mark.slow
def test_sessions_judged_in_other_processes_have_the_same_findings():
    sessions = [built(row) for _, row in cases()]
    whole = list(map(_judged, sessions))
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(_judged, sessions, chunksize=50)) == whole
