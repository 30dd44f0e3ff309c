"""Calls in every dialect of the table, read out of the text that a model wrote."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misstep.dialects import DIALECTS, dialect_of, read_answer, types_of
from misstep.dialects.table import UNMARKED
from misstep.types import ToolSpec

NAMES = [d.name for d in (*DIALECTS, *UNMARKED)]
TOOLS = {"look_up", "book"}
SPECS = (
    ToolSpec(
        name="look_up",
        parameters=json.dumps(
            {"properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
        ),
    ),
)


def calls(text, dialect, **kwargs):
    parts = read_answer(text, dialect=dialect, **kwargs)
    return [(p.call.name, p.call.arguments) for p in parts if p.call]


OSLO = '{"city": "Oslo", "days": 2}'
# what two calls look like, written as the model families write them
TWO = {
    "hermes": f'<tool_call>\n{{"name": "look_up", "arguments": {OSLO}}}\n</tool_call>\n'
    '<tool_call>\n{"name": "book", "arguments": {}}\n</tool_call>',
    "qwen-coder": "<tool_call>\n<function=look_up>\n<parameter=city>\nOslo\n</parameter>\n"
    "<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>\n"
    "<tool_call>\n<function=book>\n</function>\n</tool_call>",
    "glm": "<tool_call>look_up\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n"
    "<arg_key>days</arg_key><arg_value>2</arg_value>\n</tool_call>"
    "<tool_call>book\n</tool_call>",
    "invoke": '<function_calls>\n<invoke name="look_up">\n<parameter name="city">Oslo</parameter>\n'
    '<parameter name="days">2</parameter>\n</invoke>\n<invoke name="book">\n</invoke>\n'
    "</function_calls>",
    "harmony": "<|channel|>analysis<|message|>Let me look.<|end|><|start|>assistant<|channel|>"
    f"commentary to=functions.look_up <|constrain|>json<|message|>{OSLO}<|call|>"
    "<|start|>assistant to=functions.book<|channel|>commentary<|message|>{}<|call|>",
    "open-toolscall": f'<|open|>toolscall tool="look_up"{OSLO}\n<|open|>toolscall tool="book"{{}}',
    "mistral": f'[TOOL_CALLS][{{"name": "look_up", "arguments": {OSLO}, "id": "abcdef123"}}, '
    '{"name": "book", "arguments": {}}]',
    "mistral-args": f"[TOOL_CALLS]look_up[CALL_ID]abcdef123[ARGS]{OSLO}[TOOL_CALLS]book[ARGS]{{}}",
    "functools": f'functools[{{"name": "look_up", "arguments": {OSLO}}}, '
    '{"name": "book", "arguments": {}}]',
    "python-tag": '<|python_tag|>look_up.call(city="Oslo", days=2); book.call()<|eom_id|>',
    "deepseek": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>look_up\n"
    f"```json\n{OSLO}\n```<｜tool▁call▁end｜>\n"
    "<｜tool▁call▁begin｜>book<｜tool▁sep｜>{}<｜tool▁call▁end｜>"
    "<｜tool▁calls▁end｜>",
    "kimi": "<|tool_calls_section_begin|><|tool_call_begin|>functions.look_up:0"
    f"<|tool_call_argument_begin|>{OSLO}<|tool_call_end|><|tool_call_begin|>functions.book:1"
    "<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
    "phi": f'<|tool_call|>[{{"name": "look_up", "arguments": {OSLO}}}, '
    '{"name": "book", "arguments": {}}]<|/tool_call|>',
    "granite": f'<function_call> {{"name": "look_up", "arguments": {OSLO}}}\n'
    '<function_call> {"name": "book", "arguments": {}}',
    "gemma": "<start_function_call>call:look_up{city:<escape>Oslo<escape>,days:2}"
    "<end_function_call><start_function_call>call:book{}<end_function_call>",
    "olmo": '<function_calls>\nlook_up(city="Oslo", days=2)\nbook()\n</function_calls>',
    "react": f"Thought: I look.\nAction: look_up\nAction Input: {OSLO}\nObservation: rain\n"
    "Action: book\nAction Input: {}",
    "json-calls": f'[{{"name": "look_up", "parameters": {OSLO}}}, '
    '{"name": "book", "arguments": {}}]',
    "pythonic": '[look_up(city="Oslo", days=2), book()]',
    "toolace": '[look_up(city="Oslo", days=2), book()]',
    "calls": "look_up(city='Oslo', days=2); book()",
    "glm-4": f"look_up\n{OSLO}",
}


@pytest.mark.parametrize("dialect", NAMES)
def test_two_calls_are_read_with_their_arguments(dialect):
    found = calls(TWO[dialect], dialect, tools=TOOLS, types=types_of(SPECS))
    assert [name for name, _ in found] == (
        ["look_up", "book"] if dialect != "glm-4" else ["look_up"]
    )
    assert json.loads(found[0][1]) == {"city": "Oslo", "days": 2}
    assert [json.loads(a) for _, a in found[1:]] in ([{}], [])


@pytest.mark.parametrize("dialect", [d.name for d in DIALECTS])
def test_the_dialect_is_recognised_by_its_marks(dialect):
    assert dialect_of(TWO[dialect], TOOLS) == dialect
    assert [p.call.name for p in read_answer(TWO[dialect], tools=TOOLS) if p.call] == [
        "look_up",
        "book",
    ]


VERBATIM = [
    "hermes",
    "harmony",
    "mistral",
    "mistral-args",
    "functools",
    "deepseek",
    "kimi",
    "phi",
    "granite",
    "react",
    "json-calls",
    "glm-4",
]


@pytest.mark.parametrize("dialect", VERBATIM)
def test_argument_text_stays_as_it_was_written(dialect):
    odd = '{"days":  2,"city" :"Oslo" }'
    found = calls(TWO[dialect].replace(OSLO, odd), dialect, tools=TOOLS)
    assert found[0] == ("look_up", odd)


@pytest.mark.parametrize("dialect", VERBATIM)
def test_broken_json_stays_broken(dialect):
    found = calls(TWO[dialect].replace(OSLO, '{"city": "Oslo", days: }'), dialect, tools=TOOLS)
    assert found[0][0] == "look_up"
    with pytest.raises(json.JSONDecodeError):
        json.loads(found[0][1])


def test_text_around_calls_stays_and_reasoning_is_told_apart():
    parts = read_answer(f"<think>hm</think>I look.\n{TWO['kimi']}\nDone.", dialect="kimi")
    assert [(p.kind, (p.text or "").strip()) for p in parts if p.call is None] == [
        ("reasoning", "hm"),
        ("text", "I look."),
        ("text", "Done."),
    ]


def test_the_channels_of_harmony_become_reasoning_calls_and_text():
    text = TWO["harmony"] + "<|start|>assistant<|channel|>final<|message|>It rains.<|return|>"
    assert [(p.kind, p.text) for p in read_answer(text, dialect="harmony") if p.call is None] == [
        ("reasoning", "Let me look."),
        ("text", "It rains."),
    ]


def test_the_id_of_a_call_is_kept_where_the_dialect_has_one():
    parts = read_answer(TWO["kimi"], dialect="kimi")
    assert [p.call.id for p in parts if p.call] == ["functions.look_up:0", "functions.book:1"]
    parts = read_answer(TWO["mistral-args"], dialect="mistral-args")
    assert [p.call.id for p in parts if p.call] == ["abcdef123", None]


def test_untyped_values_are_typed_by_the_schema():
    text = TWO["qwen-coder"].replace("Oslo", "42")
    found = calls(text, "qwen-coder", types=types_of(SPECS))
    assert json.loads(found[0][1]) == {"city": "42", "days": 2}
    assert json.loads(calls(text, "qwen-coder")[0][1]) == {"city": 42, "days": 2}


def test_deepseek_says_itself_what_is_a_string():
    text = (
        '<｜DSML｜function_calls><｜DSML｜invoke name="f">'
        '<｜DSML｜parameter name="a" string="true">1</｜DSML｜parameter>'
        '<｜DSML｜parameter name="b" string="false">[1]</｜DSML｜parameter>'
        "</｜DSML｜invoke></｜DSML｜function_calls>"
    )
    assert calls(text, "invoke") == [("f", '{"a":"1","b":[1]}')]


def test_a_call_that_is_no_literal_keeps_its_text_and_says_why():
    (part,) = read_answer("[look_up(city=oslo(), days=2)]", dialect="pythonic")
    assert (part.call.arguments, part.call.syntax) == ("city=oslo(), days=2", "code")
    assert part.call.fault == "the value of city is no literal"


def test_a_call_that_is_never_closed_says_so():
    (part,) = read_answer('[look_up(city="Oslo', dialect="pythonic")
    assert part.call.fault == "the call is never closed"


def test_a_name_with_blanks_is_read_in_toolace():
    assert calls('[Get Weather Now(city="Oslo")]', "toolace") == [
        ("Get Weather Now", '{"city": "Oslo"}')
    ]


def test_arguments_inside_a_string_are_unwrapped_once():
    text = '{"name": "f", "arguments": "{\\"a\\": 1}"}'
    assert calls(text, "json-calls") == [("f", '{"a": 1}')]


def test_json_that_is_no_call_of_an_offered_tool_is_text():
    assert [p.kind for p in read_answer('{"name": "Ada"}', dialect="json-calls", tools=TOOLS)] == [
        "text"
    ]


MARKS = "".join(sorted(set("".join(TWO.values()))))


@given(st.sampled_from(NAMES), st.text(alphabet=MARKS, max_size=120))
@settings(max_examples=300, deadline=None)
def test_no_text_raises_in_any_dialect(dialect, text):
    read_answer(text, dialect=dialect, tools=TOOLS)


@given(st.sampled_from(NAMES), st.data())
@settings(max_examples=300, deadline=None)
def test_a_call_cut_anywhere_still_reads(dialect, data):
    text = TWO[dialect]
    cut = data.draw(st.integers(0, len(text)))
    parts = read_answer(text[:cut], dialect=dialect, tools=TOOLS)
    assert [p.call.index for p in parts if p.call] == list(
        range(sum(p.kind == "call" for p in parts))
    )


@pytest.mark.parametrize("dialect", NAMES)
@pytest.mark.parametrize("unit", ["(", "[", "{", '"', "f(", "<tool_call>", '{"name": "a", ', "\n["])
def test_hostile_text_is_read_in_linear_time(dialect, unit):
    opener = TWO[dialect][:20]
    start = time.process_time()
    read_answer(opener + unit * 20_000, dialect=dialect, tools=TOOLS)
    assert time.process_time() - start < 5
