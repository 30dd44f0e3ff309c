"""A second opinion on Langfuse traces: the chat form that Langfuse itself expects of each call.

Beside every real trace lies what Langfuse's own reader makes of each observation's input and
output. Message by message, it is compared with the prompt and the answer of our step. Every
difference must have one of the reasons of `design/second-opinion.md`, and each trace just those.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from corpus import CORPUS, needs_corpus
from misstep.ingest import ingest
from misstep.types import Message, Session

FOLDER = CORPUS / "logs" / "langfuse"
REASONS: dict[str, set[str]] = {
    "agno-2025-06-11": {"printed message", "text instead of messages", "the same call twice"},
    "autogen-2025-06-06": {"text instead of messages"},
    "claude-agent-2025-12-22": {"no history", "one object", "pieces of one answer"},
    "google-adk-2025-08-28": {"role of Gemini", "result of Gemini", "empty id"},
    "langgraph-js-2025-10-30": {"tool's name as role"},
    "langgraph-python-2025-08-22": set(),
    "openai-agents-2025-09-30": {"instructions in the answer"},
    "pydantic-ai-tools-2025-06-06": {"choice event"},
}
ROLES = ("system", "user", "assistant", "tool")

Row = tuple[str, str, tuple[tuple[str | None, str, Any], ...], str | None]
"""Role, text, calls, and for a result the id of its call."""


def ours(message: Message) -> Row:
    calls = tuple((c.id, c.name, json.loads(c.arguments)) for c in message.calls)
    result = message.results[0] if message.results else None
    text = result.text if result else message.text
    return message.role, text, calls, result.call_id if result else None


def theirs(row: dict[str, Any], told: set[str]) -> Row | None:
    """A row of the expected form; what had to be understood first goes into `told`."""
    role = row.get("role")
    if role is None:
        inner = row.get("json", {}).get("message")
        told.add("choice event" if inner else "printed message")
        return theirs(inner, told) if inner else None
    if role == "model":
        told.add("role of Gemini")
        role = "assistant"
    if role not in ROLES:
        told.add("tool's name as role")
        role = "tool"
    calls = []
    for call in row.get("tool_calls", ()):
        if call["id"] == "":
            told.add("empty id")
        calls.append((call["id"] or None, call["name"], json.loads(call["arguments"])))
    content = row.get("content") or ""
    if isinstance(content, list):
        for block in content:
            if block["type"] == "tool_use":
                calls.append((block["id"], block["name"], block["input"]))
        content = "".join(block.get("text", "") for block in content)
    return role, content, tuple(calls), row.get("tool_call_id")


def compare(prompt: list[Row], rows: list[Row | None], told: set[str]) -> None:
    """The two sides of one call's input, row by row."""
    if len(prompt) == len(rows) + 1 and prompt[0][0] == "system":
        told.add("instructions in the answer")
        prompt = prompt[1:]
    assert len(prompt) == len(rows)
    for mine, other in zip(prompt, rows, strict=True):
        if other is None:
            continue
        if mine[0] == "tool" and other[0] == "user":
            told.add("result of Gemini")
            assert json.loads(mine[1]) == json.loads(other[1])
        elif mine[0] == "tool" and other[3] is None and "tool's name as role" in told:
            assert mine[1] == other[1]
        else:
            assert mine == other


def step_of(session: Session, id: str) -> int | None:
    """The step whose answer stands in an observation."""
    return next((i for i in session.steps if session.messages[i].origins[0].row == id), None)


@needs_corpus
@pytest.mark.parametrize("name", sorted(REASONS))
def test_each_message_is_the_one_that_langfuse_expects(name):
    trace = json.loads((FOLDER / f"{name}.trace.json").read_text())
    expected = json.loads((FOLDER / f"{name}.chatml.json").read_text())
    (session,) = ingest([FOLDER / f"{name}.trace.json"]).sessions
    told: set[str] = set()
    steps = 0
    for observation in trace["observations"]:
        if observation["type"] != "GENERATION":
            continue
        at = step_of(session, observation["id"])
        if at is None:
            twice = observation["model"] and observation["name"].startswith("chat ")
            told.add("the same call twice" if twice else "pieces of one answer")
        form = expected[observation["id"]]
        steps += at is not None
        rows_in, rows_out = form["input"], form["output"]
        if not rows_in["success"]:
            told.add("text instead of messages" if name[:2] in ("ag", "au") else "one object")
        elif at is not None:
            compare(
                [ours(m) for m in session.messages[:at]],
                [theirs(row, told) for row in rows_in["data"]],
                told,
            )
        if not rows_out["success"] or at is None:
            continue
        (answer,) = [theirs(row, told) for row in rows_out["data"]]
        mine = ours(session.messages[at])
        if answer != mine and name.startswith("claude"):
            told.add("pieces of one answer")
            assert mine[1].startswith(answer[1])
        else:
            assert answer == mine
    if name.startswith("claude"):
        assert [row["input"] for row in trace["observations"] if row["type"] == "GENERATION"].count(
            '{"content":"role"}'
        ) == 3
        told.add("no history")
    assert told == REASONS[name]
    assert steps == len(list(session.steps))


@needs_corpus
def test_definitions_of_tools_that_pose_as_messages_are_tools():
    name = "langgraph-python-2025-08-22"
    expected = json.loads((FOLDER / f"{name}.chatml.json").read_text())
    (session,) = ingest([FOLDER / f"{name}.trace.json"]).sessions
    for step in session.steps:
        row = session.messages[step].origins[0].row
        listed = expected[row]["input"]["data"][0]["tools"]
        known = session.context_of(step).tools
        assert [tool["name"] for tool in listed] == [tool.name for tool in known]
        assert [tool["parameters"] for tool in listed] == [json.loads(t.parameters) for t in known]
