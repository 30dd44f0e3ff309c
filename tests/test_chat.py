import pytest

from misstep import chat
from misstep.types import Message, Part, ToolCall, ToolResult, ToolSpec


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
