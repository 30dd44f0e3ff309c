"""OpenAI chat completions: every layout of a pair, and histories joined to conversations."""

from __future__ import annotations

import json

import pytest

from misstep.types import Origin
from misstep.validate import Settings, validate
from reading import lines, read, read_one, reasons, shape, steps

TOOL = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object"}, "strict": True},
}
ASK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Oslo?"}]


def call(arguments='{"city": "Oslo"}', number=1):
    function = {"name": "look_up", "arguments": arguments}
    one = {"id": f"call_{number}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [one]}


def found(text, number=1):
    return {"role": "tool", "tool_call_id": f"call_{number}", "content": text}


def said(text):
    return {"role": "assistant", "content": text}


def request(*messages, **more):
    return {"model": "asked", "messages": [*ASK, *messages], "tools": [TOOL], **more}


def response(*answers, **more):
    choices = [
        {
            "index": n,
            "message": a,
            "finish_reason": "tool_calls" if a.get("tool_calls") else "stop",
        }
        for n, a in enumerate(answers)
    ]
    return {
        "object": "chat.completion",
        "id": "chatcmpl-1",
        "model": "answered",
        "created": 1700000000,
        "usage": {"prompt_tokens": 10, "completion_tokens": 3},
        "choices": choices,
        **more,
    }


def pair(asked, answered):
    return {"request": asked, "response": answered}


TALK = [
    pair(request(), response(call())),
    pair(request(call(), found("rain")), response(said("It rains."))),
]
SHAPE = [
    "system 'Be brief.'",
    "user 'Oslo?'",
    'assistant look_up({"city": "Oslo"})',
    "tool ->'rain'",
    "assistant 'It rains.'",
]


def test_requests_that_repeat_the_history_become_one_session(tmp_path):
    got = read_one(tmp_path, *TALK)
    (session,) = got.sessions
    assert shape(session) == SHAPE
    assert session.contexts[0].tools[0].name == "look_up"
    assert [session.messages[i].context for i in session.steps] == [0, 0]
    assert got.counts.used == 2


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_order_of_files_does_not_matter(tmp_path, order):
    files = {f"{n}.jsonl": lines(TALK[at]) for n, at in enumerate(order)}
    (session,) = read(tmp_path, files).sessions
    assert shape(session) == SHAPE
    assert [session.messages[i].model for i in session.steps] == ["answered", "answered"]


def test_an_answer_keeps_what_the_response_says_about_it(tmp_path):
    (session,) = read_one(tmp_path, TALK[0]).sessions
    answer = session.messages[-1]
    assert (answer.finish_reason, answer.model, answer.time) == (
        "tool_calls",
        "answered",
        1700000000.0,
    )
    assert answer.usage.input_tokens == 10
    assert answer.calls[0].verbatim
    assert answer.origins == (
        Origin(
            file="log.jsonl",
            format="openai-chat",
            line=1,
            offset=0,
            row="chatcmpl-1",
            pointer="/response/choices/0",
        ),
    )
    assert session.messages[1].origins[0].pointer == "/request/messages/1"


@pytest.mark.parametrize(
    "record",
    [
        pair(request(), response(said("x"))),
        {"request": {"body": request()}, "response": {"body": response(said("x"))}, "status": 200},
        {"request": json.dumps(request()), "response": json.dumps(response(said("x")))},
        {**request(), "response": response(said("x"))},
        {**request(), **response(said("x"))},
    ],
)
def test_every_layout_of_a_pair_reads_the_same(tmp_path, record):
    got = read_one(tmp_path, record)
    assert shape(got.sessions[0])[-1] == "assistant 'x'"
    assert list(got.counts.formats) == ["openai-chat"]


def test_request_and_response_may_follow_each_other(tmp_path):
    got = read_one(
        tmp_path, TALK[0]["request"], TALK[0]["response"], TALK[1]["request"], TALK[1]["response"]
    )
    assert shape(got.sessions[0]) == SHAPE
    assert got.counts.used == 4


def test_a_response_without_its_request_is_set_aside(tmp_path):
    got = read_one(tmp_path, TALK[0], response(said("x")))
    assert reasons(got) == [(2, "no-request")]


def test_a_request_without_an_answer_is_set_aside_unless_its_history_holds_one(tmp_path):
    got = read_one(tmp_path, TALK[0], pair(request(), None), pair(request(said("Rain.")), None))
    assert reasons(got) == [(2, "no-answer")]
    assert [session.messages[-1].context for session in got.sessions] == [0, None]


def test_other_answers_to_a_prompt_are_siblings_that_share_its_steps(tmp_path):
    got = read_one(
        tmp_path,
        *TALK,
        pair(request(call(), found("rain")), response(said("Wet."))),
        pair(request(call(), found("rain")), response(said("It rains."))),
    )
    first, second = got.sessions
    assert (first.copies, second.copies) == (1, 1)
    assert (second.parent, second.prefix) == (first.id, 4)
    assert steps(got.sessions) == 3


def test_the_same_conversation_again_raises_copies(tmp_path):
    got = read_one(tmp_path, *TALK, *TALK)
    (session,) = got.sessions
    assert session.copies == 2
    assert got.counts.used == 4


def test_broken_and_whole_answers_of_a_server_that_repeats_its_ids_are_two(tmp_path):
    broken, whole = call('{"city": "Oslo"'), call('{"city": "Oslo"}')
    got = read_one(tmp_path, pair(request(), response(broken)), pair(request(), response(whole)))
    read = [(s.messages[-1].calls[0].arguments, s.copies) for s in got.sessions]
    assert read == [('{"city": "Oslo"', 1), ('{"city": "Oslo"}', 1)]


def test_a_broken_call_that_its_client_mends_in_the_history_is_one_step(tmp_path):
    broken, mended = call('{"city": "Oslo"'), call('{"city": "Oslo"}')
    got = read_one(
        tmp_path,
        pair(request(), response(broken)),
        pair(request(mended, found("rain")), response(said("It rains."))),
    )
    (session,) = got.sessions
    assert session.messages[2].calls[0].arguments == '{"city": "Oslo"'


def test_conversations_that_share_only_the_system_message_are_strangers(tmp_path):
    other = {"messages": [ASK[0], {"role": "user", "content": "Rome?"}]}
    got = read_one(tmp_path, TALK[0], pair(other, response(said("Sun."))))
    assert [(s.parent, s.prefix) for s in got.sessions] == [(None, 0), (None, 0)]


def test_several_choices_are_several_sessions(tmp_path):
    got = read_one(tmp_path, pair(request(n=2), response(said("a"), said("b"))))
    assert [s.messages[-1].text for s in got.sessions] == ["a", "b"]
    assert (got.sessions[1].parent, got.sessions[1].prefix) == (got.sessions[0].id, 2)


def test_a_turn_that_only_a_history_holds_has_no_context(tmp_path):
    (session,) = read_one(tmp_path, TALK[1]).sessions
    assert [session.messages[i].context for i in session.steps] == [None, 0]


def test_a_client_that_drops_reasoning_and_outer_space_still_continues(tmp_path):
    thought = {"role": "assistant", "content": "Hm. \n", "reasoning_content": "long thought"}
    go_on = {"role": "user", "content": "Go on."}
    got = read_one(
        tmp_path,
        pair(request(), response(thought)),
        pair(request(said("Hm."), go_on), response(said("Rain."))),
    )
    (session,) = got.sessions
    assert session.messages[2].reasoning == "long thought"
    assert session.messages[2].text == "Hm. \n"


def test_a_system_message_that_changes_does_not_count_the_history_again(tmp_path):
    later = request(call(), found("rain"))
    later["messages"][0] = {"role": "system", "content": "Be brief. It is noon."}
    got = read_one(tmp_path, TALK[0], pair(later, response(said("It rains."))))
    first, second = got.sessions
    assert second.messages[0].text == "Be brief. It is noon."
    assert (second.parent, second.prefix) == (first.id, 3)
    assert steps(got.sessions) == 2


def test_an_error_body_is_a_step_with_its_error(tmp_path):
    limit = {"error": {"type": "rate_limit", "message": "slow down"}}
    got = read_one(tmp_path, {**pair(request(), limit), "status": 429}, TALK[0])
    failed = got.sessions[0].messages[-1]
    assert failed.error == 'HTTP 429: {"type":"rate_limit","message":"slow down"}'
    assert failed.parts == ()
    assert steps(got.sessions) == 2


def test_a_refused_generation_is_kept_as_the_call_it_was(tmp_path):
    refused = {
        "error": {
            "code": "tool_use_failed",
            "message": "no",
            "failed_generation": '{"name": "look_up", "arguments": {"city": Oslo}}',
        }
    }
    (session,) = read_one(tmp_path, pair(request(), refused)).sessions
    failed = session.messages[-1]
    assert (failed.calls[0].name, failed.calls[0].arguments) == ("look_up", '{"city": Oslo}')
    assert failed.finish_reason == "tool_use_failed"
    assert failed.error == '{"code":"tool_use_failed","message":"no"}'


def test_a_refused_generation_that_is_no_call_is_kept_as_text(tmp_path):
    refused = {"error": {"message": "no", "failed_generation": "I will call look_up now"}}
    (session,) = read_one(tmp_path, pair(request(), refused)).sessions
    assert session.messages[-1].text == "I will call look_up now"


def test_broken_arguments_stay_byte_for_byte(tmp_path):
    raw = '{"city": "Oslo",, \n}'
    (session,) = read_one(tmp_path, pair(request(), response(call(raw)))).sessions
    assert session.messages[-1].calls[0].arguments == raw


def test_what_a_request_offers_is_kept(tmp_path):
    asked = request(
        tool_choice={"type": "function", "function": {"name": "look_up"}},
        response_format={"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
        max_completion_tokens=9,
        temperature=0.5,
    )
    (session,) = read_one(tmp_path, pair(asked, response(said("{}")))).sessions
    (context,) = session.contexts
    assert context.tool_choice == "look_up"
    assert context.response_schema == '{"type":"object"}'
    assert (context.max_tokens, context.temperature) == (9, 0.5)
    assert (context.tools[0].parameters, context.tools[0].strict) == ('{"type":"object"}', True)


@pytest.mark.parametrize(
    ("choice", "read"),
    [
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required"}}, "required"),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}, "auto"),
        ({"type": "custom", "custom": {"name": "look_up"}}, "look_up"),
    ],
)
def test_a_demand_for_a_call_is_read_in_every_spelling(tmp_path, choice, read):
    (session,) = read_one(tmp_path, pair(request(tool_choice=choice), response(call()))).sessions
    assert session.contexts[0].tool_choice == read


@pytest.mark.parametrize(
    "allowed",
    [
        {"allowed_tools": {"mode": "auto", "tools": [TOOL]}},
        {"mode": "auto", "tools": [{"type": "function", "name": "look_up"}]},
    ],
)
def test_what_allowed_tools_leaves_out_is_not_on_offer(tmp_path, allowed):
    other = {"type": "function", "function": {"name": "book", "parameters": {"type": "object"}}}
    hosted = {"type": "web_search_preview"}
    offered = {"tools": [TOOL, other, hosted], "tool_choice": {"type": "allowed_tools", **allowed}}
    booked = call("{}")
    booked["tool_calls"][0]["function"]["name"] = "book"
    asked = request(**offered)
    (session,) = read_one(tmp_path, pair(asked, response(booked))).sessions
    assert [tool.name for tool in session.contexts[0].tools] == ["look_up", "web_search_preview"]
    assert [f.code for f in validate(session, Settings()).findings] == ["TOOL_UNKNOWN"]
    (session,) = read_one(tmp_path, pair(asked, response(call("{}")))).sessions
    assert validate(session, Settings()).findings == ()


@pytest.mark.parametrize("tools", [[], [{"type": "function", "name": "gone"}], None])
def test_an_allowance_that_names_no_tool_on_offer_leaves_all(tmp_path, tools):
    choice = {"type": "allowed_tools", "mode": "auto", "tools": tools}
    (session,) = read_one(tmp_path, pair(request(tool_choice=choice), response(call()))).sessions
    assert [tool.name for tool in session.contexts[0].tools] == ["look_up"]


def test_a_spoken_answer_is_not_empty_and_is_found_again_in_the_history(tmp_path):
    spoken = {**said(None), "audio": {"id": "audio_1", "data": "UklG", "transcript": "Rain."}}
    again = {"role": "assistant", "audio": {"id": "audio_1"}}
    more = {"role": "user", "content": "And now?"}
    first = pair(request(), response(spoken))
    second = pair(request(again, more), response(said("Sun.")))
    (session,) = read_one(tmp_path, first, second).sessions
    assert [p.kind for p in session.messages[2].parts] == ["image"]
    assert steps([session]) == 2


def test_a_drawn_answer_is_not_empty(tmp_path):
    url = "https://pictures.example/a.png"
    drawn = {**said(""), "images": [{"type": "image_url", "image_url": {"url": url}}]}
    (session,) = read_one(tmp_path, pair(request(), response(drawn))).sessions
    assert [(p.kind, p.text) for p in session.messages[-1].parts] == [("image", url)]


def test_json_mode_without_a_schema_is_told(tmp_path):
    asked = request(response_format={"type": "json_object"})
    (session,) = read_one(tmp_path, pair(asked, response(said("{}")))).sessions
    assert session.contexts[0].json_mode


def chunk(delta, finish=None):
    piece = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "id": "c", "model": "m", "choices": [piece]}


def streamed(*chunks):
    return "".join(f"data: {json.dumps(c)}\n\n" for c in chunks) + "data: [DONE]\n"


def part(arguments, **more):
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments}, **more}]}


