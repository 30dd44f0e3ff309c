"""ToolBench answers: one file a query, a search tree (`tree.tree`) or chains (`trys`) of `Thought`,
`Action` and `Action Input` nodes, with `answer_generation.{function, query, train_messages}`.

Every way from the root to a leaf is a conversation; all ways of a file are one family, and a step
that they share is counted once. Kept: the offered functions with their schemas, argument text byte
for byte, the true name of a function that does not exist (`train_messages` hides it), the harness's
verdict on each call (`observation_code`), `win` as outcome of the way that gave the answer. Where
the search asked again in the same place, the agent was shown what it had tried before: those words
come from `train_messages` where they stand there, else the attempts stand as JSON in their place.
Without `train_messages` the system message is unknown. The format keeps no model, no times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson
from msgspec.structs import replace

from misstep.ingest.context import Contexts
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.harnesses.toolbench_tree import Answer, tops
from misstep.ingest.messages import chat_message, place, text_or_none
from misstep.ingest.oneby import OneByOne
from misstep.ingest.tree import Node, Sessions, plant
from misstep.types import (
    Cause,
    Context,
    Message,
    Outcome,
    Part,
    Session,
    ToolCall,
    ToolResult,
    content_id,
)

NAME = "toolbench"
_CAUSES: dict[int, Cause] = {
    1: "model",  # no such function
    2: "model",  # arguments that cannot be used
    5: "infrastructure",  # timeout
    6: "tool",  # the API is gone (404)
    7: "infrastructure",  # not subscribed
    8: "infrastructure",  # not authorised
    9: "infrastructure",  # too many requests
    10: "infrastructure",  # rate limit
}
"""Codes of ToolBench's `rapidapi.py`; 3 and 4 end a way; the cause of 11 and 12 is
unclear."""
_ENDS = frozenset({3, 4})
"""The agent gave its answer (3), or gave up and the search went on elsewhere (4)."""


class _Grove(msgspec.Struct):
    """The conversations of one file while they grow."""

    record: Record
    context: Context
    shown: Mapping[int, str]
    """Words shown before an answer (by its identity) that was asked for again."""
    won: bool | None

    def grow(self, answer: Answer, up: Node, shown: str | None) -> Node:
        """Plant an answer, what was shown before it, and its result."""
        if shown is not None:
            parts = (Part(kind="text", text=shown),)
            up = self._plant(Message(role="user", parts=parts, actor="harness"), up, answer)
        node = self._plant(_message(answer), up, answer)
        node.context = self.context
        if answer.name is None:
            return node
        result = self._plant(_result(answer), node, answer)
        if answer.code in _ENDS:
            result.outcome = Outcome(resolved=self.won if answer.code == 3 else False)
        return result

    def _plant(self, message: Message, up: Node, answer: Answer) -> Node:
        origin = self.record.at(place(self.record, answer.pointer))
        return plant(replace(message, origins=(origin,)), up)


def _message(answer: Answer) -> Message:
    parts = [Part(kind="text", text=answer.thought)] if answer.thought else []
    if answer.name is not None:
        parts.append(Part(kind="call", call=ToolCall(name=answer.name, arguments=answer.arguments)))
    return Message(role="assistant", parts=tuple(parts), actor="agent")


def _result(answer: Answer) -> Message:
    code = answer.code or 0
    failed = False if code in _ENDS else True if code else _failed(answer.observation)
    result = ToolResult(
        text=answer.observation,
        name=answer.name,
        is_error=failed,
        cause=_CAUSES.get(code),
        hint=f"observation_code {code}" if failed and code else None,
    )
    return Message(role="tool", parts=(Part(kind="result", result=result),))


def _failed(text: str) -> bool | None:
    """What the fixed wrapper `{"error": …, "response": …}` says; it may be cut off behind."""
    if text.startswith('{"error": ""'):
        return False
    return True if text.startswith('{"error": "') else None


def _file(record: Record, tally: Tally) -> Sequence[Session]:
    value = record.value
    about = value.get("answer_generation") if isinstance(value, dict) else None
    if not isinstance(about, dict):
        raise Misfit("", "no answer_generation", "unknown-record")
    query = text_or_none(about.get("query"))
    trained = _trained(about)
    tries = list(tops(value))
    if not tries:
        raise Misfit("/tree", "neither a search tree nor chains with an answer", "no-answer")
    context = Contexts().of({"tools": about.get("function")})
    won = value.get("win")
    shown = _shown(tries, trained)
    grove = _Grove(record, context, shown, won if isinstance(won, bool) else None)
    grown = Sessions(NAME)
    for root in _grow(grove, tries, _opening(query, trained)):
        root.family = f"query-{content_id(query or orjson.dumps(value).decode())}"
        grown.add(root)
    return grown.made()


def _opening(query: str | None, trained: Sequence[Mapping[str, Any]]) -> list[tuple[Message, str]]:
    """The messages before the first answer, from `train_messages` or from the query alone."""
    first: list[tuple[Message, str]] = []
    for row in trained:
        if row.get("role") not in ("system", "user"):
            break
        message = chat_message(row, "/answer_generation/train_messages")
        first.append((replace(message, actor="harness"), "/answer_generation/train_messages"))
    if any(message.role == "user" for message, _ in first) or query is None:
        return first
    parts = (Part(kind="text", text=query),)
    return [(Message(role="user", parts=parts, actor="harness"), "/answer_generation/query")]


def _grow(
    grove: _Grove, tries: Sequence[Sequence[Answer]], opening: Sequence[tuple[Message, str]]
) -> Iterator[Node]:
    """One root for the whole file: all tries answer the same prompt."""
    root: Node | None = None
    at: Node | None = None
    for message, pointer in opening or [(Message(role="user"), "")]:
        origin = grove.record.at(place(grove.record, pointer))
        at = plant(replace(message, origins=(origin,)), at)
        root = root or at
    if root is None or at is None:
        return
    at.asked = True
    todo = [(a, at, _again(grove, top, i)) for top in tries for i, a in enumerate(top)]
    todo.reverse()
    while todo:
        answer, up, shown = todo.pop()
        end = grove.grow(answer, up, shown)
        below = [(a, end, _again(grove, answer.down, i)) for i, a in enumerate(answer.down)]
        todo.extend(reversed(below))
    yield root


def _again(grove: _Grove, beside: Sequence[Answer], index: int) -> str | None:
    """What the agent was shown of its earlier answers in this place."""
    if not index:
        return None
    tried = [
        {"name": call.name, "arguments": call.arguments, "function_output": call.observation}
        for other in beside[:index]
        if (call := _first_call(other)) is not None
    ]
    told = grove.shown.get(id(beside[index]))
    if told is None and tried:
        told = orjson.dumps(tried, option=orjson.OPT_INDENT_2).decode()
    return told


def _first_call(answer: Answer) -> Answer | None:
    """The answer, or the first one below it, that makes a call."""
    at: Answer | None = answer
    while at is not None and at.name is None:
        at = at.down[0] if at.down else None
    return at


def _trained(about: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The longest of the training conversations: the way that was chosen."""
    listed = about.get("train_messages")
    ways = [way for way in listed if isinstance(way, list)] if isinstance(listed, list) else []
    return [row for row in max(ways, key=len, default=[]) if isinstance(row, dict)]


