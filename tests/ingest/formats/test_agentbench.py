"""AgentBench: the sample, statuses, outcomes, tool calls in chat form, mutations."""

from __future__ import annotations

import copy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from misstep.types import Outcome
from reading import balances, read_one, shape
from samples import read_sample


def run(status: str, result: object, *history: dict, index: object = 1) -> dict:
    output = {"index": index, "status": status, "result": result, "history": list(history)}
    return {"index": index, "error": None, "info": None, "output": output, "time": {}}


USER = {"role": "user", "content": "do"}
AGENT = {"role": "agent", "content": "done"}


def test_the_sample_holds_what_the_script_played():
    got = read_sample("agentbench")
    balances(got)
    assert [e.reason for e in got.set_aside] == ["no-answer"]
    right, invalid, limit = got.sessions
    assert right.outcome == Outcome(resolved=True)
    assert right.family == "os-std-0"
    assert invalid.messages[-1].fault == "status: agent validation failed"
    assert all(m.fault is None for m in limit.messages)
    assert right.messages[0].time == 1760000000.0


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (True, Outcome(resolved=True)),
        ({"result": False}, Outcome(resolved=False)),
        ({"reward": 0.5}, Outcome(reward=0.5)),
        ({"score": 3}, Outcome(reward=3.0)),
        (None, None),
        ("x", None),
    ],
)
def test_results_are_outcomes(tmp_path, result, outcome):
    (session,) = read_one(tmp_path, run("completed", result, USER, AGENT)).sessions
    assert session.outcome == outcome


@pytest.mark.parametrize("status", ["agent invalid action", "agent validation failed"])
def test_the_last_answer_is_at_fault_where_the_status_says_so(tmp_path, status):
    rows = (USER, AGENT, USER, AGENT, USER)
    (session,) = read_one(tmp_path, run(status, None, *rows)).sessions
    assert [m.fault for m in session.messages] == [None, None, None, f"status: {status}", None]


def test_chat_form_with_tool_calls_is_read(tmp_path):
    function = {"name": "act", "arguments": '{"a": 1'}
    calls = [{"id": "c1", "type": "function", "function": function}]
    agent = {"role": "assistant", "content": "", "tool_calls": calls}
    tool = {"role": "tool", "tool_call_id": "c1", "content": "ok"}
    (session,) = read_one(tmp_path, run("completed", None, USER, agent, tool)).sessions
    assert shape(session)[1:] == ['assistant act({"a": 1)', "tool ->'ok'"]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_value_anywhere_is_read_or_set_aside(data, tmp_path_factory):
    rows = [run("agent invalid action", {"result": True}, USER, AGENT)]
    survives(data, copy.deepcopy(rows), tmp_path_factory.mktemp("any"), "agentbench")
