"""Pairs of the five providers: layouts that they share, batch files, older forms, error bodies."""

from __future__ import annotations

import json

import pytest

from corpus import CORPUS, needs_corpus
from misstep.config import ValidateConfig
from misstep.ingest import FORMATS, ingest
from misstep.validate import settings, validate
from reading import balances, read, read_one, reasons, shape, steps

CHAT = {"model": "m", "messages": [{"role": "user", "content": "go"}]}
ITEM = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]}
BLOCK = {"role": "user", "content": [{"text": "go"}]}
ANSWERS = {
    "openai-chat": (CHAT, {"choices": [{"message": {"role": "assistant", "content": "ok"}}]}),
    "anthropic-messages": (
        {**CHAT, "max_tokens": 9},
        {"type": "message", "content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn"},
    ),
    "openai-responses": (
        {"model": "m", "input": "go"},
        {"object": "response", "status": "completed", "output": [ITEM]},
    ),
    "gemini": (
        {"contents": [{"role": "user", "parts": [{"text": "go"}]}]},
        {"candidates": [{"content": {"role": "model", "parts": [{"text": "ok"}]}}]},
    ),
    "bedrock-converse": (
        {"messages": [BLOCK]},
        {
            "output": {"message": {"role": "assistant", "content": [{"text": "ok"}]}},
            "stopReason": "end_turn",
        },
    ),
}
SHAPE = ["user 'go'", "assistant 'ok'"]
LAYOUTS = {
    "two fields": lambda q, a: [{"request": q, "response": a}],
    "wrapped": lambda q, a: [
        {"request": {"url": "/x", "body": q}, "response": {"status_code": 200, "body": a}}
    ],
    "text": lambda q, a: [{"request": json.dumps(q), "response": json.dumps(a)}],
    "bodies": lambda q, a: [{"request_body": q, "response_body": json.dumps(a), "status": 200}],
    "beside": lambda q, a: [{**q, "response": a}],
    "lines": lambda q, a: [q, a],
    "batch": lambda q, a: [
        {"custom_id": "1", "method": "POST", "url": "/x", "body": q},
        {"id": "b", "custom_id": "1", "response": {"status_code": 200, "body": a}, "error": None},
    ],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ANSWERS)
def test_every_provider_is_read_in_every_layout(tmp_path, name, layout):
    got = read_one(tmp_path, *LAYOUTS[layout](*ANSWERS[name]))
    assert [(s.format, shape(s)) for s in got.sessions] == [(name, SHAPE)]
    assert got.set_aside == ()


def test_the_records_of_one_file_may_be_of_several_providers(tmp_path):
    rows = [{"request": q, "response": a} for q, a in ANSWERS.values()]
    got = read_one(tmp_path, *rows)
    assert sorted(s.format for s in got.sessions) == sorted(ANSWERS)
    assert all(shape(s) == SHAPE for s in got.sessions)


def test_the_five_are_of_one_kin():
    assert {f.name for f in FORMATS if f.kin == "traffic"} == set(ANSWERS)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://x/openai/deployments/y/chat/completions?api-version=1", "openai-chat"),
        ("https://api.anthropic.com/v1/messages?beta=true", "anthropic-messages"),
    ],
)
def test_the_url_says_whose_an_unanswered_request_is(tmp_path, url, name):
    body = {**CHAT, "messages": [*CHAT["messages"], {"role": "assistant", "content": "ok"}]}
    got = read_one(tmp_path, {"url": url, "status": 500, "request": body, "response": "oops"})
    assert [s.format for s in got.sessions] == [name]


def test_batch_files_are_joined_by_their_custom_id_whatever_their_order(tmp_path):
    asked, told = LAYOUTS["batch"](*ANSWERS["openai-chat"])
    lost = {**asked, "custom_id": "2"}
    rows = {"z_in.jsonl": [asked, lost], "a_out.jsonl": [told, {**told, "custom_id": "3"}]}
    data = {name: b"".join(json.dumps(r).encode() + b"\n" for r in v) for name, v in rows.items()}
    got = read(tmp_path, data)
    assert [shape(s) for s in got.sessions] == [SHAPE]
    assert sorted(reason for _, reason in reasons(got)) == ["no-answer", "no-request"]


def test_a_custom_id_that_several_requests_share_is_set_aside(tmp_path):
    asked, told = LAYOUTS["batch"](*ANSWERS["openai-chat"])
    other = {**asked, "body": {**CHAT, "messages": [{"role": "user", "content": "else"}]}}
    got = read_one(tmp_path, asked, other, told)
    assert [reason for _, reason in reasons(got)] == ["no-answer", "no-answer", "no-request"]


