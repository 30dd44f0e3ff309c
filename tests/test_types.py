import dataclasses
import pickle

import pytest
from hypothesis import given

from misstep import store
from misstep.types import Context, Message, Part, Session, ToolCall, content_id
from strategies import sessions


@given(sessions)
def test_a_session_survives_encoding_and_decoding(session):
    assert store.decode(store.encode(session), Session) == session


@given(sessions)
def test_the_steps_of_a_session_are_its_own_assistant_messages(session):
    steps = list(session.steps)
    assert all(session.messages[i].role == "assistant" for i in steps)
    assert len(steps) == sum(m.role == "assistant" for m in session.messages[session.prefix :])


def test_replaying_a_step_puts_the_answer_under_the_same_request():
    question = Message(role="user", parts=(Part(kind="text", text="q"),))
    logged = Message(role="assistant", context=0, parts=(Part(kind="text", text="bad"),))
    later = Message(role="user", parts=(Part(kind="text", text="thanks"),))
    context = Context(tool_choice="required")
    session = Session(id="s", format="x", messages=(question, logged, later), contexts=(context,))
    answer = Message(role="assistant", parts=(Part(kind="text", text="good"),))
    replayed = session.replayed(1, answer)
    assert [m.text for m in replayed.messages] == ["q", "good"]
    assert replayed.context_of(1) == context


def test_a_message_gives_its_texts_and_calls_in_order():
    message = Message(
        role="assistant",
        parts=(
            Part(kind="reasoning", text="hm"),
            Part(kind="text", text="a"),
            Part(kind="call", call=ToolCall(name="f", arguments="{}")),
            Part(kind="text", text="b"),
        ),
    )
    assert (message.text, message.reasoning, message.calls[0].name) == ("ab", "hm", "f")


def test_content_ids_depend_on_where_texts_end_and_bear_lone_surrogates():
    assert content_id("ab", "c") != content_id("a", "bc")
    assert len(content_id("\ud800")) == 16


def test_a_noun_cannot_be_changed_and_is_equal_by_its_content():
    message = Message(role="user", parts=(Part(kind="text", text="q"),))
    with pytest.raises(AttributeError):
        message.role = "assistant"
    assert message == Message(role="user", parts=(Part(kind="text", text="q"),))
    assert len({message, Message(role="user", parts=(Part(kind="text", text="q"),))}) == 1


def test_the_functions_of_dataclasses_take_nouns():
    part = Part(kind="text", text="q")
    assert [field.name for field in dataclasses.fields(Part)] == ["kind", "text", "call", "result"]
    assert dataclasses.replace(part, text="r") == Part(kind="text", text="r")
    assert dataclasses.asdict(part) == {"kind": "text", "text": "q", "call": None, "result": None}


def test_a_noun_travels_between_processes():
    session = Session(id="s", format="x", messages=(Message(role="user"),), contexts=(Context(),))
    assert pickle.loads(pickle.dumps(session)) == session
