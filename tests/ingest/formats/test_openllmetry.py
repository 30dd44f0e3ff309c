"""OpenLLMetry: the sample against its script, numbered keys by hand, mutations."""

from __future__ import annotations

import copy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from reading import read_one, shape
from samples import read_sample
from spans import DROPPED, desks, mistakes, otlp, span

NAME = "openllmetry"
ASKED = {
    "llm.request.type": "chat",
    "gen_ai.request.model": "m",
    "gen_ai.prompt.0.role": "system",
    "gen_ai.prompt.0.content": "be brief",
    "gen_ai.prompt.1.role": "user",
    "gen_ai.prompt.1.content": '[{"type": "text", "text": "hi"}]',
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.finish_reason": "tool_calls",
    "gen_ai.completion.0.tool_calls.0.id": "c1",
    "gen_ai.completion.0.tool_calls.0.name": "f",
    "gen_ai.completion.0.tool_calls.0.arguments": '{"a": 1',
    "llm.request.functions.0.name": "f",
    "llm.request.functions.0.description": "does it",
    "llm.request.functions.0.parameters": '{"type": "object"}',
}


@pytest.fixture(scope="module")
def sample():
    return desks(read_sample(NAME))


def test_mistakes_keep_their_argument_text_and_the_error_of_the_tool_span(sample):
    (session,) = sample["Desk 5: Book two seats to Moss in the morning."]
    assert session.format == NAME
    assert mistakes(session) == [
        ("find_ferries", DROPPED, True),
        ("search_ferries", '{"port": "Moss"}', True),
        ("find_ferries", '{"port": "Moss", "limit": "one"}', True),
        ("find_ferries", '{"port": "Moss"}', None),
        ("book_seat", '{"port":"Moss","time":"09:05","seats":2}', True),
    ]
    assert [tool.name for tool in session.contexts[0].tools] == ["find_ferries", "book_seat"]


def test_the_newer_form_reads_to_the_same_calls(sample):
    (old,) = sample["Desk 5: Book two seats to Moss in the morning."]
    (new,) = sample["Desk 6: Book two seats to Moss in the morning."]
    assert [(n, w) for n, _, w in mistakes(old)] == [(n, w) for n, _, w in mistakes(new)]
    assert mistakes(new)[0][1] == DROPPED


def test_a_stream_of_which_nothing_was_kept_is_set_aside():
    got = read_sample(NAME)
    assert [entry.reason for entry in got.set_aside] == ["no-answer"]
    assert got.set_aside[0].origin.file == "numbered.jsonl"


def test_numbered_keys_give_messages_tools_and_finish_reason(tmp_path):
    (session,) = read_one(tmp_path, otlp(span(1, ASKED))).sessions
    assert shape(session) == ["system 'be brief'", "user 'hi'", 'assistant f({"a": 1)']
    assert session.messages[-1].finish_reason == "tool_calls"
    (tool,) = session.contexts[0].tools
    assert (tool.name, tool.description, tool.parameters) == (
        "f",
        "does it",
        '{"type":"object"}',
    )


def test_a_text_that_looks_like_json_stays_text(tmp_path):
    given = ASKED | {"gen_ai.prompt.1.content": '[{"a": 1}]'}
    (session,) = read_one(tmp_path, otlp(span(1, given))).sessions
    assert session.messages[1].text == '[{"a": 1}]'


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_spans_with_anything_anywhere_never_raise_and_the_books_balance(tmp_path_factory, data):
    run = {"traceloop.span.kind": "tool", "traceloop.entity.input": '{"kwargs": {"a": 1}}'}
    rows = [otlp(span(1, ASKED), span(2, run))]
    survives(data, copy.deepcopy(rows), tmp_path_factory.mktemp("any"), NAME)
