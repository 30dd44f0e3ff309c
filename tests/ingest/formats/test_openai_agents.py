"""OpenAI Agents SDK traces: the sample against its script, a real trace, mutations."""

from __future__ import annotations

import ast
import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from corpus import CORPUS, needs_corpus
from misstep.ingest import ingest
from misstep.types import Session
from reading import read_one, shape
from samples import read_sample
from spans import DROPPED

NAME = "openai-agents"
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
USER = {"role": "user", "content": "hi"}


def span(number: int, data: dict, **more: object) -> dict:
    return {
        "object": "trace.span",
        "id": f"s{number}",
        "trace_id": "t",
        "parent_id": None,
        "started_at": f"2026-01-01T00:00:{number:02}+00:00",
        "ended_at": f"2026-01-01T00:00:{number:02}.5+00:00",
        "span_data": data,
        "error": None,
        **more,
    }


def generation(number: int, history: list, answer: dict, **more: object) -> dict:
    made = {"role": "assistant", "content": None, **answer}
    data = {"type": "generation", "input": history, "output": [made], "model": "m"}
    return span(number, data, **more)


@pytest.fixture(scope="module")
def sample() -> dict[str, list[Session]]:
    found: dict[str, list[Session]] = {}
    for session in read_sample(NAME).sessions:
        found.setdefault(session.family, []).append(session)
    return found


def test_the_group_of_a_trace_is_the_family(sample):
    assert sorted(sample) == [f"desk-10-{c}" for c in "abcde"] + [f"desk-11-{c}" for c in "abc"]


def test_mistakes_keep_their_argument_text_and_the_error_of_the_function_span(sample):
    for family in ("desk-10-b", "desk-11-b"):
        (session,) = sample[family]
        results = [r.is_error for m in session.messages for r in m.results]
        assert [c.arguments for m in session.messages for c in m.calls] == [
            DROPPED,
            '{"port": "Moss", "limit": "one"}',
            '{"port": "Moss"}',
            '{"port":"Moss","time":"09:05","seats":2}',
        ]
        assert results == [True, True, None, True]


def test_a_tool_that_the_agent_does_not_have_is_a_fault_of_the_call(sample):
    (session,) = sample["desk-10-c"]
    (call,) = session.messages[-1].calls
    assert (call.name, call.fault) == ("search_ferries", "Tool not found: search_ferries")
    assert [tool.name for tool in session.contexts[0].tools] == ["find_ferries", "book_seat"]


def test_an_agent_as_tool_is_a_sub_agent_and_a_handoff_goes_on(sample):
    desk, clock, clerk = sample["desk-10-d"]
    assert [t.name for t in desk.contexts[0].tools] == [
        "ask_timetable",
        "transfer_to_booking_clerk",
    ]
    assert (clock.parent, clock.prefix) == (desk.id, 0)
    assert {m.actor for m in clock.messages if m.role == "assistant"} == {"sub-agent"}
    assert clerk.parent == desk.id
    assert clerk.prefix == 5
    assert [c.name for i in clerk.steps for c in clerk.messages[i].calls] == ["book_seat"]


def test_responses_hold_schemas_and_a_refusal(sample):
    (clean,) = sample["desk-11-a"]
    assert all(tool.parameters for tool in clean.contexts[0].tools)
    (refused,) = sample["desk-11-c"]
    assert refused.messages[-1].finish_reason == "refusal"
    assert refused.messages[-1].text == "I won't write threats."


def test_a_failed_request_is_an_error_of_the_request(sample):
    (limited,) = sample["desk-10-e"]
    assert "429" in limited.messages[-1].error
    assert limited.messages[-1].parts == ()


def test_lists_and_nested_exports_read_like_lines(tmp_path):
    rows = [
        {"object": "trace", "id": "t", "group_id": "g"},
        generation(1, [USER], {"tool_calls": [CALL]}),
        span(2, {"type": "function", "name": "f", "input": '{"a": 1}', "output": "done"}),
    ]
    layouts = {
        "lines": rows,
        "list": [{"data": rows}],
        "nested": [{"traces": [{**rows[0], "spans": rows[1:]}]}],
    }
    for name, values in layouts.items():
        got = read_one(tmp_path / name, *values)
        (session,) = got.sessions
        assert shape(session) == ["user 'hi'", 'assistant f({"a": 1})', "tool ->'done'"], name
        assert session.family == "g"
        assert got.counts.records == 3


def test_a_response_that_only_its_id_was_kept_of_is_counted_as_without_content(tmp_path):
    got = read_one(tmp_path, span(1, {"type": "response", "response_id": "resp_1"}))
    assert got.counts.ignored == {"no-content": 1}


@needs_corpus
def test_a_real_trace_gives_the_answers_that_its_printed_responses_hold():
    (path,) = (CORPUS / "logs" / "otel").glob("dazzaji_traces*.json")
    texts = []
    for trace in json.loads(path.read_text("utf-8"))["traces"]:
        for entry in trace["spans"]:
            printed = entry.get("span_data_response")
            for node in ast.walk(ast.parse(printed)) if printed else ():
                if isinstance(node, ast.Call) and node.func.id == "ResponseOutputText":
                    fields = {k.arg: k.value for k in node.keywords}
                    texts.append(fields["text"].value)
    got = ingest([path])
    assert sorted(s.messages[-1].text for s in got.sessions) == sorted(texts)
    assert len(texts) == 3
    assert {s.family for s in got.sessions} == {trace["id"]}
    hosted = [c for s in got.sessions for m in s.messages for c in m.calls]
    assert [(c.name, c.kind) for c in hosted] == [("web_search", "hosted")]
    assert sum(bool(s.contexts[0].response_schema) for s in got.sessions) == 2


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_traces_with_anything_anywhere_never_raise_and_the_books_balance(tmp_path_factory, data):
    error = {"message": "Tool not found", "data": {"tool_name": "f"}}
    rows = [
        {"object": "trace", "id": "t", "group_id": "g"},
        generation(1, [USER], {"tool_calls": [CALL]}, parent_id="s3"),
        span(2, {"type": "function", "name": "f", "input": "{}", "output": "x"}, parent_id="s3"),
        span(3, {"type": "agent", "name": "a", "tools": ["f"], "handoffs": ["b"]}, error=error),
        span(4, {"type": "response", "response": "Response(id='r', output=[])", "input": "hi"}),
    ]
    survives(data, copy.deepcopy(rows), tmp_path_factory.mktemp("any"), NAME)