def test_anthropic_batches_are_joined(tmp_path):
    asked, told = ANSWERS["anthropic-messages"]
    rows = [
        {"custom_id": "1", "params": asked},
        {"custom_id": "1", "result": {"type": "succeeded", "message": told}},
    ]
    got = read_one(tmp_path, *rows)
    assert [shape(s) for s in got.sessions] == [SHAPE]


def test_a_failed_batch_line_is_an_error(tmp_path):
    asked, _ = LAYOUTS["batch"](*ANSWERS["openai-chat"])
    body = {"error": {"message": "too long", "code": "context_length_exceeded"}}
    told = {"custom_id": "1", "response": {"status_code": 400, "body": body}, "error": None}
    (session,) = read_one(tmp_path, asked, told).sessions
    assert session.messages[1].error.startswith("HTTP 400")


def chunk(delta, finish=None):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "model": "m", "choices": [choice]}


def as_sse(*events):
    return "".join(f"data: {json.dumps(e)}\n\n" for e in events) + "data: [DONE]\n\n"


@pytest.mark.parametrize("form", [as_sse, lambda *e: list(e)])
def test_a_streamed_legacy_function_call_is_put_together(tmp_path, form):
    chunks = [
        chunk({"role": "assistant", "function_call": {"name": "look", "arguments": ""}}),
        chunk({"function_call": {"arguments": '{"a": '}}),
        chunk({"function_call": {"arguments": "1,}"}}),
        chunk({}, "function_call"),
    ]
    asked = {**CHAT, "functions": [{"name": "look", "parameters": {}}]}
    (session,) = read_one(tmp_path, {"request": asked, "response": form(*chunks)}).sessions
    (call,) = session.messages[1].calls
    assert (call.name, call.arguments, call.id, call.verbatim) == ("look", '{"a": 1,}', None, True)
    assert session.messages[1].finish_reason == "function_call"


def test_a_legacy_result_belongs_to_its_function(tmp_path):
    said = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    told = {"role": "function", "name": "f", "content": "one"}
    asked = {**CHAT, "messages": [*CHAT["messages"], said, told]}
    (session,) = read_one(
        tmp_path, {"request": asked, "response": ANSWERS["openai-chat"][1]}
    ).sessions
    assert shape(session) == ["user 'go'", "assistant f({})", "tool ->'one'", "assistant 'ok'"]
    assert session.messages[2].results[0].name == "f"


def test_a_streamed_custom_tool_call_is_free_text(tmp_path):
    def piece(**more):
        return chunk({"tool_calls": [{"index": 0, **more}]})

    chunks = [
        piece(id="c1", type="custom", custom={"name": "sql", "input": ""}),
        piece(custom={"input": "select "}),
        piece(custom={"input": "1"}),
        chunk({}, "tool_calls"),
    ]
    (session,) = read_one(tmp_path, {"request": CHAT, "response": as_sse(*chunks)}).sessions
    (call,) = session.messages[1].calls
    assert (call.kind, call.syntax, call.arguments) == ("custom", "text", "select 1")


def test_an_error_inside_a_stream_stands_beside_what_came(tmp_path):
    broken = as_sse(chunk({"content": "Hel"}), {"error": {"message": "overloaded"}})
    (session,) = read_one(tmp_path, {"request": CHAT, "response": broken}).sessions
    step = session.messages[1]
    assert (step.text, step.end, "overloaded" in step.error) == ("Hel", "cut", True)


def test_an_error_alone_in_a_stream_is_an_error(tmp_path):
    body = {"error": {"message": "no", "code": "tool_use_failed", "failed_generation": "{"}}
    (session,) = read_one(tmp_path, {"request": CHAT, "response": as_sse(body)}).sessions
    step = session.messages[1]
    assert (step.text, step.finish_reason) == ("{", "tool_use_failed")


def test_azures_content_filter_is_an_error_of_the_request(tmp_path):
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}}
    body = {"error": {"code": "content_filter", "status": 400, "innererror": inner}}
    row = {"request": CHAT, "response": body, "status": 400}
    (session,) = read_one(tmp_path, row).sessions
    assert session.messages[1].error.startswith("HTTP 400")
    assert session.messages[1].parts == ()


def test_a_refusal_in_chat_is_no_broken_json(tmp_path):
    message = {"role": "assistant", "content": None, "refusal": "I cannot."}
    body = {"choices": [{"message": message, "finish_reason": "stop"}]}
    (session,) = read_one(tmp_path, {"request": CHAT, "response": body}).sessions
    assert (session.messages[1].text, session.messages[1].finish_reason) == ("I cannot.", "refusal")


def anthropic(*blocks, stop="end_turn", messages=None):
    asked = {**CHAT, "max_tokens": 9, "messages": messages or CHAT["messages"]}
    told = {"type": "message", "content": [*blocks], "stop_reason": stop}
    return {"request": asked, "response": told}


