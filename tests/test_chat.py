from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep import chat
from misstep.mine.source import unfit
from misstep.types import Context, Message, Part, Session, ToolCall, ToolResult, ToolSpec


def test_arguments_stay_the_text_that_the_model_wrote():
    row = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"a": 1,}'}}],
    }
    call = chat.from_chat(row).calls[0]
    assert (call.arguments, call.verbatim, call.id) == ('{"a": 1,}', True, "c")


def test_parsed_arguments_are_marked_as_not_verbatim():
    row = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}
    call = chat.from_chat(row).calls[0]
    assert (call.arguments, call.verbatim) == ('{"a":1}', False)


def test_a_message_with_two_results_becomes_two_tool_rows():
    results = tuple(
        Part(kind="result", result=ToolResult(text=t, call_id=t, name="f")) for t in ("1", "2")
    )
    assert chat.to_chat([Message(role="tool", parts=results)]) == [
        {"role": "tool", "content": "1", "tool_call_id": "1", "name": "f"},
        {"role": "tool", "content": "2", "tool_call_id": "2", "name": "f"},
    ]


def test_chat_form_round_trips():
    message = Message(
        role="assistant",
        parts=(
            Part(kind="reasoning", text="why"),
            Part(kind="text", text="so"),
            Part(kind="call", call=ToolCall(name="f", arguments="{", id="c")),
        ),
    )
    assert chat.from_chat(chat.to_chat([message])[0]) == message


def test_an_unknown_role_is_refused_by_name():
    with pytest.raises(ValueError, match="unknown role 'robot'"):
        chat.from_chat({"role": "robot", "content": "x"})


def test_content_parts_keep_images_by_their_address():
    row = {
        "role": "user",
        "content": [{"type": "text", "text": "a"}, {"image_url": {"url": "data:x"}}],
    }
    assert [(p.kind, p.text) for p in chat.from_chat(row).parts] == [
        ("text", "a"),
        ("image", "data:x"),
    ]


def test_a_sound_and_a_file_are_parts_that_no_row_can_show():
    sound = {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}
    file = {"type": "file", "file": {"file_id": "f1"}}
    row = {"role": "user", "content": [{"type": "text", "text": "a"}, sound, file]}
    message = chat.from_chat(row)
    assert [p.kind for p in message.parts] == ["text", "image", "image"]
    assert unfit([message]) is not None
    assert (
        unfit([chat.from_chat({"role": "user", "content": [{"type": "text", "text": "a"}]})])
        is None
    )


@pytest.mark.parametrize("beside", [[], [{"type": "text", "text": "look"}]])
def test_an_image_in_a_result_is_named_in_its_text_and_makes_the_prompt_unfit(beside):
    shot = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    message = chat.from_chat({"role": "tool", "tool_call_id": "c", "content": [*beside, shot]})
    (result,) = message.results
    assert "iVBOR" not in result.text
    assert result.text.startswith("look\nblake2b:" if beside else "blake2b:")
    assert unfit([message]) is not None


def test_tools_are_read_in_three_spellings_and_written_in_one():
    schema = {"type": "object"}
    spellings = (
        {"type": "function", "function": {"name": "f", "parameters": schema}},
        {"name": "f", "parameters": schema},
        {"name": "f", "input_schema": schema},
    )
    specs = {chat.tool_from_chat(s) for s in spellings}
    assert specs == {ToolSpec(name="f", parameters='{"type":"object"}')}
    assert chat.tool_to_chat(specs.pop()) == spellings[0]


def test_legacy_function_calls_are_calls():
    row = {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}
    assert chat.from_chat(row).calls[0].name == "f"


def asked(*words, tools=()):
    """A session in which each word is a user's message, with one answer at the end."""
    users = [Message(role="user", parts=(Part(kind="text", text=word),)) for word in words]
    step = Message(role="assistant", context=0)
    context = Context(tools=tuple(ToolSpec(name=name) for name in tools))
    return Session(id="s", format="x", messages=(*users, step), contexts=(context,))


words = st.lists(st.text(max_size=8), max_size=5)


@given(words, words)
def test_prompt_keys_differ_exactly_where_prompts_do(one, other):
    keys = [list(chat.prompt_keys(asked(*each)).values()) for each in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)


def test_the_key_of_a_step_depends_on_what_stands_before_it_alone():
    session = asked("a")
    longer = replace(session, messages=(*session.messages, *asked("b").messages))
    assert chat.prompt_keys(longer)[1] == chat.prompt_keys(session)[1]
    assert set(chat.prompt_keys(longer)) == {1, 3}


def test_the_request_counts_unless_it_is_left_out():
    one, other = asked("a", tools=("f",)), asked("a", tools=("g",))
    assert chat.prompt_keys(one) != chat.prompt_keys(other)
    assert chat.prompt_keys(one, request=False) == chat.prompt_keys(other, request=False)


def test_prompt_keys_leave_out_times_models_and_reasoning():
    session = asked("a")
    first = replace(
        session.messages[0],
        time=5.0,
        parts=(Part(kind="reasoning", text="hm"), *session.messages[0].parts),
    )
    other = replace(session, messages=(first, *session.messages[1:]))
    assert chat.prompt_keys(other) == chat.prompt_keys(session)