def _shown(
    tries: Sequence[Sequence[Answer]], trained: Sequence[Mapping[str, Any]]
) -> dict[int, str]:
    """Later user messages of the chosen way, each with the answer that follows it."""
    below = [answer for top in tries for answer in top]
    shown: dict[int, str] = {}
    waiting: str | None = None
    answered = False
    for row in trained:
        if row.get("role") == "user" and answered:
            waiting = text_or_none(row.get("content"))
        if row.get("role") != "assistant":
            continue
        call = row.get("function_call")
        arguments = call.get("arguments") if isinstance(call, dict) else ""
        key = (text_or_none(row.get("content")), arguments)
        found = next((answer for answer in below if answer.key == key), None)
        if found is None:
            return shown
        if waiting is not None:
            shown[id(found)] = waiting
        waiting, answered, below = None, True, found.down
    return shown


def _weigh(value: dict[str, Any]) -> float:
    about = value.get("answer_generation")
    told = isinstance(about, dict) and "function" in about
    return 1.0 if told and ("tree" in value or "trys" in value) else 0.0


def sniff(peek: Peek) -> float:
    """Objects with a tree or chains beside `answer_generation`."""
    return share(peek, _weigh) if peek.kind == "json" else 0.0


def _reader(tally: Tally) -> OneByOne:
    return OneByOne(tally, _file)


FORMAT = Format(
    name=NAME,
    about="ToolBench search trees with functions and verdicts on calls; no model, no times",
    unit="file",
    sniff=sniff,
    reader=_reader,
    keeps_tools=True,
    evidence="files",
)
