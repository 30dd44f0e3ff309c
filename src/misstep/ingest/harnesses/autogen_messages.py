"""AutoGen's messages as lines of a shared conversation, and its logged responses as answers.

In: dumps of AgentChat messages in their order; what a model client logged as its response (a chat
completion, or AutoGen's own `CreateResult`). Out: `cast.Line` values; assistant messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from misstep.chat import call_from_chat, content_text
from misstep.ingest.format import Misfit, Record
from misstep.ingest.harnesses.cast import Line
from misstep.ingest.messages import (
    chat_message,
    kind_of,
    place,
    shown,
    text_or_none,
    unix_time,
    usage_of,
)
from misstep.types import Message, Part, ToolResult

Row = Mapping[str, Any]
_HANDED = ("ToolCallSummaryMessage", "HandoffMessage", "StopMessage")
"""Made by the agent's code, not by its model: other agents see them, its own model does not."""


class Chat:
    """The messages of one run, in their order."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.family = ""
        self._thought: dict[str, str] = {}
        """A thought that waits for the message it belongs to, by agent."""

    def add(self, row: Any, record: Record, at: str) -> None:
        """Take one message.

        Raises:
            Misfit: it has no known shape.
        """
        if not isinstance(row, dict) or not isinstance(row.get("type"), str):
            raise Misfit(at, f"expected a typed message, got {kind_of(row)}")
        id, source = text_or_none(row.get("id")), text_or_none(row.get("source")) or "agent"
        self.family = self.family or (f"run-{id}" if id else "")
        kind = row["type"]
        if kind == "ThoughtEvent":
            self._thought[source] = content_text(row.get("content"))
            return
        origins = (record.at(place(record, at), id),)
        time = unix_time(row.get("created_at"))
        if kind in _HANDED:
            made = content_text(row.get("content"))
            self.lines.append(Line(agent=source, shown=made, origins=origins, time=time))
            return
        message = replace(self._message(row, kind, source, at), origins=origins, time=time)
        if source == "user":
            self.lines.append(Line(message=message))
            return
        inner = message.role == "tool" or bool(message.calls)
        shown = None if inner else message.text or None
        line = Line(message=message, agent=source, shown=shown, origins=origins, time=time)
        self.lines.append(line)

    def _message(self, row: Row, kind: str, source: str, at: str) -> Message:
        content, thought = row.get("content"), self._thought.pop(source, "")
        if kind == "ToolCallExecutionEvent":
            results = tuple(Part(kind="result", result=r) for r in _results(content, at))
            return Message(role="tool", parts=results)
        usage = usage_of(row.get("models_usage"))
        if kind == "ToolCallRequestEvent":
            said = [Part(kind="text", text=thought)] if thought else []
            calls = tuple(_calls(content, at))
            return Message(role="assistant", parts=(*said, *calls), actor="agent", usage=usage)
        text = content_text(content) if isinstance(content, dict) else content
        parts = tuple(shown(text))
        if source == "user":
            return Message(role="user", parts=parts, actor="human")
        mind = [Part(kind="reasoning", text=thought)] if thought else []
        return Message(role="assistant", parts=(*mind, *parts), actor="agent", usage=usage)


def _calls(content: Any, at: str) -> Iterator[Part]:
    if not isinstance(content, list):
        raise Misfit(f"{at}/content", f"expected a list of calls, got {kind_of(content)}")
    for index, call in enumerate(content):
        try:
            yield Part(kind="call", call=call_from_chat(call, index))
        except ValueError as error:
            raise Misfit(f"{at}/content/{index}", str(error)) from None


def _results(content: Any, at: str) -> Iterator[ToolResult]:
    if not isinstance(content, list):
        raise Misfit(f"{at}/content", f"expected a list of results, got {kind_of(content)}")
    for index, row in enumerate(content):
        if not isinstance(row, dict):
            raise Misfit(f"{at}/content/{index}", f"expected a result, got {kind_of(row)}")
        flag = row.get("is_error")
        yield ToolResult(
            text=content_text(row.get("content")),
            call_id=text_or_none(row.get("call_id")),
            name=text_or_none(row.get("name")),
            is_error=flag if isinstance(flag, bool) else None,
        )


def answers(response: Any) -> Iterable[Message]:
    """The answers of a logged response; none where there is no answer in it.

    Raises:
        Misfit: an answer has no known shape.
    """
    if not isinstance(response, dict):
        return
    choices = response.get("choices")
    if isinstance(choices, list):
        for index, choice in enumerate(choices):
            yield _choice(choice, response, f"/response/choices/{index}")
    elif isinstance(response.get("content"), (str, list)):
        yield _created(response)


def _choice(choice: Any, response: Row, at: str) -> Message:
    body = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(body, dict):
        raise Misfit(f"{at}/message", f"expected a message, got {kind_of(body)}")
    message = chat_message({**body, "role": "assistant"}, f"{at}/message")
    refusal = text_or_none(body.get("refusal"))
    if refusal is not None and not message.parts:
        message = replace(message, parts=(Part(kind="text", text=refusal),))
    return replace(
        message,
        finish_reason=text_or_none(choice.get("finish_reason")),
        model=text_or_none(response.get("model")),
        usage=usage_of(response.get("usage")),
        time=unix_time(response.get("created")),
    )


def _created(response: Row) -> Message:
    """AutoGen's own `CreateResult`: text, or a list of calls with the thought before them."""
    content, thought = response["content"], text_or_none(response.get("thought"))
    reason = text_or_none(response.get("finish_reason"))
    usage = usage_of(response.get("usage"))
    if isinstance(content, str):
        mind = [Part(kind="reasoning", text=thought)] if thought else []
        parts = (*mind, *shown(content))
    else:
        said = [Part(kind="text", text=thought)] if thought else []
        parts = (*said, *_calls(content, "/response"))
    return Message(role="assistant", parts=parts, finish_reason=reason, usage=usage)
