"""Keys of OTLP lines found without their spans are those that are found with them."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misstep.ingest.spans.known import keys_of
from misstep.ingest.spans.skim import Skim

TEXTS = st.text(alphabet='ab"\\{}[],: é', max_size=8)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant"]), "content": TEXTS}
    ),
    max_size=4,
)
ATTRIBUTES = st.one_of(
    st.tuples(st.just("gen_ai.conversation.id"), TEXTS),
    st.tuples(st.just("session.id"), TEXTS),
    st.tuples(st.just("gen_ai.input.messages"), ROWS.map(json.dumps)),
    st.tuples(st.just("llm.input_messages"), TEXTS),
    st.tuples(st.just("gen_ai.prompt.0.role"), st.sampled_from(["user", "system"])),
    st.tuples(st.just("gen_ai.prompt.0.content"), TEXTS),
    st.tuples(st.just("other"), TEXTS),
)


def attribute(pair):
    return {"key": pair[0], "value": {"stringValue": pair[1]}}


SPANS = st.fixed_dictionaries(
    {
        "traceId": st.sampled_from(["a1", "0xB2", "0000", ""]),
        "spanId": st.sampled_from(["1", "2"]),
        "attributes": st.lists(ATTRIBUTES.map(attribute), max_size=5),
    }
)


def export(spans):
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": spans}]}]}


@given(st.lists(st.lists(SPANS, max_size=3), max_size=4))
@settings(max_examples=200)
def test_an_export_has_the_keys_of_its_spans(lines):
    skim = Skim()
    for spans in lines:
        value = export(spans)
        assert skim(json.dumps(value).encode()) == keys_of(value, "")


def other_holder(value):
    value["batches"] = value["resourceSpans"]


def log_records(value):
    value["resourceLogs"] = []


def older_scopes(value):
    value["resourceSpans"][0]["instrumentationLibrarySpans"] = []


def context(value):
    value["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["context"] = {"trace_id": "c"}


def number(value):
    span = value["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span["attributes"] = [{"key": "session.id", "value": {"intValue": 3}}]


def snake_case(value):
    span = value["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span["trace_id"] = span.pop("traceId")


@pytest.mark.parametrize(
    "change", [other_holder, log_records, older_scopes, context, number, snake_case]
)
def test_a_line_that_is_laid_out_otherwise_is_left_to_decoding(change):
    plain = export([{"traceId": "a", "spanId": "1", "attributes": []}])
    changed = copy.deepcopy(plain)
    change(changed)
    assert Skim()(json.dumps(plain).encode()) == ["trace:a"]
    assert Skim()(json.dumps(changed).encode()) is None


@pytest.mark.parametrize("line", [b"", b"[]", b"{", b'{"resourceSpans": 1}', b'{"a": "\xff"}'])
def test_what_is_no_export_is_left_to_decoding(line):
    assert Skim()(line) is None
