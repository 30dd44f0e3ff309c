"""The tools file: every spelling, clear mistakes, and where its tools go."""

from __future__ import annotations

import json
import re

import pytest

from misstep import store
from misstep.errors import InputError
from misstep.ingest import read_tools
from reading import read_one

SCHEMA = {"type": "object"}
OPENAI = {"type": "function", "function": {"name": "a", "parameters": SCHEMA}}
ANTHROPIC = {"name": "b", "input_schema": SCHEMA, "description": "B."}
CALL = {"id": "c", "function": {"name": "a", "arguments": "{}"}}
ROW = {"messages": [{"role": "assistant", "tool_calls": [CALL]}]}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([OPENAI, ANTHROPIC]),
        json.dumps({"tools": [OPENAI, ANTHROPIC]}),
        json.dumps(OPENAI) + "\n" + json.dumps(ANTHROPIC) + "\n",
        json.dumps([OPENAI, ANTHROPIC, OPENAI], indent=2),
    ],
)
def test_every_spelling_reads_the_same(tmp_path, text):
    path = tmp_path / "tools.json"
    path.write_text(text)
    tools = read_tools(path)
    assert [tool.name for tool in tools] == ["a", "b"]
    assert {tool.source for tool in tools} == {"given"}
    assert {tool.parameters for tool in tools} == {'{"type":"object"}'}


def test_what_is_read_meets_the_schema_of_tools_files():
    for value in ([OPENAI, ANTHROPIC], {"tools": [OPENAI]}, ANTHROPIC):
        store.check_row(value, "tools")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON (unexpected end of data: line 1 column 2 (char 1))"),
        ("[]", "holds no tool"),
        ("[7]", "tool 0: tool: expected an object, got int"),
        ('[{"description": "x"}]', "tool 0: tool: no name"),
    ],
)
def test_a_file_that_holds_no_tools_is_the_users_mistake(tmp_path, text, said):
    path = tmp_path / "tools.json"
    path.write_text(text)
    expected = (
        f"{path}: {said}; expected a JSON list of tools (OpenAI or Anthropic spelling) "
        "or one tool a line"
    )
    with pytest.raises(InputError, match=f"^{re.escape(expected)}$"):
        read_tools(path)


def test_a_missing_file_is_the_users_mistake(tmp_path):
    with pytest.raises(InputError, match="cannot be read \\(No such file or directory\\)"):
        read_tools(tmp_path / "none.json")


def given(tmp_path, *records):
    path = tmp_path / "given.json"
    path.write_text(json.dumps([OPENAI, ANTHROPIC]))
    logs = tmp_path / "logs"
    return read_one(logs, *records, tools=str(path)).sessions[0]


def test_a_log_without_schemas_gets_the_given_tools(tmp_path):
    session = given(tmp_path, ROW)
    assert [(t.name, t.source) for t in session.context_of(0).tools] == [
        ("a", "given"),
        ("b", "given"),
    ]


def test_a_tool_that_is_only_a_name_gets_its_schema(tmp_path):
    session = given(tmp_path, {**ROW, "tools": [{"name": "a"}, {"name": "z"}]})
    assert [(t.name, t.parameters) for t in session.context_of(0).tools] == [
        ("a", '{"type":"object"}'),
        ("z", None),
    ]


def test_logged_schemas_win_over_given_ones(tmp_path):
    logged = {"name": "a", "parameters": {"type": "string"}}
    session = given(tmp_path, {**ROW, "tools": [logged]})
    assert session.context_of(0).tools[0].parameters == '{"type":"string"}'


def test_a_logged_request_that_offered_no_tools_stays_without(tmp_path):
    request = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    choice = {"message": {"role": "assistant", "content": "x"}}
    session = given(tmp_path, {"request": request, "response": {"choices": [choice]}})
    assert session.context_of(1).tools == ()
