"""Anthropic Messages pairs: blocks, errors, streams, and histories joined to conversations."""

from __future__ import annotations

import json

import pytest

from reading import read_one, shape

USE = {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"city": "Oslo"}}
TEXT = {"type": "text", "text": "Looking."}
ASK = {"role": "user", "content": "Oslo?"}


def result(text, **more):
    return {"type": "tool_result", "tool_use_id": "toolu_1", "content": text, **more}


def request(*messages, **more):
    tool = {"name": "look_up", "input_schema": {"type": "object"}}
    return {
        "model": "claude-x",
        "max_tokens": 50,
        "system": "Be brief.",
        "messages": [ASK, *messages],
        "tools": [tool],
        **more,
    }


def response(*blocks, **more):
    return {
        "type": "message",
        "role": "assistant",
        "id": "msg_1",
        "model": "claude-x-1",
        "content": list(blocks),
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 5, "output_tokens": 2},
        **more,
    }


def pair(asked, answered, **more):
    return {"request": asked, "response": answered, **more}


def test_a_tool_loop_becomes_one_session(tmp_path):
    back = {"role": "user", "content": [result([{"type": "text", "text": "rain"}])]}
    got = read_one(
        tmp_path,
        pair(request(), response(TEXT, USE)),
        pair(
            request({"role": "assistant", "content": [TEXT, USE]}, back),
            response({"type": "text", "text": "It rains."}, stop_reason="end_turn"),
        ),
    )
    (session,) = got.sessions
    assert shape(session) == [
        "system 'Be brief.'",
        "user 'Oslo?'",
        'assistant \'Looking.\' look_up({"city":"Oslo"})',
        "tool ->'rain'",
        "assistant 'It rains.'",
    ]
    assert [session.messages[i].finish_reason for i in session.steps] == ["tool_use", "end_turn"]
    assert session.contexts[0].max_tokens == 50
    assert session.messages[2].calls[0].verbatim is False
    assert session.messages[2].usage.output_tokens == 2


def test_results_and_text_of_one_user_message_part_ways(tmp_path):
    back = {"role": "user", "content": [result("no", is_error=True), TEXT]}
    asked = request({"role": "assistant", "content": [USE]}, back)
    (session,) = read_one(tmp_path, pair(asked, response(TEXT))).sessions
    assert [m.role for m in session.messages[3:5]] == ["tool", "user"]
    assert session.messages[3].results[0].is_error is True


def test_thinking_is_reasoning_and_hosted_tools_are_hosted_calls(tmp_path):
    blocks = [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "x"}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srv_1",
            "content": {"type": "error", "error_code": "unavailable"},
        },
    ]
    (session,) = read_one(tmp_path, pair(request(), response(*blocks))).sessions
    answer = session.messages[-1]
    assert answer.reasoning == "Hm."
    assert answer.calls[0].kind == "hosted"
    assert (answer.results[0].is_error, answer.results[0].hint) == (True, "unavailable")


def test_an_image_is_kept_by_hash_and_by_url(tmp_path):
    data = {"type": "image", "source": {"type": "base64", "data": "aGk="}}
    link = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    asked = request({"role": "user", "content": [data, link]})
    (session,) = read_one(tmp_path, pair(asked, response(TEXT))).sessions
    kept = [part.text for part in session.messages[2].parts]
    assert kept[0].startswith("blake2b:")
    assert kept[1] == "https://example.org/a.png"


def test_a_structured_output_keeps_its_schema(tmp_path):
    wanted = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    asked = request(output_config=wanted, tool_choice={"type": "any"})
    (session,) = read_one(tmp_path, pair(asked, response(TEXT))).sessions
    assert session.contexts[0].response_schema == '{"type":"object"}'
    assert session.contexts[0].tool_choice == "required"


def test_an_error_body_is_a_step_with_its_error(tmp_path):
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    (session,) = read_one(tmp_path, pair(request(), body, status=529)).sessions
    assert session.messages[-1].error == 'HTTP 529: {"type":"overloaded_error","message":"busy"}'


def test_lines_that_follow_each_other_are_a_pair(tmp_path):
    got = read_one(tmp_path, request(), response(TEXT))
    assert list(got.counts.formats) == ["anthropic-messages"]
    assert shape(got.sessions[0])[-1] == "assistant 'Looking.'"


def events(*pieces, stop=True):
    start = {"type": "message_start", "message": {**response(), "stop_reason": None}}
    block = {**USE, "input": {}}
    rows = [start, {"type": "content_block_start", "index": 0, "content_block": block}]
    rows += [
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "input_json_delta", "partial_json": piece},
        }
        for piece in pieces
    ]
    if stop:
        rows += [
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}},
            {"type": "message_stop"},
        ]
    return "".join(f"event: {row['type']}\ndata: {json.dumps(row)}\n\n" for row in rows)


def test_a_stream_shows_the_arguments_as_the_model_wrote_them(tmp_path):
    (session,) = read_one(tmp_path, pair(request(), events('{"city": ', "Oslo}"))).sessions
    call = session.messages[-1].calls[0]
    assert (call.arguments, call.verbatim) == ('{"city": Oslo}', True)
    assert session.messages[-1].end == "complete"


def test_a_stream_that_breaks_off_is_cut(tmp_path):
    (session,) = read_one(tmp_path, pair(request(), events('{"ci', stop=False))).sessions
    assert (session.messages[-1].calls[0].arguments, session.messages[-1].end) == ('{"ci', "cut")


@pytest.mark.parametrize(
    ("record", "pointer"),
    [
        (
            pair(request({"role": "tool", "content": "x"}), response(TEXT)),
            "/request/messages/1/role",
        ),
        (
            pair(request({"role": "user", "content": [7]}), response(TEXT)),
            "/request/messages/1/content/0",
        ),
        (pair(request(), response({"type": "text"})), "/response/content/0/text"),
        (pair(request(), response({"type": "tool_use", "id": "x"})), "/response/content/0/name"),
    ],
)
def test_what_fits_no_shape_is_set_aside_with_its_pointer(tmp_path, record, pointer):
    got = read_one(tmp_path, pair(request(), response(TEXT)), record)
    assert [(e.origin.line, e.origin.pointer) for e in got.set_aside] == [(2, pointer)]
