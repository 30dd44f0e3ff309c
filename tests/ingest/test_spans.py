"""Spans in every layout, values in every spelling, histories that are worked through once."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep.ingest.format import Misfit, Record
from misstep.ingest.spans.flat import groups, nest, undotted
from misstep.ingest.spans.history import Histories
from misstep.ingest.spans.known import keys_of
from misstep.ingest.spans.layouts import units
from misstep.ingest.spans.reprs import from_repr
from misstep.ingest.spans.rows import messages_of
from misstep.ingest.spans.span import Odd, Span, attributes_of, ident, plain, seconds
from misstep.types import Origin
from spans import any_value, asked, otlp, said, span

HERE = Origin(file="f", format="x")
VALUES = st.recursive(
    st.text(max_size=5) | st.booleans() | st.integers(-(2**63), 2**63 - 1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


def found(value) -> list:
    return units(Record(value=value, origin=HERE))


@given(VALUES)
def test_any_otlp_value_is_the_plain_value_again(value):
    assert plain(any_value(value)) == value


@pytest.mark.parametrize(
    "export",
    [
        otlp(span(1, {"a": 1})),
        {"resource_spans": [{"scope_spans": [{"spans": [span(1, {"a": 1})]}]}]},
        {"batches": [{"instrumentationLibrarySpans": [{"spans": [span(1, {"a": 1})]}]}]},
        {"trace": {"resourceSpans": [{"scopeSpans": [{"spans": [span(1, {"a": 1})]}]}]}},
        {"spans": [{"trace_id": "t", "span_id": "s1", "attributes": {"a": 1}}]},
        [{"context": {"trace_id": "t", "span_id": "s1"}, "attributes": '{"a": 1}'}],
        {"context.trace_id": "t", "context.span_id": "s1", "attributes.a": 1},
        {
            "data": [
                {
                    "traceID": "t",
                    "spans": [{"traceID": "t", "spanID": "s1", "tags": [{"key": "a", "value": 1}]}],
                }
            ]
        },
    ],
    ids=["otlp", "snake", "tempo", "tempo2", "dump", "list", "columns", "jaeger"],
)
def test_every_layout_gives_the_span(export):
    (one,) = found(export)
    assert isinstance(one, Span)
    assert (one.trace, one.id, one.attributes["a"]) == ("t", "s1", 1)


def test_a_tree_of_spans_gives_each_of_them():
    tree = {"span_id": "a", "span_name": "x", "span_attributes": {}}
    tree["child_spans"] = [{"span_id": "b", "span_attributes": {"k": 1}, "parent_span_id": "a"}]
    assert [(s.id, s.parent) for s in found(tree)] == [("a", None), ("b", "a")]


def test_a_list_without_end_is_one_thing_that_is_no_span():
    deep: object = 1
    for _ in range(200):
        deep = [deep]
    (one,) = found(deep)
    assert isinstance(one, Odd)


def test_an_export_of_nothing_is_one_unit():
    assert [unit.kind for unit in found(otlp())] == ["empty-export"]
    assert [unit.kind for unit in found({"resourceMetrics": []})] == ["metrics"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1780000000500000000", 1_780_000_000.5),
        (1_780_000_000_500_000, 1_780_000_000.5),
        (1_780_000_000_500, 1_780_000_000.5),
        (1_780_000_000, 1_780_000_000.0),
        ("2026-05-28T20:26:40.500000Z", 1_780_000_000.5),
        (0, None),
        ("soon", None),
        ([], None),
    ],
)
def test_times_are_seconds_whatever_their_unit(given, expected):
    assert seconds(given) == expected


def test_ids_lose_their_prefix_and_zeros_are_none():
    assert ident("0xAB") == "ab"
    assert ident("0000000000000000") == ident(None) == ident("") == ""


def test_nested_attributes_get_dotted_keys_and_lists_stay():
    nested = {"gen_ai": {"request": {"model": "m"}}, "llm": {"tools": [{"a": 1}]}, "own": {"b": 2}}
    assert attributes_of(nested) == {
        "gen_ai.request.model": "m",
        "llm.tools": [{"a": 1}],
        "own": {"b": 2},
    }


def test_numbered_keys_become_lists_in_the_order_of_their_numbers():
    keys = {"p.10.role": "c", "p.2.role": "b", "p.2.calls.1.id": 2, "p.2.calls.0.id": 1, "q": 0}
    assert [nest(group) for group in groups(keys, "p.", "q.")[0]] == [
        {"role": "b", "calls": [{"id": 1}, {"id": 2}]},
        {"role": "c"},
    ]
    assert undotted([{"message.role": "user"}]) == [{"message": {"role": "user"}}]


def test_printed_objects_are_read_and_nothing_is_run():
    text = "Response(id='r', output=[Item(n=-1, t=(True, None))], e=Kind.A)"
    assert from_repr(text.replace(", e=Kind.A", "")) == {
        "__class__": "Response",
        "id": "r",
        "output": [{"__class__": "Item", "n": -1, "t": [True, None]}],
    }
    assert from_repr(text) is None
    assert from_repr("__import__('os').system('x')") == {"__class__": "system"}
    assert from_repr("((" * 50_000) is None


def test_a_history_that_begins_like_the_last_one_decodes_only_the_rest():
    histories = Histories()
    rows = [said("user", str(number)) for number in range(5)]
    known = histories.text(json.dumps(rows[:3]), "", conversation="t")
    longer = histories.text(json.dumps(rows), "", conversation="t")
    assert [m.text for m, _ in longer] == ["0", "1", "2", "3", "4"]
    assert all(new is old for new, old in zip(longer, known, strict=False))
    other = histories.text(json.dumps([*rows[:2], said("user", "2!")]), "", conversation="t")
    assert [m.text for m, _ in other] == ["0", "1", "2!"]
    assert other[0] is known[0]


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=4), max_size=6))
def test_the_order_of_requests_never_changes_what_their_histories_say(requests):
    histories = Histories()
    for words in requests:
        text = json.dumps([said("user", word) for word in words])
        read = histories.text(text, "", conversation="t")
        assert [message.text for message, _ in read] == words


def test_records_share_trace_conversation_and_first_words():
    history = [said("system", "be brief"), said("user", "hi")]
    given = asked(history, None) | {"gen_ai.conversation.id": "talk"}
    one = keys_of(otlp(span(1, given)), "f")
    two = keys_of(otlp(span(2, asked([*history, said("user", "more")], None), traceId="u")), "f")
    assert one[:2] == ["trace:t", "conversation:talk"]
    assert set(one) & set(two) == {one[2]}


GIVEN = {"a": 1}
FLAT = {"id": "c", "name": "f", "args": GIVEN}
PRINTED = "Calling tools:\n[{'id': 'c', 'function': {'name': 'f', 'arguments': {'a': 1}}}]"
GENAI = {"type": "tool_call", "id": "c", "name": "f", "arguments": GIVEN}
VERCEL = {"type": "tool-call", "toolCallId": "c", "toolName": "f", "input": GIVEN}
BEDROCK = {"toolUse": {"toolUseId": "c", "name": "f", "input": GIVEN}}


@pytest.mark.parametrize(
    "row",
    [
        {"role": "assistant", "parts": [GENAI]},
        {"role": "assistant", "tool_calls": [FLAT]},
        {"role": "assistant", "content": [BEDROCK]},
        {"role": "assistant", "content": [VERCEL]},
        {"role": "assistant", "content": PRINTED},
        {"role": "model", "parts": [{"functionCall": FLAT}]},
        {"lc": 1, "id": ["x", "AIMessage"], "kwargs": {"tool_calls": [FLAT]}},
        {"type": "ai", "data": {"content": "", "tool_calls": [FLAT]}},
    ],
)
def test_a_call_reads_the_same_in_every_spelling(row):
    (message,) = messages_of(row, "")
    (call,) = message.calls
    assert (call.id, call.name, call.arguments, call.verbatim) == ("c", "f", '{"a":1}', False)


def test_argument_text_beside_parsed_arguments_wins_and_broken_calls_keep_their_fault():
    raw = {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"a": 1}'}}]}
    row = {
        "role": "ai",
        "content": "",
        "additional_kwargs": raw,
        "tool_calls": [{"id": "c", "name": "f", "args": {"a": 1}}],
        "invalid_tool_calls": [{"id": "d", "name": "g", "args": "{", "error": "not JSON"}],
    }
    (message,) = messages_of(row, "")
    assert [(c.arguments, c.verbatim, c.fault, c.index) for c in message.calls] == [
        ('{"a": 1}', True, None, 0),
        ("{", True, "not JSON", 1),
    ]


def test_results_leave_the_messages_of_users_and_keep_their_flags():
    row = {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "c", "content": "no", "is_error": True},
            {"type": "text", "text": "on"},
            {"toolResult": {"toolUseId": "d", "content": [{"text": "ok"}], "status": "success"}},
        ],
    }
    told = messages_of(row, "")
    assert [message.role for message in told] == ["tool", "user", "tool"]
    assert [(r.call_id, r.text, r.is_error) for m in told for r in m.results] == [
        ("c", "no", True),
        ("d", "ok", False),
    ]


def test_a_row_that_is_no_message_says_where():
    with pytest.raises(Misfit) as caught:
        messages_of({"a": 1}, "/gen_ai.input.messages/3")
    assert caught.value.pointer.startswith("/gen_ai.input.messages/3")


def test_a_spoken_answer_in_a_span_is_not_empty():
    (message,) = messages_of({"role": "assistant", "audio": {"id": "audio_1"}}, "")
    assert [part.kind for part in message.parts] == ["image"]
    (empty,) = messages_of({"role": "assistant", "content": "", "audio": None}, "")
    assert empty.parts == ()
