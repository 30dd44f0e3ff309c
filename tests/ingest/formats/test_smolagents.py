"""smolagents: the samples against their script, other layouts of a memory, mutations."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from misstep.types import Session
from reading import read, shape, steps
from samples import LOGS, read_sample


def sample(name: str) -> Session:
    found = read_sample("smolagents").sessions
    return next(s for s in found if s.messages[0].origins[0].file.endswith(f"{name}.json"))


def action(number: int, **more: object) -> dict:
    sent = [
        {"role": "system", "content": [{"type": "text", "text": "s"}]},
        {"role": "user", "content": [{"type": "text", "text": "New task:\nq"}]},
    ]
    rest = {"model_output_message": None, "tool_calls": [], "error": None, "observations": None}
    return {"step_number": number, "timing": {}, "model_input_messages": sent, **rest, **more}


def test_the_script_of_calls_is_six_steps_and_a_request_without_an_answer():
    got = read_sample("smolagents")
    assert got.counts.ignored["unanswered"] == 1
    calls = sample("calls")
    assert len(list(calls.steps)) == 6
    made = [c for m in calls.messages for c in m.calls]
    assert made[1].arguments == '{"port": "Brest", "hour": 4'
    assert [c.verbatim for c in made] == [False, True, False, False, False]
    errors = [(r.hint, r.cause) for m in calls.messages for r in m.results if r.is_error]
    assert errors == [
        ("AgentToolExecutionError", None),
        ("AgentToolCallError", "model"),
        ("AgentToolExecutionError", None),
        ("AgentToolExecutionError", None),
    ]


def test_an_answer_that_does_not_parse_is_a_fault():
    faults = [m for m in sample("calls").messages if m.fault]
    assert [m.text for m in faults] == ["It is high."]
    (code,) = [m for m in sample("code").messages if m.fault]
    assert code.text == "Thought: It is 6.9 m, I am done."


def test_code_is_the_call_and_the_text_keeps_the_thought():
    code = sample("code")
    first = code.messages[2]
    (call,) = first.calls
    assert (call.name, call.syntax, call.verbatim) == ("python_interpreter", "code", True)
    assert call.arguments == 'h = tide("Brest", 9)\nprint(h)'
    assert first.text == "Thought: I ask for nine.\n"


def test_the_system_prompt_comes_first_and_the_task_is_the_family():
    sessions = read_sample("smolagents").sessions
    assert {s.messages[0].text for s in sessions} == {"You read tide tables."}
    assert len({s.family for s in sessions}) == 1


def test_parallel_calls_are_one_step_with_one_result_of_all():
    parallel = sample("parallel")
    assert [len(m.calls) for m in parallel.messages if m.role == "assistant"] == [2, 1]
    assert parallel.messages[3].results[0].call_id is None


def test_plans_are_answers_and_a_limit_is_none_of_the_models_errors(tmp_path):
    plan = {"plan": "p", "timing": {}, "model_input_messages": [], "model_output_message": {}}
    limit = {"type": "AgentMaxStepsError", "message": "Reached max steps."}
    rows = [
        {"task": "q", "task_images": None},
        plan,
        action(1, model_output="x", error={"type": "AgentGenerationError", "message": "500"}),
        action(2, error=limit, action_output="final"),
    ]
    got = read(tmp_path, {"m.json": json.dumps(rows).encode()})
    (session,) = got.sessions
    assert shape(session) == [
        "system 's'",
        "user 'q'",
        "assistant 'p'",
        "user 'Now proceed and carry out this plan.'",
        "assistant",
        "assistant 'final'",
    ]
    assert session.messages[4].error == "500"


def test_a_whole_memory_in_one_record_is_one_session_each(tmp_path):
    rows = [{"task": "q", "task_images": None}, action(1, model_output="a")]
    lines = b"\n".join(json.dumps(v).encode() for v in (rows, {"steps": rows}, rows))
    got = read(tmp_path, {"m.jsonl": lines})
    assert steps(got.sessions) == 1
    assert got.sessions[0].copies == 3
    assert got.counts.used == 6


MUTATED = [
    step
    for name in ("calls", "code")
    for step in json.loads((LOGS / "smolagents" / f"{name}.json").read_bytes())
]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_memory_with_anything_anywhere_never_raises(data, tmp_path_factory):
    survives(data, MUTATED, tmp_path_factory.mktemp("any"), "smolagents")