def test_a_stream_is_put_together(tmp_path):
    opening = part('{"ci', id="call_1")
    opening["tool_calls"][0]["function"]["name"] = "look_up"
    body = streamed(chunk(opening), chunk(part('ty": 1}')), chunk({}, "tool_calls"))
    (session,) = read_one(tmp_path, pair(request(), body)).sessions
    answer = session.messages[-1]
    assert (answer.calls[0].arguments, answer.end) == ('{"city": 1}', "complete")
    assert answer.finish_reason == "tool_calls"


def piece(arguments, name=None, **more):
    function = {"arguments": arguments} | ({} if name is None else {"name": name})
    return {"tool_calls": [{"function": function, **more}]}


@pytest.mark.parametrize(
    "pieces",
    [
        [  # two calls under one index, told apart by their ids
            piece('{"a":', "look_up", index=0, id="x"),
            piece("1}", index=0),
            piece('{"a":', "look_up", index=0, id="y"),
            piece("2}", index=0),
        ],
        [  # without an index
            piece('{"a":', "look_up", id="x"),
            piece("1}"),
            piece('{"a":', "look_up", id="y"),
            piece("2}"),
        ],
        [  # id and name again with every piece
            piece('{"a":', "look_up", index=0, id="x"),
            piece('{"a":', "look_up", index=1, id="y"),
            piece("1}", "look_up", index=0, id="x"),
            piece("2}", "look_up", index=1, id="y"),
        ],
    ],
)
def test_streamed_parallel_calls_are_kept_apart(tmp_path, pieces):
    body = streamed(*map(chunk, pieces), chunk({}, "tool_calls"))
    (session,) = read_one(tmp_path, pair(request(), body)).sessions
    got = [(c.id, c.name, c.arguments) for c in session.messages[-1].calls]
    assert got == [("x", "look_up", '{"a":1}'), ("y", "look_up", '{"a":2}')]


