import json
import time

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from misstep.dialects import CLOSE, markup, parse_answer, render_answer, render_call
from misstep.types import Part, ToolCall

BLOCK = '<tool_call>\n{"name": "look_up", "arguments": {"city": "Oslo"}}\n</tool_call>'


def text(value):
    return Part(kind="text", text=value)


def call(name, arguments, index=0):
    return Part(kind="call", call=ToolCall(name=name, arguments=arguments, index=index))


def calls(raw, **kwargs):
    return [(p.call.name, p.call.arguments) for p in parse_answer(raw, **kwargs) if p.call]


# --- reading -------------------------------------------------------------------------------------


def test_plain_text_is_one_text_part():
    assert parse_answer("It rains.\n") == (text("It rains.\n"),)


def test_an_empty_answer_has_no_parts():
    assert parse_answer("") == ()


def test_a_block_is_a_call_with_its_argument_text():
    assert parse_answer(BLOCK) == (call("look_up", '{"city": "Oslo"}'),)


def test_text_before_between_and_after_calls_keeps_its_place():
    raw = f"First.\n{BLOCK}\nThen.\n{BLOCK} Done."
    assert parse_answer(raw) == (
        text("First.\n"),
        call("look_up", '{"city": "Oslo"}'),
        text("\nThen.\n"),
        call("look_up", '{"city": "Oslo"}', 1),
        text(" Done."),
    )


def test_a_line_break_between_calls_is_no_text():
    assert [p.kind for p in parse_answer(f"{BLOCK}\n{BLOCK}\n")] == ["call", "call"]


def test_a_long_run_of_white_space_behind_a_call_stays_text():
    assert parse_answer(BLOCK + "\n" * 50)[1] == text("\n" * 50)


@pytest.mark.parametrize(
    "arguments",
    [
        '{"city": "Oslo",}',
        "{'city': 'Oslo'}",
        '{"city": "Os',
        '{"city": "Oslo"',
        "",
        "[1, 2",
        '"{\\"city\\": 1}"',
        ' {"a": 1} ',
        '{"a": {"b": 1}}}',
        "None",
    ],
)
def test_argument_text_is_kept_as_written_valid_or_not(arguments):
    assert calls(render_call(ToolCall(name="f", arguments=arguments))) == [("f", arguments)]


def test_white_space_inside_a_block_does_not_matter():
    assert calls('<tool_call>{ "name":"f","arguments":{"a":1}}</tool_call>') == [("f", '{"a":1}')]


def test_the_order_of_the_keys_does_not_matter():
    raw = '<tool_call>{"arguments": {"name": "x"}, "name": "f"}</tool_call>'
    assert calls(raw) == [("f", '{"name": "x"}')]


def test_the_order_of_the_keys_does_not_matter_where_the_json_is_broken():
    raw = '<tool_call>{"arguments": {"name": "x",}, "name": "f"}</tool_call>'
    assert calls(raw) == [("f", '{"name": "x",}')]


def test_keys_behind_the_arguments_are_not_arguments():
    raw = '<tool_call>{"name": "f", "arguments": {"a": 1}, "id": 7}</tool_call>'
    assert calls(raw) == [("f", '{"a": 1}')]


def test_a_closing_tag_inside_an_argument_string_does_not_close():
    arguments = json.dumps({"html": f"a {CLOSE} b"})
    assert calls(render_call(ToolCall(name="f", arguments=arguments))) == [("f", arguments)]


def test_a_block_without_a_closing_tag_runs_to_the_end():
    assert calls('<tool_call>\n{"name": "f", "arguments": {"city": "Os') == [("f", '{"city": "Os')]


def test_a_whole_object_without_a_closing_tag_is_a_whole_call():
    assert calls('<tool_call>\n{"name": "f", "arguments": {"a": 1}}') == [("f", '{"a": 1}')]