def test_a_paused_turn_goes_on_in_the_next_request(tmp_path):
    search = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []}
    said = {"role": "assistant", "content": [search, found]}
    rows = [
        anthropic(search, found, stop="pause_turn"),
        anthropic({"type": "text", "text": "ok"}, messages=[*CHAT["messages"], said]),
    ]
    got = read_one(tmp_path, *rows)
    (session,) = got.sessions
    assert [m.role for m in session.messages] == ["user", "assistant", "assistant"]
    assert session.messages[1].finish_reason == "pause_turn"
    assert session.messages[1].calls[0].kind == "hosted"
    assert steps(got.sessions) == 2


def test_a_failed_server_tool_keeps_its_error_code(tmp_path):
    error = {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}
    block = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": error}
    (session,) = read_one(tmp_path, anthropic(block)).sessions
    (result,) = session.messages[1].results
    assert (result.is_error, result.hint) == (True, "max_uses_exceeded")


def test_redacted_thinking_is_left_out(tmp_path):
    blocks = [{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "ok"}]
    (session,) = read_one(tmp_path, anthropic(*blocks)).sessions
    assert [p.kind for p in session.messages[1].parts] == ["text"]


def test_broken_input_of_a_stream_is_kept_and_counted_once(tmp_path):
    start = {"type": "tool_use", "id": "t1", "name": "look", "input": {}}
    events = [
        {"type": "message_start", "message": {"type": "message", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": start},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "input_json_delta", "partial_json": '{"a": }'},
        },
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"type": "message_stop"},
    ]
    first = {"request": anthropic()["request"], "response": as_sse(*events)}
    said = {"role": "assistant", "content": [{**start, "input": {"INVALID_JSON": '{"a": }'}}]}
    told = {"type": "tool_result", "tool_use_id": "t1", "content": "not JSON", "is_error": True}
    history = [*CHAT["messages"], said, {"role": "user", "content": [told]}]
    later = anthropic({"type": "text", "text": "ok"}, messages=history)
    for rows in ([first, later], [later, first]):
        got = read_one(tmp_path, *rows)
        (session,) = got.sessions
        (call,) = session.messages[1].calls
        assert (call.arguments, call.verbatim) == ('{"a": }', True)
        assert steps(got.sessions) == 2


@needs_corpus
def test_real_anthropic_cassettes_count_as_plain_code_counts_them():
    path = CORPUS / "logs/vcr/pydantic-ai-anthropic-messages.jsonl"
    ids: list[str] = []
    for line in path.read_text().splitlines():
        body = json.loads(line)["response"]
        if isinstance(body, str):
            events = [json.loads(x[6:]) for x in body.splitlines() if x.startswith("data: ")]
            blocks = [e["content_block"] for e in events if e["type"] == "content_block_start"]
        else:
            blocks = body.get("content") or []
        ids += [b["id"] for b in blocks if b["type"] == "tool_use"]
    got = ingest([path])
    balances(got)
    assert len(ids) == 117
    answered = [c.id for c in answered_calls(got) if c.kind == "function"]
    assert set(answered) == set(ids)
    # a request that two cassettes repeat with the same answer is a copy
    assert len(ids) - len(answered) == len(ids) - len(set(ids))
    assert schema_breaches(got) == ["MISSING_REQUIRED", "UNEXPECTED_ARG"]


@needs_corpus
def test_real_chat_cassettes_count_as_plain_code_counts_them():
    path = CORPUS / "logs/vcr/openinference-openai-chat.jsonl"
    ids: list[str] = []
    for line in path.read_text().splitlines():
        body = json.loads(line)["response"]
        if isinstance(body, str):
            data = [x[6:] for x in body.splitlines() if x.startswith("data: {")]
            deltas = [c["delta"] for x in data for c in json.loads(x)["choices"]]
            calls = [c for d in deltas for c in d.get("tool_calls") or () if c.get("id")]
        else:
            choices = (body or {}).get("choices") or []
            calls = [c for x in choices for c in x["message"].get("tool_calls") or ()]
        ids += [c["id"] for c in calls]
    got = ingest([path])
    balances(got)
    # two cassettes repeat requests with the same answers: copies
    assert len(ids) == 29
    assert sorted(c.id for c in answered_calls(got)) == sorted(set(ids))
    assert schema_breaches(got) == []


def answered_calls(got):
    return [
        c
        for s in got.sessions
        for i in s.steps
        if s.messages[i].context is not None
        for c in s.messages[i].calls
    ]


def schema_breaches(got):
    rules = settings(ValidateConfig())
    found = (f for s in got.sessions for f in validate(s, rules).findings)
    return sorted(f.code for f in found if f.level == "defect" and f.code != "TOOL_ERROR")