def test_a_streamed_spoken_or_drawn_answer_is_not_empty(tmp_path):
    sound = [chunk({"audio": {"id": "audio_1"}}), chunk({"audio": {"data": "UklG"}})]
    bare = [chunk({"audio": {"data": "UklG"}}), chunk({"audio": {"data": "Rg=="}})]
    url = "https://pictures.example/a.png"
    picture = [chunk({"images": [{"type": "image_url", "image_url": {"url": url}}]})]
    for told in (sound, bare, picture):
        body = streamed(*told, chunk({}, "stop"))
        (session,) = read_one(tmp_path, pair(request(), body)).sessions
        assert [p.kind for p in session.messages[-1].parts] == ["image"]


def test_a_stream_that_breaks_off_is_cut(tmp_path):
    body = [chunk({"content": "It ra"}), chunk({"content": "i"})]
    (session,) = read_one(tmp_path, pair(request(), body)).sessions
    assert (session.messages[-1].text, session.messages[-1].end) == ("It rai", "cut")


@pytest.mark.parametrize(
    ("record", "pointer", "reason"),
    [
        (pair({"messages": []}, response(said("x"))), "/request/messages", "bad-message"),
        (pair({"messages": [7]}, response(said("x"))), "/request/messages/0", "bad-message"),
        (pair({"messages": [{"role": "judge"}]}, None), "/request/messages/0", "bad-message"),
        (pair(request(tools=7), response(said("x"))), "/request/tools", "bad-tool"),
        (pair(request(tools=[7]), response(said("x"))), "/request/tools/0", "bad-tool"),
        (pair(request(), {"choices": [7]}), "/response/choices/0", "bad-message"),
        (pair(request(), {"result": 1}), "/response/choices", "bad-message"),
        ({"other": 1}, None, "unknown-record"),
    ],
)
def test_what_fits_no_shape_is_set_aside_with_its_pointer(tmp_path, record, pointer, reason):
    got = read_one(tmp_path, TALK[0], record)
    (entry,) = got.set_aside
    assert (entry.origin.line, entry.origin.pointer, entry.reason) == (2, pointer, reason)
