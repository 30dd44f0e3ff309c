"""The tools file: every spelling, clear mistakes, and where its tools go."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from blocks import blocks
from corpus import CORPUS, needs_corpus
from misstep import store
from misstep.config import IngestConfig
from misstep.errors import InputError
from misstep.ingest import ingest, offering, read_tools
from misstep.types import Context, ToolSpec
from misstep.validate import Settings, validate
from reading import read_one

ROOT = Path(__file__).resolve().parents[2]

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
        ('{"type": "objekt"}', "tool 0: tool: no name"),
        ('{"type": "object", "properties": {"a": {}}}', "tool 0: tool: no name"),
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


CONTRACT = {"side_effecting": True, "requires": ["b"]}


@pytest.mark.parametrize(
    "value",
    [
        [{**ANTHROPIC, **CONTRACT}],
        {"tools": [{"type": "function", "function": {"name": "b", **CONTRACT}}]},
        {"tools": {"b": {"schema": SCHEMA, "metadata": CONTRACT}}},
    ],
)
def test_a_contract_stands_beside_the_schema(tmp_path, value):
    store.check_row(value, "tools")
    path = tmp_path / "tools.json"
    path.write_text(json.dumps(value))
    (tool,) = read_tools(path)
    assert tool.contract == '{"requires":["b"],"side_effecting":true}'


def test_what_is_off_limits_holds_for_every_tool_of_the_file(tmp_path):
    value = {"off_limits": ["a.example"], "tools": [OPENAI, {**ANTHROPIC, **CONTRACT}]}
    store.check_row(value, "tools")
    path = tmp_path / "tools.json"
    path.write_text(json.dumps(value))
    assert [json.loads(tool.contract)["off_limits"] for tool in read_tools(path)] == [
        ["a.example"],
        ["a.example"],
    ]


def test_a_broken_contract_names_its_tool(tmp_path):
    path = tmp_path / "tools.json"
    path.write_text(json.dumps([OPENAI, {**ANTHROPIC, "polling": 1}]))
    with pytest.raises(InputError, match="tool 1: polling: expected true or false, got 1"):
        read_tools(path)


def test_a_logged_schema_keeps_its_place_and_gets_the_contract(tmp_path):
    logged = {"name": "a", "parameters": {"type": "object", "properties": {"x": {}}}}
    path = tmp_path / "given.json"
    path.write_text(json.dumps([{**OPENAI, "polling": True}]))
    session = read_one(tmp_path / "logs", ROW | {"tools": [logged]}, tools=str(path)).sessions[0]
    (tool,) = session.context_of(0).tools
    assert (tool.source, tool.parameters) == (
        "logged",
        '{"type":"object","properties":{"x":{}}}',
    )
    assert json.loads(tool.contract) == {"polling": True, "parameters": {"type": "object"}}


def test_an_inferred_schema_stays_marked_until_the_user_vouches_for_it(tmp_path):
    path = tmp_path / "tools.json"
    plain = OPENAI | {"source": "inferred"}
    path.write_text(json.dumps([plain]))
    assert [spec.source for spec in read_tools(path)] == ["inferred"]
    path.write_text(json.dumps([plain | {"side_effecting": True}]))
    assert [spec.source for spec in read_tools(path)] == ["filled"]
    path.write_text(json.dumps([OPENAI | {"source": "logged"}]))
    assert [spec.source for spec in read_tools(path)] == ["given"]


def test_a_logged_name_takes_an_inferred_schema_as_such(tmp_path):
    path = tmp_path / "given.json"
    path.write_text(json.dumps([OPENAI | {"source": "inferred"}]))
    row = {**ROW, "tools": [{"name": "a"}]}
    session = read_one(tmp_path / "logs", row, tools=str(path)).sessions[0]
    assert [(t.name, t.source) for t in session.context_of(0).tools] == [("a", "filled")]


# --- contracts alone -----------------------------------------------------------------------------

PROMISE = {"name": "a", "failure_when": {"pointer": "/ok", "equals": False}}
OTHER = {"name": "b", "polling": True}


def judged(tmp_path, record, *entries):
    """The session, and the codes of its defects, with a tools file of these entries."""
    path = tmp_path / "contracts.json"
    path.write_text(json.dumps(list(entries)))
    session = read_one(tmp_path / "logs", record, tools=str(path)).sessions[0]
    return session, [f.code for f in validate(session, Settings()).findings if f.level == "defect"]


def talk(name, result, **more):
    call = {"id": "c", "function": {"name": name, "arguments": "{}"}}
    return {
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": result},
        ],
        **more,
    }


@pytest.mark.parametrize("name", ["a", "z"])
def test_a_file_of_contracts_offers_nothing(tmp_path, name):
    session, found = judged(tmp_path, talk(name, "fine"), PROMISE, OTHER)
    assert (session.context_of(1).tools, found) == ((), [])


def test_a_contract_holds_for_a_called_tool_that_the_log_does_not_offer(tmp_path):
    session, _ = judged(tmp_path, talk("a", '{"ok": false}'), PROMISE, OTHER)
    assert "TOOL_ERROR" in [f.code for f in validate(session, Settings()).findings]


def test_what_is_off_limits_holds_without_an_offer_too(tmp_path):
    path = tmp_path / "contracts.json"
    path.write_text(json.dumps({"off_limits": ["a.example"], "tools": [OTHER]}))
    record = talk("z", "fine")
    call = record["messages"][1]["tool_calls"][0]["function"]
    call["arguments"] = '{"url": "https://a.example/x"}'
    session = read_one(tmp_path / "logs", record, tools=str(path)).sessions[0]
    assert [f.code for f in validate(session, Settings()).findings] == ["OFF_LIMITS"]


def test_a_logged_offer_stays_what_it_is_and_gets_the_contracts(tmp_path):
    record = talk("a", "fine", tools=[{"name": "a", "description": "A."}])
    session, found = judged(tmp_path, record, PROMISE, OTHER)
    (tool,) = session.context_of(1).tools
    assert (tool.description, tool.parameters, found) == ("A.", None, [])
    assert json.loads(tool.contract) == {"failure_when": PROMISE["failure_when"]}
    found = judged(tmp_path, talk("z", "x", tools=record["tools"]), PROMISE, OTHER)[1]
    assert found == ["TOOL_UNKNOWN"]  # the log says so, not the file


def test_a_file_with_a_schema_is_the_offer_and_its_contracts_belong_to_it(tmp_path):
    session, found = judged(tmp_path, talk("b", "fine"), OPENAI, OTHER)
    offered = session.context_of(1).tools
    assert [(t.name, t.parameters is not None) for t in offered] == [("a", True), ("b", False)]
    assert found == []
    assert judged(tmp_path, talk("z", "fine"), OPENAI, OTHER)[1] == ["TOOL_UNKNOWN"]


def test_a_bare_name_is_an_offer_and_no_contract(tmp_path):
    session, found = judged(tmp_path, talk("z", "fine"), {"name": "a"})
    assert ([t.name for t in session.context_of(1).tools], found) == (["a"], ["TOOL_UNKNOWN"])


def test_a_contract_behind_or_before_the_schema_of_its_name_is_one_tool(tmp_path):
    path = tmp_path / "tools.json"
    for entries in ([OPENAI, PROMISE], [PROMISE, OPENAI]):
        path.write_text(json.dumps(entries))
        (tool,) = read_tools(path)
        assert tool.parameters == '{"type":"object"}'
        assert json.loads(tool.contract) == {"failure_when": PROMISE["failure_when"]}


def test_contracts_are_no_part_of_a_request_that_offers(tmp_path):
    path = tmp_path / "tools.json"
    path.write_text(json.dumps([PROMISE]))
    kept = Context(tools=(ToolSpec(name="z"),), max_tokens=7)
    told = offering(kept, read_tools(path))
    assert (told.tools, told.max_tokens, [t.name for t in told.promised]) == (kept.tools, 7, ["a"])


def example():
    """The contract in the guide for coding agents."""
    page = blocks(ROOT / "docs" / "guide-coding-agents.md")
    return next(block.text for block in page if block.language == "json")


@needs_corpus
def test_the_example_of_the_guide_makes_no_call_unknown(tmp_path):
    path = tmp_path / "c.json"
    path.write_text(example())
    logs = CORPUS / "logs" / "claude-code"

    def failing(tools):
        read = ingest([logs], config=IngestConfig(tools=tools, workers=1))
        judged = [validate(session, Settings()) for session in read.sessions]
        assert not any(f.code == "TOOL_UNKNOWN" for one in judged for f in one.findings)
        return sum(v.state == "fail" for one in judged for v in one.verdicts)

    assert failing(str(path)) == failing(None) > 0


@needs_corpus
def test_a_contract_counts_in_real_logs_that_offer_nothing(tmp_path):
    path = tmp_path / "c.json"
    path.write_text(example().replace("apply_patch", "Edit").replace("read_file", "Read"))
    config = IngestConfig(tools=str(path), workers=1)
    read = ingest([CORPUS / "logs" / "claude-code"], config=config)
    found = [f for session in read.sessions for f in validate(session, Settings()).findings]
    assert [f.code for f in found].count("PRECONDITION") == 1
