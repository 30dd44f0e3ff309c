"""OpenTelemetry GenAI: the sample against its scripts, trickier spans by hand, real files."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changing import survives
from corpus import CORPUS, needs_corpus
from misstep.ingest import ingest
from reading import balances, lines, read, read_one, shape, steps
from samples import LOGS, read_sample
from spans import DROPPED, any_value, asked, called, desks, mistakes, otlp, returned, said, span

NAME = "otel-genai"
BOOK = "Book two seats to Moss in the morning."


def one(got):
    assert got.set_aside == ()
    (session,) = got.sessions
    return session


# -- the sample


@pytest.fixture(scope="module")
def sample():
    return desks(read_sample(NAME))


def test_parallel_calls_and_their_results_are_one_step(sample):
    (session,) = sample["Desk 1: When do ferries leave for Skagen and Moss?"]
    assert [len(session.messages[i].calls) for i in session.steps] == [2, 0]
    assert [m.finish_reason for m in session.messages if m.role == "assistant"] == [
        "tool_call",
        "stop",
    ]
    assert [t.name for t in session.contexts[0].tools] == ["find_ferries", "book_seat"]
    assert session.contexts[0].max_tokens == 300


def test_mistakes_keep_their_argument_text_and_the_error_that_the_tool_span_holds(sample):
    (session,) = sample[f"Desk 1: {BOOK}"]
    assert mistakes(session) == [
        ("find_ferries", DROPPED, True),
        ("search_ferries", '{"port":"Moss"}', True),
        ("find_ferries", '{"port":"Moss","limit":"one"}', True),
        ("find_ferries", '{"port":"Moss"}', None),
        ("book_seat", '{"port":"Moss","time":"09:05","seats":2}', True),
    ]
    calls = [c for m in session.messages for c in m.calls]
    assert [c.verbatim for c in calls] == [True, False, False, False, False]


def test_messages_as_log_records_read_like_those_in_attributes(sample):
    (old,) = sample[f"Desk 2: {BOOK}"]
    (new,) = sample[f"Desk 1: {BOOK}"]
    assert [m.role for m in old.messages] == [m.role for m in new.messages]
    assert [name for name, _, _ in mistakes(old)] == [name for name, _, _ in mistakes(new)]
    assert [wrong for _, _, wrong in mistakes(old)] == [wrong for _, _, wrong in mistakes(new)]
    assert all(c.verbatim for m in old.messages for c in m.calls)
    assert "I book the 09:05." in [m.text for m in old.messages]


def test_a_refusal_a_cut_stream_and_an_error_of_the_provider_are_told_apart(sample):
    (refused,) = sample["Desk 1: Write a threat to the captain."]
    assert refused.messages[-1].text == "I won't write threats."
    for desk in (1, 2):
        (cut,) = sample[f"Desk {desk}: Tell me all about the crossing to Skagen."]
        assert cut.messages[-1].end == "cut"
    (limited,) = sample["Desk 1: Is the 13:15 on time?"]
    assert limited.messages[-1].parts == ()
    assert "429" in limited.messages[-1].error


def test_the_console_exporter_of_the_sdk_is_read_too(sample):
    (session,) = sample["Desk 3: When do ferries leave for Skagen and Moss?"]
    assert session.messages[-1].origins[0].file == "console.json"
    assert steps([session]) == 2


def test_an_agent_that_a_tool_starts_is_a_sub_agent_of_the_same_family(sample):
    (desk,) = sample["Two seats on the first ferry to Skagen, please."]
    (timetable,) = sample["first ferry to Skagen?"]
    assert timetable.parent == desk.id
    assert timetable.family == desk.family
    assert {m.actor for m in timetable.messages if m.role == "assistant"} == {"sub-agent"}
    assert {m.actor for m in desk.messages if m.role == "assistant"} == {"agent"}
    assert [a for _, a, _ in mistakes(desk)] == [
        '{"question": "first ferry to Skagen?"}',
        '{"time": "07:40", "seats": "many"}',
        '{"time": "07:40", "seats": 2',
        '{"time": "07:40", "seats": 2}',
    ]


def test_the_vercel_sdk_keeps_argument_text_and_the_schema_of_an_object(sample):
    (chat,) = sample["Desk 4: When do ferries leave for Oslo and Moss?"]
    assert [a for _, a, _ in mistakes(chat)] == [
        '{"port": "Oslo"}',
        '{"port":"Moss"}',
        '{"port": "Skagen"',
        '{"port": "Skagen"}',
    ]
    assert [wrong for _, _, wrong in mistakes(chat)] == [True, None, True, True]
    assert chat.family == "desk-4"
    (made,) = sample['Desk 4: "Two to Moss, please." Fill in the form.']
    assert json.loads(made.contexts[0].response_schema)["required"] == ["port", "seats"]


# -- spans by hand

USER = said("user", "hi")


def test_a_history_that_spans_repeat_is_one_session_in_any_order_of_files(tmp_path):
    call, back = called("c1", {"a": 1}), returned("c1")
    first = otlp(span(1, asked([USER], call)))
    second = otlp(span(2, asked([USER, call, back], said("assistant", "ok"))))
    runs = [
        read(tmp_path / str(at), {"a.jsonl": lines(pair[0]), "b.jsonl": lines(pair[1])})
        for at, pair in enumerate([(first, second), (second, first)])
    ]
    assert [steps(got.sessions) for got in runs] == [2, 2]
    assert one(runs[0]).id == one(runs[1]).id
    assert shape(one(runs[0])) == [
        "user 'hi'",
        'assistant f({"a":1})',
        "tool ->'done'",
        "assistant 'ok'",
    ]


def test_a_result_that_no_request_quotes_comes_from_the_run_of_the_tool(tmp_path):
    run = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "f",
        "gen_ai.tool.call.id": "c1",
        "error.type": "timeout",
    }
    got = read_one(tmp_path, otlp(span(1, asked([USER], called("c1"))), span(2, run)))
    (result,) = one(got).messages[-1].results
    assert (result.call_id, result.is_error, result.text) == ("c1", True, "timeout")


def test_runs_of_tools_alone_make_a_session_of_the_calls(tmp_path):
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "m"}
    run = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "f",
        "gen_ai.tool.call.id": "c1",
        "gen_ai.tool.call.arguments": '{"a": 1}',
        "gen_ai.tool.call.result": "done",
        "gen_ai.conversation.id": "talk",
    }
    got = read_one(tmp_path, otlp(span(1, agent), span(2, run, parentSpanId="s1")))
    assert shape(one(got)) == ['assistant f({"a": 1})', "tool ->'done'"]
    assert one(got).messages[0].model == "m"
    assert one(got).family == "talk"
    assert got.counts.ignored == {"agent": 1}


def test_a_tool_that_no_model_called_is_no_step(tmp_path):
    run = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "g"}
    plain = span(2, run | {"gen_ai.tool.call.arguments": "{}"})
    got = read_one(tmp_path, otlp(span(1, asked([USER], said("assistant", "ok"))), plain))
    assert shape(one(got)) == ["user 'hi'", "assistant 'ok'"]
    assert got.counts.ignored == {"tool-run": 1}


def test_spans_without_content_are_counted_and_left_out(tmp_path):
    bare = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    http = {"http.request.method": "POST"}
    got = read_one(tmp_path, otlp(span(1, bare), span(2, http)))
    assert got.sessions == ()
    assert got.counts.ignored == {"no-content": 1, "other-span": 1}


def test_a_span_that_is_exported_twice_is_counted_once(tmp_path):
    export = otlp(span(1, asked([USER], said("assistant", "ok"))))
    got = read_one(tmp_path, export, export)
    assert one(got).copies == 1
    assert got.counts.ignored == {"repeated-span": 1}


def test_a_request_that_wraps_another_is_left_out(tmp_path):
    outer = span(1, asked([USER], said("assistant", "ok")))
    inner = span(2, asked([USER], said("assistant", "ok")), parentSpanId="s1")
    got = read_one(tmp_path, otlp(outer, inner))
    assert one(got).messages[-1].origins[0].row == "s2"
    assert got.counts.ignored == {"wrapper": 1}


def test_a_broken_attribute_is_set_aside_with_its_place(tmp_path):
    broken = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": '[{"role":'}
    got = read_one(tmp_path, otlp(span(1, broken), span(2, asked([USER], said("assistant", "x")))))
    (entry,) = got.set_aside
    assert (entry.reason, entry.origin.row) == ("bad-message", "s1")
    assert entry.origin.pointer == ("/resourceSpans/0/scopeSpans/0/spans/0/gen_ai.input.messages")


def test_structured_attributes_read_like_json_text(tmp_path):
    flat = asked([USER], said("assistant", "ok"))
    deep = flat | {
        "gen_ai.input.messages": [USER],
        "gen_ai.output.messages": [said("assistant", "ok")],
    }
    text, structured = (
        one(read_one(tmp_path / name, otlp(span(1, given))))
        for name, given in (("text", flat), ("deep", deep))
    )
    assert text.id == structured.id


def test_events_on_a_span_are_read_in_their_two_forms(tmp_path):
    def event(name, **attributes):
        listed = [{"key": k, "value": any_value(v)} for k, v in attributes.items()]
        return {"name": name, "attributes": listed, "timeUnixNano": "1"}

    plain = [
        event("gen_ai.user.message", content="hi"),
        event("gen_ai.choice", message=json.dumps({"content": "ok"}), finish_reason="stop"),
    ]
    packed = [
        event("gen_ai.user.message", **{"gen_ai.event.content": json.dumps({"content": "hi"})}),
        event(
            "gen_ai.choice",
            **{"gen_ai.event.content": json.dumps({"message": {"content": "ok"}})},
        ),
    ]
    draft = [
        event("gen_ai.content.prompt", **{"gen_ai.prompt": '[{"role": "user", "content": "hi"}]'}),
        event(
            "gen_ai.content.completion",
            **{"gen_ai.completion": '[{"role": "assistant", "content": "ok"}]'},
        ),
    ]
    ask = {"gen_ai.system": "openai", "gen_ai.request.model": "m"}
    blocks = [
        event("gen_ai.user.message", content='[{"text": "hi"}]'),
        event("gen_ai.choice", message='[{"text": "ok"}]', finish_reason="end_turn"),
    ]
    forms = {"plain": plain, "packed": packed, "draft": draft, "blocks": blocks}
    for name, events in forms.items():
        got = read_one(tmp_path / name, otlp(span(1, ask, events=events)))
        assert shape(one(got)) == ["user 'hi'", "assistant 'ok'"], name


def test_log_records_without_their_spans_still_tell_the_conversation(tmp_path):
    def record(name, body, number):
        time = str(1_780_000_000_000_000_000 + number)
        key = {"traceId": "t", "spanId": "s9", "timeUnixNano": time}
        return {**key, "eventName": name, "body": any_value(body)}

    function = {"name": "f", "arguments": '{"a":'}
    call = {"id": "c1", "type": "function", "function": function}
    got = read_one(
        tmp_path,
        otlp(
            record("gen_ai.choice", {"index": 0, "message": {"tool_calls": [call]}}, 2),
            record("gen_ai.user.message", {"content": "hi"}, 1),
            key="logs",
        ),
    )
    assert shape(one(got)) == ["user 'hi'", 'assistant f({"a":)']
    assert got.counts.used == 2


def test_one_file_may_mix_the_conventions_of_several_libraries(tmp_path):
    numbered = {
        "llm.request.type": "chat",
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "hi",
        "gen_ai.completion.0.content": "one",
    }
    inferred = {
        "openinference.span.kind": "LLM",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": "hi",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "two",
    }
    newest = asked([USER], said("assistant", "three"))
    got = read_one(tmp_path, otlp(span(1, newest), span(2, numbered), span(3, inferred)))
    assert got.set_aside == ()
    assert {s.messages[-1].text for s in got.sessions} == {"one", "two", "three"}
    assert {len(s.messages) for s in got.sessions} == {2}


def test_an_agents_own_messages_are_used_only_where_its_requests_are_not_known(tmp_path):
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"}
    whole = [USER, called("c1"), returned("c1"), said("assistant", "ok")]
    kept = agent | {"pydantic_ai.all_messages": json.dumps(whole)}
    alone = read_one(tmp_path / "alone", otlp(span(1, kept)))
    request = span(2, asked([USER], called("c1")), parentSpanId="s1")
    both = read_one(tmp_path / "both", otlp(span(1, kept), request))
    assert shape(one(alone))[-1] == "assistant 'ok'"
    assert len(one(alone).messages) == 4
    assert len(one(both).messages) == 2
    assert both.counts.ignored == {"agent": 1}


def test_an_agent_that_only_brackets_others_makes_them_no_sub_agents(tmp_path):
    agent = {"gen_ai.operation.name": "invoke_agent"}
    request = span(3, asked([USER], said("assistant", "ok")), parentSpanId="s2")
    got = read_one(tmp_path, otlp(span(1, agent), span(2, agent, parentSpanId="s1"), request))
    assert one(got).messages[-1].actor == "agent"


def test_calls_whose_ids_repeat_in_other_traces_are_not_mixed_up(tmp_path):
    def run(number, trace, failed):
        given = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "f"}
        more = {"gen_ai.tool.call.id": "call_0", "gen_ai.tool.call.result": trace}
        status = {"code": 2} if failed else {"code": 1}
        return span(number, given | more, traceId=trace, status=status)

    first = span(1, asked([said("user", "one")], called("call_0")), traceId="a")
    second = span(3, asked([said("user", "two")], called("call_0")), traceId="b")
    got = read_one(tmp_path, otlp(first, second, run(2, "a", True), run(4, "b", False)))
    told = [(r.text, r.is_error) for s in got.sessions for m in s.messages for r in m.results]
    assert told == [("a", True), ("b", False)]


def test_arguments_that_were_not_captured_are_not_held_against_the_model(tmp_path):
    call = {"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "f"}]}
    got = read_one(tmp_path, otlp(span(1, asked([USER], call))))
    (made,) = one(got).messages[-1].calls
    assert (made.arguments, made.syntax) == ("", "text")


# -- real files


@needs_corpus
def test_real_copilot_traces_give_the_calls_that_their_tool_spans_hold():
    calls = []
    paths = sorted((CORPUS / "logs" / "otel").glob("vscopilot*.jsonl"))
    for path in paths:
        for line in path.read_text("utf-8").splitlines():
            for made in json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]:
                given = {a["key"]: a["value"].get("stringValue") for a in made["attributes"]}
                if given["gen_ai.operation.name"] == "execute_tool":
                    keys = ("name", "call.arguments", "call.result")
                    calls.append(tuple(given[f"gen_ai.tool.{key}"] for key in keys))
    got = ingest(paths)
    balances(got)
    told = [
        (call.name, call.arguments, result.text)
        for session in got.sessions
        for asking, back in zip(session.messages[::2], session.messages[1::2], strict=True)
        for call, result in zip(asking.calls, back.results, strict=True)
    ]
    assert sorted(told) == sorted(calls)
    assert len({session.family for session in got.sessions}) == 2


@needs_corpus
def test_a_real_span_dump_without_messages_is_counted_span_by_span():
    (path,) = (CORPUS / "logs" / "otel").glob("dazzaji_otel*.json")
    got = ingest([path])
    assert got.counts.records == len(json.loads(path.read_text("utf-8"))["spans"])
    assert got.counts.ignored == {"other-span": got.counts.records}


# -- anything anywhere

ROWS = [
    otlp(
        span(1, asked([USER, called("c0"), returned("c0")], called("c1"))),
        span(2, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.id": "c1"}),
        span(3, {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"}),
    ),
    otlp({"spanId": "s1", "eventName": "gen_ai.choice", "body": {"stringValue": "x"}}, key="logs"),
    {"trace_id": "0xa", "span_id": "0xb", "name": "n", "attributes": {"ai.prompt.messages": "[]"}},
]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_spans_with_anything_anywhere_never_raise_and_the_books_balance(tmp_path_factory, data):
    survives(data, copy.deepcopy(ROWS), tmp_path_factory.mktemp("any"), NAME)


def test_the_sample_names_no_path_of_the_machine_it_was_made_on():
    for path in (LOGS / NAME).glob("*.json*"):
        assert "/site-packages/" not in path.read_text("utf-8"), path.name
