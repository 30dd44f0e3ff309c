"""MLflow traces: the sample against its script, other layouts by hand, mutations."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from reading import lines, read, read_one, shape
from samples import LOGS, read_sample
from spans import DROPPED, desks, mistakes, rows_of

NAME = "mlflow"
INPUTS = {
    "model": "m",
    "messages": [{"role": "user", "content": "hi"}],
    "tools": [{"type": "function", "function": {"name": "f"}}],
}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": '}}
OUTPUTS = {
    "model": "m-2",
    "choices": [
        {"finish_reason": "tool_calls", "message": {"role": "assistant", "tool_calls": [CALL]}}
    ],
}


def trace(kind: str = "CHAT_MODEL", asked: object = INPUTS, made: object = OUTPUTS) -> dict:
    attributes = {
        "mlflow.spanType": json.dumps(kind),
        "mlflow.spanInputs": json.dumps(asked),
        "mlflow.spanOutputs": json.dumps(made),
    }
    span = {
        "span_id": "AQ==",
        "parent_span_id": None,
        "name": "n",
        "start_time_unix_nano": 1,
        "status": {"code": "STATUS_CODE_OK", "message": ""},
        "attributes": attributes,
        "events": [],
    }
    return {"info": {"trace_id": "tr-1", "state": "OK"}, "data": {"spans": [span]}}


@pytest.fixture(scope="module")
def sample():
    return desks(read_sample(NAME))


def test_mistakes_keep_their_argument_text_and_the_error_of_the_tool_span(sample):
    (session,) = sample["Desk 9: Book two seats to Moss in the morning."]
    assert mistakes(session) == [
        ("find_ferries", DROPPED, True),
        ("search_ferries", '{"port": "Moss"}', True),
        ("find_ferries", '{"port": "Moss", "limit": "one"}', True),
        ("find_ferries", '{"port": "Moss"}', None),
        ("book_seat", '{"port":"Moss","time":"09:05","seats":2}', True),
    ]


def test_the_session_is_the_family_and_a_humans_yes_or_no_the_outcome(sample):
    (clean,) = sample["Desk 9: When do ferries leave for Skagen and Moss?"]
    (wrong,) = sample["Desk 9: Book two seats to Moss in the morning."]
    assert (clean.family, clean.outcome.thumbs) == ("desk-9-0", "up")
    assert (wrong.family, wrong.outcome.thumbs) == ("desk-9-1", "down")


def test_a_request_that_failed_is_an_error_of_the_request(sample):
    (limited,) = sample["Desk 9: Is the 13:15 on time?"]
    assert limited.messages[-1].parts == ()
    assert "429" in limited.messages[-1].error


def test_every_span_of_the_sample_is_accounted_for():
    spans = [s for t in rows_of(LOGS / NAME / "traces.jsonl") for s in t["data"]["spans"]]
    assert read_sample(NAME).counts.formats[NAME].records == len(spans)


CHECKED = ["user 'hi'", 'assistant f({"a": )']


def test_a_pretty_printed_trace_a_line_and_a_row_of_a_table_read_the_same(tmp_path):
    one = trace()
    files = {
        "pretty": {"trace.json": json.dumps(one, indent=2).encode()},
        "line": {"traces.jsonl": lines(one)},
        "row": {"rows.jsonl": lines({"trace_id": "tr-1", "trace": json.dumps(one)})},
    }
    for name, data in files.items():
        (session,) = read(tmp_path / name, data).sessions
        assert (session.format, shape(session)) == (NAME, CHECKED), name


def test_anthropic_and_responses_traffic_read_as_their_providers_do(tmp_path):
    use = {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}
    answer = {"type": "message", "role": "assistant", "content": [use], "stop_reason": "tool_use"}
    item = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'}
    back = {"type": "function_call_output", "call_id": "c1", "output": "done"}
    response = {"object": "response", "status": "completed", "output": [item]}
    asked = {"input": [{"role": "user", "content": "hi"}, {**item, "call_id": "c0"}]}
    got = {
        "anthropic": trace(made=answer),
        "responses": trace(asked=asked, made=response),
        "result": trace(
            asked={"input": [*asked["input"], {**back, "call_id": "c0"}]}, made=response
        ),
    }
    shapes = {
        name: shape(read_one(tmp_path / name, value).sessions[0]) for name, value in got.items()
    }
    assert shapes["anthropic"] == ["user 'hi'", 'assistant f({"a":1})']
    assert shapes["responses"][-1] == 'assistant f({"a": 1})'
    assert shapes["result"] == [
        "user 'hi'",
        'assistant f({"a": 1})',
        "tool ->'done'",
        'assistant f({"a": 1})',
    ]


def test_a_trace_without_spans_is_counted(tmp_path):
    got = read_one(tmp_path, trace(), {"info": {"trace_id": "x"}, "data": {"spans": []}})
    assert got.counts.ignored == {"empty-trace": 1}


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_traces_with_anything_anywhere_never_raise_and_the_books_balance(tmp_path_factory, data):
    rows = [trace(), trace(kind="TOOL"), trace(asked="hi", made="yes")]
    survives(data, copy.deepcopy(rows), tmp_path_factory.mktemp("any"), NAME)
