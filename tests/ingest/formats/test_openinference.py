"""OpenInference: the sample against its script, the layouts of Phoenix by hand, mutations."""

from __future__ import annotations

import copy
import csv
import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from reading import lines, read, read_one, shape
from samples import read_sample
from spans import DROPPED, desks, mistakes, otlp, span

NAME = "openinference"
LLM = {
    "openinference.span.kind": "LLM",
    "llm.model_name": "m",
    "llm.input_messages.0.message.role": "user",
    "llm.input_messages.0.message.content": "hi",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "f",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"a": ',
    "llm.tools.0.tool.json_schema": '{"type": "function", "function": {"name": "f"}}',
    "llm.token_count.prompt": 7,
    "llm.invocation_parameters": '{"temperature": 0.5, "tool_choice": "required"}',
}
NESTED = {
    "openinference": {"span": {"kind": "LLM"}},
    "llm": {
        "model_name": "m",
        "input_messages": [{"message": {"role": "user", "content": "hi"}}],
        "output_messages": [
            {
                "message": {
                    "role": "assistant",
                    "tool_calls": [
                        {
                            "tool_call": {
                                "id": "c1",
                                "function": {"name": "f", "arguments": '{"a": '},
                            }
                        }
                    ],
                }
            }
        ],
        "tools": [{"tool": {"json_schema": '{"type": "function", "function": {"name": "f"}}'}}],
        "token_count": {"prompt": 7},
        "invocation_parameters": '{"temperature": 0.5, "tool_choice": "required"}',
    },
}
DOTTED = [{"message.role": "user", "message.content": "hi"}]
ANSWER = [
    {
        "message.role": "assistant",
        "message.tool_calls": [
            {
                "tool_call.id": "c1",
                "tool_call.function.name": "f",
                "tool_call.function.arguments": '{"a": ',
            }
        ],
    }
]
COLUMNS = {
    "context.trace_id": "t",
    "context.span_id": "s1",
    "start_time": "2026-01-01T00:00:00+00:00",
    "attributes.openinference.span.kind": "LLM",
    "attributes.llm.model_name": "m",
    "attributes.llm.token_count.prompt": 7,
    "attributes.llm.invocation_parameters": '{"temperature": 0.5, "tool_choice": "required"}',
    "attributes.llm.tools": [
        {"tool.json_schema": '{"type": "function", "function": {"name": "f"}}'}
    ],
}


def row(attributes: dict) -> dict:
    context = {"trace_id": "t", "span_id": "s1"}
    return {"name": "n", "context": context, "attributes": attributes, "start_time": "2026-01-01"}


def checked(got) -> None:
    assert got.set_aside == ()
    (session,) = got.sessions
    assert session.format == NAME
    assert shape(session) == ["user 'hi'", 'assistant f({"a": )']
    assert session.messages[-1].model == "m"
    assert session.messages[-1].usage.input_tokens == 7
    (context,) = session.contexts
    assert [t.name for t in context.tools] == ["f"]
    assert (context.temperature, context.tool_choice) == (0.5, "required")


@pytest.mark.parametrize(
    "value", [otlp(span(1, LLM)), row(LLM), row(NESTED)], ids=["otlp", "flat", "nested"]
)
def test_every_json_layout_gives_the_same_session(tmp_path, value):
    checked(read_one(tmp_path, value))


def test_a_data_frame_as_csv_gives_the_same_session(tmp_path):
    told = {"attributes.llm.input_messages": DOTTED, "attributes.llm.output_messages": ANSWER}
    cells = {key: str(value) for key, value in (COLUMNS | told).items()}
    text = io.StringIO()
    writer = csv.DictWriter(text, list(cells))
    writer.writeheader()
    writer.writerow(cells)
    got = read(tmp_path, {"spans.csv": text.getvalue().encode()})
    assert shape(got.sessions[0]) == ["user 'hi'", 'assistant f({"a": )']
    assert [t.name for t in got.sessions[0].contexts[0].tools] == ["f"]


def test_a_data_frame_as_rows_of_json_gives_the_same_session(tmp_path):
    told = {"attributes.llm.input_messages": DOTTED, "attributes.llm.output_messages": ANSWER}
    checked(read_one(tmp_path, COLUMNS | told))