@pytest.mark.parametrize("end", ["", "\n", "\n</tool_call>"])
def test_a_block_that_lacks_its_last_brace_has_broken_arguments(end):
    assert calls('<tool_call>\n{"name": "f", "arguments": {"a": 1}' + end) == [("f", '{"a": 1')]


def test_a_call_without_arguments_has_empty_argument_text():
    assert calls('<tool_call>\n{"name": "f"}\n</tool_call>') == [("f", "")]


@pytest.mark.parametrize(
    "raw",
    [
        "<tool_call>\nlook_up Oslo\n</tool_call>",
        '<tool_call>\n{"tool": "f"}\n</tool_call>',
        '<tool_call>\n{"name": 3, "arguments": {}}\n</tool_call>',
        "<tool_call>",
        "a </tool_call> b",
    ],
)
def test_a_block_without_a_name_stays_text(raw):
    assert parse_answer(raw) == (text(raw),)


def test_the_offered_name_wins_where_a_broken_block_holds_two():
    raw = '<tool_call>{"name": "call", "name": "look_up", "arguments": {</tool_call>'
    assert calls(raw, tools={"look_up"}) == [("look_up", "{")]


def test_a_thought_at_the_start_is_reasoning():
    parts = parse_answer(f"<think>\nhm\n</think>\n\n{BLOCK}")
    assert [p.kind for p in parts] == ["reasoning", "call"]
    assert parts[0].text == "\nhm\n"


def test_a_thought_that_never_ends_is_all_reasoning():
    assert parse_answer(f"<think>hm {BLOCK}") == (Part(kind="reasoning", text=f"hm {BLOCK}"),)


# --- there and back ------------------------------------------------------------------------------

json_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
).map(lambda value: json.dumps(value, ensure_ascii=False))
broken_texts = st.text(alphabet=st.sampled_from('{}[]":,\\ \n<>/ab1'), max_size=30)
names = st.text(min_size=1, max_size=12)


@given(st.lists(st.tuples(names, json_texts), max_size=4), st.text(max_size=20))
def test_calls_with_valid_arguments_come_back(pairs, before):
    parts = [call(n, a, i) for i, (n, a) in enumerate(pairs)]
    if "<" not in before:
        parts = [text(before), *parts]
    back = [p for p in parse_answer(render_answer(parts)) if p.call]
    assert back == [p for p in parts if p.call]


def more_members(arguments):
    """Text such as `1, "b": 2`: inside a block it reads as a whole value and a further key."""
    try:
        return len(json.loads(f'{{"arguments": {arguments}}}')) > 1
    except ValueError:
        return False


@given(st.lists(st.tuples(names, broken_texts), max_size=3))
@example([("f", '{"name": "g", "arguments": 1')])
@example([("f", "}")])
@example([("f", '"'), ("g", '"')])
def test_calls_with_any_arguments_come_back(pairs):
    parts = [call(n, a, i) for i, (n, a) in enumerate(pairs)]
    assume(not any(more_members(a) for _, a in pairs))
    assert list(parse_answer(render_answer(parts))) == parts


@given(st.text(alphabet=st.sampled_from('<tool_call>/{}":,\\ \nname arguments'), max_size=200))
def test_reading_loses_no_word_of_any_text(raw):
    parts = parse_answer(raw)
    kept = "".join(
        (p.text or "") + (p.call.name + p.call.arguments if p.call else "") for p in parts
    )
    assert parts or not raw.strip()
    assert len(kept) <= len(raw)


@pytest.mark.parametrize(
    "raw",
    [
        "<tool_call>" * 20_000,
        '<tool_call>{"name": "f", "arguments": ' * 5_000,
        '<tool_call>{"a": ' + "[" * 100_000,
        "<tool_call>" + '"name":' * 20_000,
        '<tool_call>{"name": "f", "arguments": "' + "\\" * 100_000,
        "<tool_call>" + " " * 200_000,
        "<tool_call>" + "\n" * 200_000,
        "\n" * 200_000,
        "\n[ " * 50_000,
        "Action: x" + "\n" * 100_000,
        "Action: " * 30_000,
        "to=" * 60_000,
        "[TOOL_CALLS]" * 20_000,
        '{"name": "' * 20_000,
    ],
)
def test_hostile_text_is_read_in_linear_time(raw):
    start = time.process_time()
    parse_answer(raw)
    markup(raw, {"look_up"})
    assert time.process_time() - start < 2


