"""Answers that the caller began: one step, judged as one text, in every provider that does it."""

from __future__ import annotations

import pytest

from misstep.types import Message
from misstep.validate import Settings, validate
from reading import read_one, shape, steps

ASK = {"role": "user", "content": "Weather in Oslo, as JSON."}
JSON = Settings(json=True)


def head(text="{", **more):
    return {"role": "assistant", "content": text, **more}


def claude(messages, text, **more):
    request = {"model": "claude-x", "system": "Be brief.", "messages": messages}
    content = [{"type": "text", "text": text}] if text else []
    answer = {"type": "message", "role": "assistant", "content": content, "stop_reason": "end_turn"}
    return {"request": request, "response": {**answer, **more}}


def converse(messages, text):
    rows = [{"role": m["role"], "content": [{"text": m["content"]}]} for m in messages]
    told = {"message": {"role": "assistant", "content": [{"text": text}]}}
    answer = {"output": told, "stopReason": "end_turn", "usage": {}}
    return {"request": {"messages": rows, "inferenceConfig": {}}, "response": answer}


def chat(messages, text, **more):
    said = {"role": "assistant", "content": text}
    answer = {"choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}
    return {"request": {"model": "m", "messages": messages, **more}, "response": answer}


def continued(messages, text, **more):
    return chat(messages, text, continue_final_message=True, add_generation_prompt=False, **more)


def flagged(messages, text):
    return chat([*messages[:-1], {**messages[-1], "prefix": True}], text)


MAKERS = {"claude": claude, "converse": converse, "vllm": continued, "mistral": flagged}


def judged(session):
    made = validate(session, JSON)
    return [f.code for f in made.findings], [v.state for v in made.verdicts]


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_a_prefilled_answer_is_one_step_and_judged_as_one_text(tmp_path, make):
    (session,) = read_one(tmp_path, make([ASK, head()], '"degrees": 4}')).sessions
    answer = session.messages[-1]
    assert (answer.text, answer.prefilled) == ('{"degrees": 4}', 1)
    assert len(list(session.steps)) == 1
    assert judged(session) == ([], ["pass"])
    (session,) = read_one(tmp_path, make([ASK, head()], '"degrees": 4,}')).sessions
    assert judged(session) == (["JSON_TRAILING_COMMA"], ["fail"])


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_a_later_request_that_repeats_the_whole_answer_goes_on_from_it(tmp_path, make):
    more = {"role": "user", "content": "And Bergen?"}
    whole = head('{"degrees": 4}')
    talk = [
        make([ASK, head()], '"degrees": 4}'),
        make([ASK, whole, more, head()], '"degrees": 7}'),
        make([ASK, whole, more, head()], '"degrees": 8}'),
    ]
    got = read_one(tmp_path, *talk)
    assert steps(got.sessions) == 3
    assert [session.messages[-1].text for session in got.sessions] == [
        '{"degrees": 7}',
        '{"degrees": 8}',
    ]


def test_a_server_that_repeats_the_beginning_is_not_read_twice(tmp_path):
    row = continued([ASK, head()], '{"degrees": 4}', echo=True)
    (session,) = read_one(tmp_path, row).sessions
    assert (session.messages[-1].text, session.messages[-1].prefilled) == ('{"degrees": 4}', 1)


def test_without_a_word_of_the_request_a_chat_server_begins_anew(tmp_path):
    (session,) = read_one(tmp_path, chat([ASK, head("Hm.")], '{"degrees": 4}')).sessions
    assert shape(session)[1:] == ["assistant 'Hm.'", "assistant '{\"degrees\": 4}'"]


def test_what_the_model_itself_had_said_stays_its_step(tmp_path):
    cut = claude([ASK], '{"degrees"', stop_reason="max_tokens")
    (session,) = read_one(tmp_path, cut, claude([ASK, head('{"degrees"')], ": 4}")).sessions
    assert [message.text for message in session.messages[-2:]] == ['{"degrees"', ": 4}"]
    assert all(message.prefilled is Message(role="user").prefilled for message in session.messages)


@pytest.mark.parametrize("begun", ["```json\n", "Here it is:\n{"])
def test_an_answer_that_the_caller_began_with_more_than_json_is_unjudged(tmp_path, begun):
    rest = '"degrees": 4}' if begun.endswith("{") else '{"degrees": 4}\n```'
    (session,) = read_one(tmp_path, claude([ASK, head(begun)], rest)).sessions
    made = validate(session, JSON)
    assert made.findings == ()
    (verdict,) = made.verdicts
    assert verdict.state == "unjudged"
    assert verdict.why.startswith("the caller began the answer")


def test_a_beginning_that_the_model_left_alone_is_an_empty_answer(tmp_path):
    (session,) = read_one(tmp_path, claude([ASK, head("Well,")], "")).sessions
    assert [f.code for f in validate(session, Settings()).findings] == ["EMPTY_OUTPUT"]


def test_the_beginning_stands_behind_the_thoughts_and_before_the_calls(tmp_path):
    row = continued([ASK, head("Let me look. ")], None)
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    said = row["response"]["choices"][0]["message"]
    said.update(reasoning_content="Hm.", tool_calls=[call])
    (session,) = read_one(tmp_path, row).sessions
    assert [part.kind for part in session.messages[-1].parts] == ["reasoning", "text", "call"]


def test_an_error_in_place_of_the_answer_stays_an_error(tmp_path):
    row = claude([ASK, head()], "")
    row["response"] = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    (session,) = read_one(tmp_path, row).sessions
    assert len(list(session.steps)) == 1
    assert (session.messages[-1].text, session.messages[-1].error is None) == ("", False)