def test_legacy_function_calls_are_calls(tmp_path):
    old = {key: value for key, value in LLM.items() if "tool_calls" not in key}
    old["llm.output_messages.0.message.function_call_name"] = "f"
    old["llm.output_messages.0.message.function_call_arguments_json"] = '{"a": 1}'
    (session,) = read_one(tmp_path, otlp(span(1, old))).sessions
    (call,) = session.messages[-1].calls
    assert (call.name, call.arguments, call.verbatim, call.id) == ("f", '{"a": 1}', True, None)


def test_content_parts_keep_text_and_images_in_order(tmp_path):
    base = "llm.input_messages.0.message.contents"
    parts = {
        f"{base}.0.message_content.type": "text",
        f"{base}.0.message_content.text": "look",
        f"{base}.1.message_content.type": "image",
        f"{base}.1.message_content.image.image.url": "https://example.org/a.png",
    }
    given = {k: v for k, v in LLM.items() if k != "llm.input_messages.0.message.content"} | parts
    (session,) = read_one(tmp_path, otlp(span(1, given))).sessions
    assert [(p.kind, p.text) for p in session.messages[0].parts] == [
        ("text", "look"),
        ("image", "https://example.org/a.png"),
    ]


def test_a_run_without_a_call_id_meets_its_call_by_name_and_arguments(tmp_path):
    def run(number, text, failed):
        status = {"code": 2, "message": "no"} if failed else {"code": 1}
        given = {"openinference.span.kind": "TOOL", "tool.name": "f", "input.value": text}
        return span(number, given, status=status)

    calls = dict(LLM)
    base = "llm.output_messages.0.message.tool_calls"
    calls[f"{base}.0.tool_call.function.arguments"] = '{"a":1}'
    calls[f"{base}.1.tool_call.id"] = "c2"
    calls[f"{base}.1.tool_call.function.name"] = "f"
    calls[f"{base}.1.tool_call.function.arguments"] = '{"a":2}'
    got = read_one(
        tmp_path, otlp(span(1, calls), run(2, '{"a": 2}', True), run(3, '{"a": 1}', False))
    )
    (session,) = got.sessions
    results = {r.call_id: r.is_error for r in session.messages[-1].results}
    assert results == {"c1": False, "c2": True}


# -- the sample


@pytest.fixture(scope="module")
def sample():
    return desks(read_sample(NAME))


def test_mistakes_keep_their_argument_text_and_their_errors(sample):
    (session,) = sample["Desk 7: Book two seats to Moss in the morning."]
    assert mistakes(session) == [
        ("find_ferries", DROPPED, True),
        ("search_ferries", '{"port": "Moss"}', True),
        ("find_ferries", '{"port": "Moss", "limit": "one"}', True),
        ("find_ferries", '{"port": "Moss"}', None),
        ("book_seat", '{"port":"Moss","time":"09:05","seats":2}', True),
    ]
    assert all(call.verbatim for message in session.messages for call in message.calls)


def test_a_refusal_stands_in_the_raw_response(sample):
    (session,) = sample["Desk 7: Write a threat to the captain."]
    assert session.messages[-1].text == "I won't write threats."
    assert session.messages[-1].finish_reason == "stop"


def test_a_trace_in_a_parquet_file_and_in_json_rows_is_one_session(sample):
    (session,) = sample["Desk 8: When do ferries leave for Skagen and Moss?"]
    files = {origin.file for message in session.messages for origin in message.origins}
    assert files == {"spans.parquet", "rows.jsonl"}


def test_a_managed_agent_is_a_sub_agent_and_its_name_is_a_tool(sample):
    (desk,) = sample["New task:\nWhen is the first ferry to Moss?"]
    helpers = sample["New task:\nfirst ferry to Moss?"]
    assert "timetable" in [tool.name for tool in desk.contexts[0].tools]
    assert helpers[0].parent == desk.id
    actors = {m.actor for s in helpers for m in s.messages if m.role == "assistant"}
    assert actors == {"sub-agent"}
    assert len({s.family for s in [desk, *helpers]}) == 1


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_spans_with_anything_anywhere_never_raise_and_the_books_balance(tmp_path_factory, data):
    rows = [otlp(span(1, LLM)), row(NESTED), COLUMNS | {"attributes.llm.input_messages": DOTTED}]
    survives(data, copy.deepcopy(rows), tmp_path_factory.mktemp("any"), NAME)


def test_a_cell_that_is_no_list_is_set_aside(tmp_path):
    wrong = COLUMNS | {"attributes.llm.input_messages": "not a list"}
    got = read(tmp_path, {"log.jsonl": lines(json.loads(json.dumps(wrong)))})
    (entry,) = got.set_aside
    assert entry.reason == "bad-message"
