"""Qwen Code and iFlow sessions: samples, links, causes, a real file, mutations."""

from __future__ import annotations

import copy
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from corpus import CORPUS, needs_corpus
from misstep.ingest import ingest
from misstep.types import Session
from reading import balances, read_one, shape, steps
from samples import LOGS, read_sample


def line(name: str, up: str | None, kind: str, parts: list, **more: object) -> dict:
    role = "model" if kind == "assistant" else "user"
    return {
        "uuid": name,
        "parentUuid": up,
        "sessionId": "s",
        "timestamp": "2026-03-09T08:00:00Z",
        "type": kind,
        "message": {"role": role, "parts": parts},
        **more,
    }


def call(name: str) -> dict:
    return {"functionCall": {"id": name, "name": "read_file", "args": {"file_path": "x"}}}


def result(name: str, up: str, called: str, **about: object) -> dict:
    told = {"id": called, "name": "read_file", "response": {"output": "one"}}
    kept = {"callId": called, "status": "success", **about}
    parts = [{"functionResponse": told}]
    return line(name, up, "tool_result", parts, toolCallResult=kept)


def only(got) -> Session:
    assert got.set_aside == ()
    (session,) = got.sessions
    return session


def test_the_sample_holds_what_was_played():
    got = read_sample("qwen-code")
    assert got.set_aside == ()
    first = next(s for s in got.sessions if "And the sum?" in [m.text for m in s.messages])
    assert [c.name for m in first.messages for c in m.calls] == [
        "list_directory",
        "read_file",
        "open_file",
        "read_file",
        "run_shell_command",
        "run_shell_command",
        "read_file",
    ]
    results = [r for m in first.messages for r in m.results]
    assert [(r.is_error, r.cause, r.exit_code) for r in results] == [
        (False, None, None),
        (True, "model", None),
        (True, "model", None),
        (True, "model", None),
        (False, None, 3),
        (False, None, 0),
        (False, None, None),
    ]


def test_a_failed_request_is_a_step_without_parts():
    got = read_sample("qwen-code")
    (session,) = [s for s in got.sessions if s.messages[0].text == "Say hello."]
    assert session.messages[-1].error == "400 The server answered with status 400."
    assert session.messages[-1].parts == ()


def test_lines_of_an_answer_that_repeat_calls_hold_each_call_once():
    session = only(ingest([LOGS / "qwen-code" / "iflow.jsonl"]))
    assert [m.role for m in session.messages] == ["user", "assistant", "tool", "assistant"]
    answer, results = session.messages[1], session.messages[2].results
    assert [(c.id, c.index) for c in answer.calls] == [("call_a", 0), ("call_b", 1)]
    assert answer.text == "I read both files."
    assert [(r.call_id, r.is_error) for r in results] == [("call_a", False), ("call_b", True)]


def test_lines_are_linked_over_those_that_are_no_messages(tmp_path):
    noted = {**line("2", "1", "system", []), "subtype": "ui_telemetry", "systemPayload": {}}
    got = read_one(
        tmp_path, line("1", None, "user", [{"text": "hi"}]), noted,
        line("3", "2", "assistant", [{"text": "t", "thought": True}, {"text": "one"}]),
    )  # fmt: skip
    assert shape(only(got)) == ["user 'hi'", "assistant 'one'"]
    assert only(got).messages[1].reasoning == "t"


def test_a_cancelled_call_is_a_humans_no(tmp_path):
    got = read_one(
        tmp_path, line("1", None, "user", [{"text": "hi"}]),
        line("2", "1", "assistant", [call("c")]), result("3", "2", "c", status="cancelled"),
    )  # fmt: skip
    (told,) = only(got).messages[2].results
    assert (told.is_error, told.cause) == (True, "human")


def test_parallel_results_in_lines_of_their_own_are_one_message(tmp_path):
    got = read_one(
        tmp_path, line("1", None, "user", [{"text": "hi"}]),
        line("2", "1", "assistant", [call("a"), call("b")]), result("3", "2", "a"),
        result("4", "3", "b"), line("5", "4", "assistant", [{"text": "done"}]),
    )  # fmt: skip
    assert [m.role for m in only(got).messages] == ["user", "assistant", "tool", "assistant"]
    assert steps(got.sessions) == 2


@needs_corpus
def test_a_real_file_of_iflow_is_one_conversation_with_the_calls_that_plain_json_counts():
    (path,) = (CORPUS / "logs" / "other-clis").glob("iflow_*.jsonl")
    blocks = [
        b
        for row in map(json.loads, path.read_text("utf-8").splitlines())
        if isinstance(row["message"]["content"], list)
        for b in row["message"]["content"]
    ]
    got = ingest([path])
    balances(got)
    session = only(got)
    calls = [c.id for m in session.messages for c in m.calls]
    results = [r.call_id for m in session.messages for r in m.results]
    assert calls == list(dict.fromkeys(b["id"] for b in blocks if b["type"] == "tool_use"))
    assert results == [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]


ROWS = [
    line("1", None, "user", [{"text": "hi"}]),
    line("2", "1", "assistant", [call("a")], model="m", usageMetadata={"promptTokenCount": 1}),
    result("3", "2", "a", status="error", errorType="invalid_tool_params"),
    {
        **line("4", "3", "system", []),
        "systemPayload": {"uiEvent": {"event.name": "qwen-code.api_error", "error_message": "no"}},
    },
    {
        **line("5", "4", "assistant", []),
        "sessionId": "session-1",
        "message": {"id": "m", "content": [{"type": "tool_use", "id": "c", "name": "t"}]},
    },
    {
        **line("6", "5", "user", []),
        "sessionId": "session-1",
        "message": {
            "content": [
                {"type": "tool_result", "tool_use_id": "c", "content": {"responseParts": {}}}
            ]
        },
        "toolUseResult": {"status": "error"},
    },
]


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_session_with_anything_anywhere_is_read_and_the_books_balance(tmp_path_factory, data):
    survives(data, copy.deepcopy(ROWS), tmp_path_factory.mktemp("any"), "qwen-code")
