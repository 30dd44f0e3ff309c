"""`openai` and `together`: preference rows of the hosted trainers.

    {"input": {"messages": […], "tools": […]}, "preferred_output": [one assistant message],
     "non_preferred_output": [one assistant message]}

OpenAI: guide "Direct preference optimization" at developers.openai.com, and `FineTunePreference-
RequestInput` of its OpenAPI document; the same lines are read by Azure OpenAI and Fireworks.
Together: "Preference fine-tuning" and "Function calling" (tools nest inside `input`) at
docs.together.ai. `arguments` is text in both, so broken JSON is carried as the model wrote it.

Set aside: a side with reasoning (neither has a place for it; in the prompt it is left out, as chat
templates do), results that answer no call or calls without a result (both refuse such a
conversation), names that are no function names, a prompt that ends with the assistant's own words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from misstep.mine.formats_row import Aside, Message, Output, Row, calls_of, sides_of, unsayable

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOOLS = 128


def _openai(kind: str, row: Row) -> Row | Aside:
    made = _together(kind, row)
    if not isinstance(made, Aside) and "tools" in made["input"]:
        made["input"]["parallel_tool_calls"] = True
    return made


def _together(kind: str, row: Row) -> Row | Aside:
    tools = json.loads(row["tools"])
    fault = unsayable(kind, row) or _fault(row["prompt"], sides_of(kind, row), tools)
    if fault is not None:
        return fault
    chosen, rejected = sides_of(kind, row)
    asked: Row = {"messages": [_message(message) for message in row["prompt"]]}
    if tools:
        asked["tools"] = tools
    return {
        "input": asked,
        "preferred_output": [_message(chosen)],
        "non_preferred_output": [_message(rejected)],
    }


def _fault(
    prompt: Sequence[Message], sides: Sequence[Message], tools: Sequence[Any]
) -> Aside | None:
    if any(side.get("reasoning_content") for side in sides):
        return Aside("reasoning", "a side holds reasoning")
    if prompt[-1]["role"] == "assistant":
        return Aside("prompt-end", "the prompt ends with words of the assistant")
    names = [tool["function"]["name"] for tool in tools]
    names += [call["name"] for message in (*prompt, *sides) for call in calls_of(message)]
    wrong = next((name for name in names if not _NAME.fullmatch(name)), None)
    if wrong is not None:
        return Aside("tool-name", f"{wrong[:80]!r} is no name of a function")
    if len(tools) > _TOOLS:
        return Aside("tools", f"{len(tools)} tools are offered, at most {_TOOLS} are allowed")
    return next(_orphans(prompt), None)


def _orphans(prompt: Sequence[Message]) -> Iterator[Aside]:
    """Results without their call, calls without their result."""
    waiting: set[str] = set()
    for message in prompt:
        if message["role"] == "tool":
            if message.get("tool_call_id") not in waiting:
                yield Aside("tool-results", "a result answers no call of the message before it")
            waiting.discard(message.get("tool_call_id") or "")
        else:
            if waiting:
                yield Aside("tool-results", "a call has no result")
            waiting = {call["id"] for call in message.get("tool_calls") or ()}
            if len(waiting) < len(message.get("tool_calls") or ()):
                yield Aside("tool-results", "two calls of one message have the same id")
    if waiting:
        yield Aside("tool-results", "a call has no result")


def _message(message: Message) -> Row:
    role = message["role"]
    if role == "tool":
        return {
            "role": role,
            "tool_call_id": message["tool_call_id"],
            "content": message["content"],
        }
    made: Row = {"role": role, "content": message["content"]}
    if message.get("tool_calls"):
        made["content"] = message["content"] or None
        made["tool_calls"] = message["tool_calls"]
    return made


OPENAI = Output(
    name="openai",
    about="preference fine-tuning at OpenAI, Azure OpenAI and Fireworks",
    described="https://developers.openai.com/api/docs/guides/direct-preference-optimization",
    path="openai/{part}.jsonl",
    kinds=("pairs",),
    convert=_openai,
)
TOGETHER = Output(
    name="together",
    about="preference fine-tuning at Together",
    described="https://docs.together.ai/docs/fine-tuning/preference-tuning",
    path="together/{part}.jsonl",
    kinds=("pairs",),
    convert=_together,
)