# --- finding -------------------------------------------------------------------------------------

WRITTEN = {
    "hermes": BLOCK,
    "qwen-coder": "<tool_call>\n<function=look_up>\n<parameter=city>\nOslo\n</parameter>",
    "glm": "<tool_call>look_up\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value></tool_call>",
    "invoke": 'call\n<invoke name="look_up">\n<parameter name="city">Oslo</parameter></invoke>',
    "harmony": 'commentary to=functions.look_up <|constrain|>json<|message|>{"city": "Oslo"}',
    "open-toolscall": '<|open|>toolscall tool="look_up"',
    "mistral": '[TOOL_CALLS][{"name": "look_up", "arguments": {}}]',
    "mistral-args": '[TOOL_CALLS]look_up[CALL_ID]abc[ARGS]{"city": 1}',
    "functools": 'functools[{"name": "look_up", "arguments": {}}]',
    "python-tag": '<|python_tag|>look_up(city="Oslo")',
    "deepseek": "<｜tool▁call▁begin｜>function<｜tool▁sep｜>look_up\n```json\n{}\n```",
    "kimi": "<|tool_call_begin|>functions.look_up:0<|tool_call_argument_begin|>{}",
    "phi": '<|tool_call|>[{"name": "look_up", "arguments": {}}]<|/tool_call|>',
    "granite": '<function_call> {"name": "look_up", "arguments": {}}',
    "gemma": "<start_function_call>call:look_up{city:<escape>Oslo<escape>}",
    "olmo": '<function_calls>\nlook_up(city="Oslo")\n</function_calls>',
    "react": 'Thought: hm\nAction: look_up\nAction Input: {"city": "Oslo"}',
    "json-calls": '[{"name": "look_up", "arguments": {"city": "Oslo"}}]',
    "pythonic": '[look_up(city="Oslo")]',
}


@pytest.mark.parametrize("dialect", WRITTEN)
def test_each_dialect_is_found_in_text(dialect):
    found = markup(f"Let me see.\n{WRITTEN[dialect]}", {"look_up", "other"})
    assert [(m.dialect, m.name) for m in found] == [(dialect, "look_up")]


@pytest.mark.parametrize("dialect", WRITTEN)
def test_markup_of_a_tool_that_was_not_offered_is_not_found(dialect):
    assert markup(WRITTEN[dialect], {"other"}) == []


@pytest.mark.parametrize("dialect", WRITTEN)
def test_markup_in_a_code_fence_is_not_found(dialect):
    assert markup(f"Like this:\n~~~\n{WRITTEN[dialect]}\n~~~\nSee?", {"look_up"}) == []


@pytest.mark.parametrize(
    "raw",
    [
        "Use look_up to find the city.",
        "The look_up tool takes {city}.",
        'My name is "look_up".',
        "I will call look_up(city) now.",
        "Send it to=look_up please.",
        "- Action: look_up the city",
        '{"name": "look_up", "age": 3}',
        "[look_up](https://example.org) is a link",
    ],
)
def test_prose_about_a_tool_is_no_markup(raw):
    assert markup(raw, {"look_up"}) == []


def test_a_find_tells_where_it_stands():
    raw = f"First.\n{BLOCK}"
    (found,) = markup(raw, {"look_up"})
    assert raw[found.start : found.end].startswith("<tool_call>")
    assert raw[found.start : found.end].endswith('"look_up"')


def test_every_block_is_found():
    assert len(markup(f"{BLOCK}\n{BLOCK}", {"look_up"})) == 2
