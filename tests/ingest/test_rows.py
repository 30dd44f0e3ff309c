"""Session rows, messages + tools rows, tau-bench runs: one conversation each, nothing lost."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings

from misstep import store
from misstep.ingest import ingest
from misstep.ingest.identity import session_id
from misstep.types import Outcome
from reading import lines, read, read_one, shape
from strategies import sessions as any_session

TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


def called(arguments):
    function = {"name": "look_up", "arguments": arguments}
    return {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "function": function}]}


ROW = {
    "messages": [
        {"role": "user", "content": "Oslo?"},
        called('{"city": Oslo}'),
        {"role": "tool", "tool_call_id": "c", "content": "not JSON", "is_error": True},
        {"role": "assistant", "content": "Rain.", "finish_reason": "stop"},
    ]
}


def test_the_least_row_is_a_session(tmp_path):
    (session,) = read_one(tmp_path, ROW).sessions
    assert shape(session) == [
        "user 'Oslo?'",
        'assistant look_up({"city": Oslo})',
        "tool ->'not JSON'",
        "assistant 'Rain.'",
    ]
    assert [session.messages[i].context for i in session.steps] == [None, None]
    assert session.messages[1].calls[0].verbatim
    assert session.messages[2].results[0].is_error is True
    assert session.messages[3].finish_reason == "stop"
    assert session.messages[3].origins[0].pointer == "/messages/3"


@pytest.mark.parametrize("tools", [[TOOL], json.dumps([TOOL])])
def test_tools_may_be_a_list_or_json_text(tmp_path, tools):
    (session,) = read_one(tmp_path, {**ROW, "tools": tools}).sessions
    assert session.context_of(1).tools[0].name == "look_up"


def test_arguments_as_an_object_are_marked_as_rendered(tmp_path):
    (session,) = read_one(tmp_path, {"messages": [called({"city": "Oslo"})]}).sessions
    call = session.messages[0].calls[0]
    assert (call.arguments, call.verbatim) == ('{"city":"Oslo"}', False)


def test_the_optional_fields_of_a_row_are_kept(tmp_path):
    row = {
        **ROW,
        "id": "row-1",
        "family": "oslo",
        "model": "m",
        "response_schema": {"type": "object"},
        "outcome": {"resolved": True},
        "copies": 3,
    }
    (session,) = read_one(tmp_path, row).sessions
    assert (session.family, session.copies) == ("oslo", 3)
    assert session.outcome == Outcome(resolved=True)
    assert session.messages[1].model == "m"
    assert session.messages[0].origins[0].row == "row-1"
    assert session.context_of(1).response_schema == '{"type":"object"}'


def test_steps_may_name_their_own_context(tmp_path):
    messages = [
        {"role": "assistant", "content": "a", "context": 0},
        {"role": "assistant", "content": "b", "context": 1},
    ]
    row = {"messages": messages, "contexts": [{"tools": [TOOL]}, {"tool_choice": "none"}]}
    (session,) = read_one(tmp_path, row).sessions
    assert session.context_of(0).tools[0].name == "look_up"
    assert session.context_of(1).tool_choice == "none"


def test_a_context_that_the_row_lacks_is_set_aside(tmp_path):
    row = {"messages": [{"role": "assistant", "content": "a", "context": 4}]}
    got = read_one(tmp_path, ROW, row)
    assert got.set_aside[0].said == "no context 4; the row holds 0"


def test_exact_copies_are_counted_on_one_session(tmp_path):
    got = read(tmp_path, {"a.jsonl": lines(ROW, ROW), "b.json": json.dumps([ROW]).encode()})
    assert got.sessions[0].copies == 3
    assert got.counts.used == 3


def test_a_row_that_another_row_continues_is_counted_there(tmp_path):
    short = {"messages": ROW["messages"][:2]}
    got = read_one(tmp_path, short, ROW)
    assert len(got.sessions) == 1
    assert got.counts.used == 2


def test_a_row_may_name_the_row_that_it_branches_from(tmp_path):
    other = [*ROW["messages"][:3], {"role": "assistant", "content": "Sun."}]
    got = read_one(
        tmp_path,
        {**ROW, "id": "first"},
        {"messages": other, "id": "second", "parent": "first", "prefix": 3},
    )
    first, second = got.sessions
    assert (second.parent, second.prefix) == (first.id, 3)


@pytest.mark.parametrize(
    ("row", "pointer"),
    [
        ({"messages": [{"role": "judge"}]}, "/messages/0"),
        ({"messages": [{"role": "user", "content": 7}]}, "/messages/0/content"),
        ({"messages": [{"role": "assistant", "tool_calls": [7]}]}, "/messages/0"),
        ({"messages": []}, "/messages"),
        ({"messages": [{"role": "user"}], "tools": "[broken"}, "/tools"),
        ({"messages": [{"role": "user", "parts": [{"kind": "text"}]}]}, "/messages/0/parts/0"),
    ],
)
def test_what_fits_no_shape_is_set_aside_with_its_pointer(tmp_path, row, pointer):
    got = read_one(tmp_path, ROW, row)
    assert [(e.origin.line, e.origin.pointer) for e in got.set_aside] == [(2, pointer)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(session=any_session.filter(lambda session: session.messages))
def test_a_stored_session_reads_back_as_it_was(tmp_path_factory, session):
    path = tmp_path_factory.mktemp("rows") / "stored.jsonl"
    path.write_bytes(store.encode(session) + b"\n")
    got = ingest([path])
    assert got.set_aside == ()
    (back,) = got.sessions
    assert session_id(back.messages, back.contexts) == session_id(
        session.messages, session.contexts
    )
    assert back.contexts == session.contexts
    assert [m.parts for m in back.messages] == [m.parts for m in session.messages]
    assert (back.prefix, back.outcome, back.family) == (
        session.prefix,
        session.outcome,
        session.family,
    )


def run(task, trial, reward, *messages):
    info = {"task": {"instruction": f"do {task}"}}
    return {
        "task_id": task,
        "trial": trial,
        "reward": reward,
        "info": info,
        "traj": [*ROW["messages"][:1], *messages],
    }


def test_a_tau_bench_run_keeps_its_reward_and_its_task(tmp_path):
    runs = [run(1, 0, 1.0, *ROW["messages"][1:]), run(1, 1, 0.0, *ROW["messages"][1:3])]
    got = read(tmp_path, {"runs.json": json.dumps(runs, indent=2).encode()})
    first, second = got.sessions
    assert list(got.counts.formats) == ["tau-bench"]
    assert [s.outcome for s in got.sessions] == [Outcome(reward=1.0), Outcome(reward=0.0)]
    assert first.family == second.family
    assert first.family.startswith("task-1-")
    assert (second.parent, second.prefix) == (None, 0)
    assert first.messages[0].actor == "simulated-user"
    assert first.messages[1].origins[0].pointer == "/0/traj/1"
    assert second.messages[1].origins[0].row == "task 1 trial 1"


def test_a_tau_bench_run_without_messages_is_set_aside(tmp_path):
    bad = {"task_id": 1, "traj": []}
    got = read(tmp_path, {"runs.json": json.dumps([run(1, 0, 1.0), bad]).encode()})
    assert [e.origin.pointer for e in got.set_aside] == ["/1/traj"]
