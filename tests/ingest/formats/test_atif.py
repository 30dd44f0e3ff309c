"""ATIF: the samples against their script, continuations, sub-agents, flags, mutations."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from misstep.types import Session
from reading import read, shape, steps
from samples import LOGS, read_sample


def sample(name: str) -> list[Session]:
    found = read_sample("atif").sessions
    return [s for s in found if s.messages[0].origins[0].file.endswith(f"{name}.json")]


def step(number: int, source: str, message: str, **more: object) -> dict:
    return {"step_id": number, "source": source, "message": message, **more}


def run(steps: list[dict], **more: object) -> dict:
    agent = {"name": "a", "version": "1", "model_name": "m"}
    return {"schema_version": "ATIF-v1.8", "agent": agent, "steps": steps, **more}


def called(name: str, arguments: object = None) -> dict:
    return {"tool_call_id": name, "function_name": "f", "arguments": arguments or {}}


def files(**values: dict) -> dict[str, bytes]:
    return {name.replace("__", "."): json.dumps(v).encode() for name, v in values.items()}


@pytest.mark.parametrize("name", ["terminus", "terminus-raw"])
def test_the_two_answers_that_terminus_could_not_parse_are_faults(name):
    (session,) = sample(name)
    assert len(list(session.steps)) == 7
    faults = [m for m in session.messages if m.fault]
    assert [m.text for m in faults] == [
        '{"analysis": "I look.", "commands": [{"keystrokes": "cat low.txt\\n"}',
        "I would like to look at the file.",
    ]
    assert all(m.fault.startswith("Previous response had parsing errors:") for m in faults)
    warned = next(m for m in session.messages if "had warnings" in str(m))
    assert warned.fault is None


def test_one_screen_stands_with_the_last_call_of_a_batch():
    (session,) = sample("terminus")
    (both,) = [m for m in session.messages if len(m.calls) == 2]
    at = session.messages.index(both)
    assert [r.call_id for r in session.messages[at + 1].results] == [both.calls[1].id]


def test_an_embedded_sub_agent_names_its_run():
    main, pilot = sample("subagents")
    assert pilot.parent == main.id
    assert pilot.family == main.family == "crew-1"
    assert pilot.messages[1].actor == "sub-agent"
    assert main.messages[2].reasoning == "Depth first."
    flags = [(r.is_error, r.exit_code) for m in main.messages for r in m.results]
    assert flags == [(None, 0), (True, 2), (None, None)]
    assert [t.name for t in main.context_of(2).tools] == ["tide", "pilot"]


def test_a_continuation_counts_only_what_is_new(tmp_path):
    first = run(
        [step(1, "user", "q"), step(2, "agent", "a")],
        session_id="s",
        continued_trajectory_ref="trajectory.cont-1.json",
    )
    copied = {"is_copied_context": True}
    more = run(
        [step(1, "user", "q", **copied), step(2, "agent", "ask", **copied), step(3, "agent", "b")],
        session_id="s",
    )
    got = read(tmp_path, files(trajectory__json=first, **{"trajectory__cont-1__json": more}))
    by_text = {s.messages[-1].text: s for s in got.sessions}
    assert by_text["b"].parent == by_text["a"].id
    assert by_text["b"].prefix == 2
    assert steps(got.sessions) == 2


def test_a_sub_agents_file_is_found_by_its_name_or_by_its_parents_id(tmp_path):
    ref = {"results": [{"subagent_trajectory_ref": [{"trajectory_path": "t.summary.json"}]}]}
    main = run(
        [step(1, "user", "q"), step(2, "agent", "a"), step(3, "system", "sum", observation=ref)],
        session_id="s",
    )
    sub = run([step(1, "user", "sum up"), step(2, "agent", "b")], session_id="x")
    other = run([step(1, "user", "more"), step(2, "agent", "c")], session_id="y")
    other["agent"]["extra"] = {"parent_session_id": "s"}
    got = read(tmp_path, files(t__json=main, t__summary__json=sub, **{"t__answers__json": other}))
    by_text = {s.messages[1].text: s for s in got.sessions}
    assert by_text["b"].parent == by_text["c"].parent == by_text["a"].id
    assert {s.family for s in got.sessions} == {"s"}
    assert by_text["a"].messages[2].actor == "harness"


def test_a_step_without_a_model_is_no_answer(tmp_path):
    value = run([step(1, "user", "q"), step(2, "agent", "ran", llm_call_count=0)])
    (session,) = read(tmp_path, files(t__json=value)).sessions
    assert shape(session) == ["user 'q'", "user 'ran'"]


@pytest.mark.parametrize(
    ("extra", "text", "flag"),
    [
        ({"is_error": True}, "x", True),
        ({"tool_result_is_error": False}, "x", False),
        ({"status": "failed"}, "x", True),
        ({"status": "ok"}, "x", False),
        ({}, "x\n[error] tool reported failure", True),
        ({}, "Error: x", None),
    ],
)
def test_the_flags_that_producers_write_are_kept(tmp_path, extra, text, flag):
    seen = {"results": [{"source_call_id": "c", "content": text, "extra": extra}]}
    value = run([step(1, "agent", "", tool_calls=[called("c")], observation=seen)])
    (session,) = read(tmp_path, files(t__json=value)).sessions
    assert session.messages[1].results[0].is_error is flag


@pytest.mark.parametrize("name", [["c"], {"id": "c"}, 7])
def test_a_result_whose_id_is_no_text_is_what_came_of_the_call(tmp_path, name):
    seen = {"results": [{"source_call_id": name, "content": "42"}]}
    value = run([step(1, "agent", "", tool_calls=[called("c")], observation=seen)])
    (session,) = read(tmp_path, files(t__json=value)).sessions
    assert [r.call_id for r in session.messages[1].results] == ["c"]


MUTATED = [
    json.loads((LOGS / "atif" / f"{name}.json").read_bytes()) for name in ("subagents", "terminus")
]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_trajectory_with_anything_anywhere_never_raises(data, tmp_path_factory):
    survives(data, MUTATED, tmp_path_factory.mktemp("any"), "atif")
