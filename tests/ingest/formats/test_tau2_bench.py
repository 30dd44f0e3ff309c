"""tau2-bench: the sample against its script, who called, raw arguments, layouts, mutations."""

from __future__ import annotations

import copy

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from misstep.types import Outcome
from reading import balances, lines, read, read_one, shape
from samples import read_sample


def call(name: str, arguments: dict, requestor: str = "assistant", raw: str | None = None) -> dict:
    role = "assistant" if requestor == "assistant" else "user"
    logged = {"id": "c1", "name": name, "arguments": arguments, "requestor": requestor}
    row = {"role": role, "content": None, "tool_calls": [logged], "turn_idx": 1}
    if raw is not None:
        sent = {"id": "c1", "type": "function", "function": {"name": name, "arguments": raw}}
        row["raw_data"] = {"finish_reason": "tool_calls", "message": {"tool_calls": [sent]}}
    return row


def result(text: str, requestor: str = "assistant", error: object = False) -> dict:
    return {"role": "tool", "id": "c1", "content": text, "requestor": requestor, "error": error}


def run(*messages: dict, ended: str = "user_stop", **more: object) -> dict:
    return {
        "id": "s1",
        "task_id": "t",
        "termination_reason": ended,
        "messages": list(messages),
    } | more


USER = {"role": "user", "content": "Cancel it."}


def results(*runs: dict, **info: object) -> dict:
    return {"info": info, "tasks": [], "simulations": list(runs)}


def test_the_sample_holds_what_the_script_played():
    got = read_sample("tau2-bench")
    balances(got)
    assert got.set_aside == ()
    assert got.counts.ignored["run-info"] == 1
    assert [s.outcome for s in got.sessions] == [
        Outcome(reward=1.0),
        Outcome(reward=0.0),
        Outcome(reward=0.0, resolved=False),
        Outcome(reward=0.0, resolved=False, limit="max_steps"),
    ]
    assert [sum(len(m.calls) for m in s.messages) for s in got.sessions] == [2, 4, 2, 3]
    calls = [c for m in got.sessions[0].messages for c in m.calls]
    assert calls[1].arguments == '{ "order_id": "A17",  "reason": "too late" }'
    assert all(c.verbatim for s in got.sessions for m in s.messages for c in m.calls)
    flags = [r.is_error for m in got.sessions[1].messages for r in m.results]
    assert flags == [True, True, True, True]


def test_calls_of_the_simulated_user_and_their_results_are_left_out():
    good = read_sample("tau2-bench").sessions[0]
    assert not any("read_receipt" in line or "order A17'" in line for line in shape(good))
    assert [m.actor for m in good.messages if m.role == "user"] == ["simulated-user"] * 3


def test_the_greeting_that_no_model_wrote_is_the_harness_s():
    good = read_sample("tau2-bench").sessions[0]
    assert [m.actor for m in good.messages if m.role == "assistant"][:2] == ["harness", "agent"]


def test_the_policy_leads_and_the_settings_of_the_run_hold_for_all_steps():
    good = read_sample("tau2-bench").sessions[0]
    assert good.messages[0].role == "system"
    assert good.contexts[0].temperature == 0.0
    assert {m.model for m in good.messages if m.role == "assistant"} == {"openai/misstep-sample"}


def test_arguments_without_their_raw_text_are_a_rendering(tmp_path):
    rows = (call("f", {"a": 1}, raw='{"a":  1}'), call("f", {"a": 1}), call("f", {"a": 1}, raw="{"))
    (session,) = read_one(tmp_path, results(run(USER, *rows))).sessions
    assert [(c.arguments, c.verbatim) for m in session.messages for c in m.calls] == [
        ('{"a":  1}', True),
        ('{"a":1}', False),
        ("{", True),
    ]


def test_several_results_in_one_message_stay_together_without_the_users(tmp_path):
    both = {"role": "tool", "tool_messages": [result("a"), result("b", "user"), result("c")]}
    (session,) = read_one(tmp_path, results(run(USER, call("f", {}), both))).sessions
    assert shape(session)[-1] == "tool ->'a' ->'c'"


def test_an_answer_that_ended_the_run_is_at_fault(tmp_path):
    row = {"role": "assistant", "content": "?", "turn_idx": 3}
    (session,) = read_one(tmp_path, results(run(USER, row, ended="agent_error"))).sessions
    assert session.messages[-1].fault == "termination_reason: agent_error"
    assert session.outcome == Outcome(resolved=False)


def test_tool_definitions_are_read_where_they_are_logged(tmp_path):
    tool = {"name": "f", "doc": "F.", "params": {"type": "object"}, "returns": {"type": "string"}}
    about = {"environment_info": {"tool_defs": {"f": tool}, "policy": "Be kind."}}
    (session,) = read_one(tmp_path, results(run(USER, call("f", {})), **about)).sessions
    (spec,) = session.contexts[0].tools
    assert (spec.name, spec.description, spec.parameters, spec.contract) == (
        "f",
        "F.",
        '{"type":"object"}',
        '{"output_schema":{"type":"string"}}',
    )


def test_a_providers_own_message_tells_model_stop_reason_and_thoughts(tmp_path):
    raw = {
        "model": "m-1",
        "stop_reason": "end_turn",
        "thinking_blocks": [{"type": "thinking", "thinking": "hm"}, {"type": "redacted"}],
    }
    row = {"role": "assistant", "content": "Yes.", "raw_data": raw}
    (session,) = read_one(tmp_path, results(run(USER, row), agent_info={"llm": "m"})).sessions
    answer = session.messages[1]
    assert (answer.model, answer.finish_reason, answer.reasoning) == ("m-1", "end_turn", "hm")


def test_the_folder_layout_gives_the_same_session_as_one_file(tmp_path):
    info = {"environment_info": {"policy": "Be kind.", "domain_name": "shop"}}
    one = run(USER, call("f", {"a": 1}), result("x", error=True))
    whole = read(tmp_path / "a", {"r.json": lines(results(one, **info))})
    index = {"info": info, "tasks": [], "simulation_index": [{"id": "s1"}]}
    split = {"q/results.json": lines(index), "q/simulations/s1.json": lines(one)}
    apart = read(tmp_path / "b", split)
    assert apart.counts.ignored == {"run-info": 1}
    assert [s.id for s in apart.sessions] == [s.id for s in whole.sessions]
    assert apart.sessions[0].family == "task-shop-t"


def test_two_result_files_of_one_folder_keep_their_own_settings(tmp_path):
    one = results(run(USER, call("f", {})), agent_info={"llm": "m1"})
    two = results(run(USER, call("g", {})), agent_info={"llm": "m2"})
    got = read(tmp_path, {"a.json": lines(one), "b.json": lines(two)})
    assert [s.messages[1].model for s in got.sessions] == ["m1", "m2"]


def test_a_voice_run_is_set_aside_and_the_other_runs_are_read(tmp_path):
    voice = {"id": "v", "task_id": "t", "termination_reason": "user_stop", "ticks": [{}]}
    got = read_one(tmp_path, results(run(USER, call("f", {})), voice, 7))
    assert len(got.sessions) == 1
    assert sorted(e.reason for e in got.set_aside) == ["bad-message", "voice-only"]
    assert got.counts.records == 3


ROWS = [results(run(USER, call("f", {"a": 1}, raw="{}"), result("x")), agent_info={"llm": "m"})]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_value_anywhere_is_read_or_set_aside(data, tmp_path_factory):
    survives(data, copy.deepcopy(ROWS), tmp_path_factory.mktemp("any"), "tau2-bench")
