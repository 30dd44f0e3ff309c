"""AutoGen: the sample, events as conversations, messages of one agent and of teams, mutations."""

from __future__ import annotations

import copy
import json
import sqlite3

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from reading import balances, lines, read, read_one, shape, steps
from samples import read_sample

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
ASKED = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]


def completion(**message: object) -> dict:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
    return {"id": "r", "model": "m", "created": 5, "choices": [choice]}


def called(arguments: str) -> dict:
    calls = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}]
    return {"content": None, "tool_calls": calls}


def event(messages: list, response: object, **more: object) -> dict:
    return {"type": "LLMCall", "messages": messages, "response": response, "tools": [TOOL], **more}


def message(kind: str, source: str, content: object, **more: object) -> dict:
    return {"type": kind, "source": source, "content": content, "models_usage": None, **more}


def request(source: str, arguments: str = "{}") -> dict:
    calls = [{"id": "c1", "name": "f", "arguments": arguments}]
    return message("ToolCallRequestEvent", source, calls)


def execution(source: str, text: str, error: bool = False) -> dict:
    results = [{"call_id": "c1", "name": "f", "content": text, "is_error": error}]
    return message("ToolCallExecutionEvent", source, results)


def test_the_sample_holds_what_the_script_played():
    got = read_sample("autogen")
    balances(got)
    assert got.set_aside == ()
    logged, refused, solo, support, critic = got.sessions
    assert [c.arguments for m in logged.messages for c in m.calls] == [
        '{"order_id": "A31"}',
        "{'order_id': 'A31'}",
        '{"order_id": "A31"}',
    ]
    assert logged.messages[-1].finish_reason == "length"
    assert refused.messages[-1].text == "I cannot help with that."
    flags = [r.is_error for m in solo.messages for r in m.results]
    assert flags == [False, False, True, True, True, True]
    assert solo.messages[1].calls[1].arguments == '{"order_id": "A17",  "express": true}'
    assert (support.family, len(critic.messages)) == (critic.family, 3)


def test_events_that_repeat_the_history_are_one_conversation(tmp_path):
    first = completion(**called('{"a":  1}'))
    tool = {"role": "tool", "tool_call_id": "c1", "content": "one"}
    later = [*ASKED, first["choices"][0]["message"], tool]
    got = read_one(tmp_path, event(ASKED, first), event(later, completion(content="done")))
    (session,) = got.sessions
    assert shape(session) == [
        "system 'be brief'",
        "user 'hi'",
        'assistant f({"a":  1})',
        "tool ->'one'",
        "assistant 'done'",
    ]
    assert [session.context_of(i).tools[0].name for i in session.steps] == ["f", "f"]
    assert session.messages[-1].time == 5.0


def test_streamed_calls_are_joined_and_autogens_own_result_form_is_read(tmp_path):
    start = {"type": "LLMStreamStart", "messages": ASKED, "agent_id": "a"}
    content = [{"id": "c1", "name": "f", "arguments": "{"}]
    result = {"content": content, "thought": "I try.", "finish_reason": "function_calls"}
    end = {"type": "LLMStreamEnd", "response": result, "agent_id": "a"}
    got = read_one(tmp_path, start, end, end)
    (session,) = got.sessions
    assert shape(session)[-1] == "assistant 'I try.' f({)"
    assert got.counts.ignored == {"LLMStreamStart": 1}
    assert [e.reason for e in got.set_aside] == ["no-request"]


def test_bookkeeping_events_are_ignored_by_type(tmp_path):
    noise = {"type": "Message", "payload": "{}", "delivery_stage": "SEND"}
    tool = {"type": "ToolCall", "tool_name": "f", "arguments": {}, "result": "x"}
    got = read_one(tmp_path, event(ASKED, completion(content="x")), tool, noise)
    assert got.counts.ignored == {"Message": 1, "ToolCall": 1}


def test_a_request_without_an_answer_is_set_aside(tmp_path):
    got = read_one(tmp_path, event(ASKED, None), event(ASKED, completion(content="x")))
    assert [e.reason for e in got.set_aside] == ["no-answer"]
    assert steps(got.sessions) == 1


def test_a_thought_is_text_before_a_call_and_reasoning_before_text(tmp_path):
    rows = (
        message("TextMessage", "user", "hi"), message("ThoughtEvent", "a", "so"), request("a"),
        execution("a", "one"), message("ThoughtEvent", "a", "hm"),
        message("TextMessage", "a", "ok"),
    )  # fmt: skip
    (session,) = read_one(tmp_path, *rows).sessions
    kinds = [[p.kind for p in m.parts] for m in session.messages if m.role == "assistant"]
    assert kinds == [["text", "call"], ["reasoning", "text"]]
    assert [m.actor for m in session.messages] == ["human", "agent", None, "agent"]


def test_each_agent_of_a_team_sees_the_words_of_others_but_not_their_calls(tmp_path):
    rows = (
        message("TextMessage", "user", "hi"), request("a", '{"x": 1}'), execution("a", "one"),
        message("ToolCallSummaryMessage", "a", "one"), message("TextMessage", "b", "why?"),
        message("TextMessage", "a", "because"),
    )  # fmt: skip
    got = read_one(tmp_path, {"messages": list(rows), "stop_reason": None})
    first, second = got.sessions
    assert shape(first) == [
        "user 'hi'",
        'assistant f({"x": 1})',
        "tool ->'one'",
        "user 'why?'",
        "assistant 'because'",
    ]
    assert shape(second) == ["user 'hi'", "user 'one'", "assistant 'why?'"]
    assert second.messages[1].actor == "harness"
    assert steps(got.sessions) == 3


def test_events_behind_the_words_of_a_logger_are_read(tmp_path):
    line = f"INFO:autogen_core.events:{json.dumps(event(ASKED, completion(content='x')))}\n"
    got = read(tmp_path, {"run.log": ("started\n" + line).encode()})
    assert shape(got.sessions[0])[-1] == "assistant 'x'"
    assert got.counts.ignored == {"text": 1}


def test_the_call_table_of_the_old_version_is_read(tmp_path):
    base = tmp_path / "logs" / "logs.db"
    base.parent.mkdir()
    with sqlite3.connect(base) as db:
        db.execute(
            "CREATE TABLE chat_completions (id INTEGER, invocation_id TEXT, session_id TEXT, "
            "request TEXT, response TEXT, end_time TEXT)"
        )
        body = json.dumps({"messages": ASKED, "functions": [TOOL["function"]]})
        row = (1, "i", "s", body, json.dumps(completion(content="x")), "2024-01-01")
        broken = (2, "i", "s", "{", "{}", "")
        db.executemany("INSERT INTO chat_completions VALUES (?, ?, ?, ?, ?, ?)", [row, broken])
    db.close()
    got = read(tmp_path / "logs", {})
    (session,) = got.sessions
    assert (session.format, session.family) == ("autogen", "session-s")
    assert session.context_of(2).tools[0].name == "f"
    assert len(got.set_aside) == 1


def test_rows_of_another_chat_format_are_not_claimed(tmp_path):
    got = read(tmp_path, {"rows.jsonl": lines({"messages": [*ASKED]})})
    assert "autogen" not in got.counts.formats


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_value_anywhere_is_read_or_set_aside(data, tmp_path_factory):
    rows = [
        event(ASKED, completion(**called("{}"))),
        message("TextMessage", "user", "hi"),
        request("a"),
        execution("a", "x", True),
        {"messages": [message("TextMessage", "b", "x")], "stop_reason": None},
    ]
    survives(data, copy.deepcopy(rows), tmp_path_factory.mktemp("any"), "autogen")
