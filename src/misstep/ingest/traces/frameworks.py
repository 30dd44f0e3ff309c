"""Any framework's message dict as messages: the one place where traces of all of them are read.

In: one element of a history, in whatever shape the traced framework gave it. Out: `Message`
values. The shapes, tried in this order (`_SHAPES`):

    LangChain          constructor, {type, data}, plain with `type` (langchain_messages)
    Responses items    {type: message | function_call | function_call_output | reasoning …}
    pydantic-ai        {kind: request | response, parts: [{part_kind}]}
    parts              {role, parts}: Gemini, OpenTelemetry GenAI, Vercel UI messages
    events             {event.name, message}: OpenTelemetry's choice events
    chat               {role, content, tool_calls}: OpenAI, Anthropic, Bedrock, Vercel, LiteLLM
    AutoGen            {source, content, type}
    repr               `role='user' content='…' name=None`: a Python model printed as text

A role that is no role but the name of a tool that was called is that tool's result. Results without
a call id are paired with the calls before them by name and order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from msgspec.structs import replace

from misstep.ingest.format import Misfit
from misstep.ingest.messages import attached, kind_of, text_or_none
from misstep.ingest.traces.framework_parts import numbered, piece, pieces, result_part
from misstep.ingest.traces.framework_printed import printed_fields
from misstep.ingest.traces.langchain_messages import langchain_message, unwrapped
from misstep.types import Message, Part, Role, ToolCall, ToolResult

Row = Mapping[str, Any]

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
}
_ITEMS = frozenset(
    (
        *("function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"),
        *("reasoning", "web_search_call", "file_search_call", "code_interpreter_call"),
        *("mcp_call", "image_generation_call"),
    )
)


def messages_of(row: Any, pointer: str) -> list[Message]:
    """The messages of one element of a history.

    Raises:
        Misfit: it has none of the known shapes.
    """
    if isinstance(row, str):
        fields = printed_fields(row)
        if fields is not None:
            return messages_of(fields, pointer)
        return [Message(role="user", parts=tuple(pieces(row)))]
    if not isinstance(row, dict):
        raise Misfit(pointer, f"expected a message object, got {kind_of(row)}")
    for fits, make in _SHAPES:
        if fits(row):
            return make(row, pointer)
    keys = ", ".join(list(row)[:6])
    raise Misfit(pointer, f"a message of no known shape, with {keys or 'no fields'}")


def _langchain(row: Row, pointer: str) -> list[Message]:
    return [langchain_message(row, pointer)]


def _item(row: Row, pointer: str) -> list[Message]:
    part = piece(row)
    if part is None:
        return []
    return [Message(role="tool" if part.kind == "result" else "assistant", parts=(part,))]


def _pydantic(row: Row, pointer: str) -> list[Message]:
    said = [p for p in row["parts"] if isinstance(p, dict)]
    if row["kind"] == "response":
        return [Message(role="assistant", parts=tuple(pieces(said)), model=_name(row))]
    made: list[Message] = []
    for part in said:
        kind = part.get("part_kind")
        role: Role = "system" if kind == "system-prompt" else "user"
        got = pieces(part.get("content") if kind == "user-prompt" else part)
        made.extend(split(role, got))
    return made


def _name(row: Row) -> str | None:
    return text_or_none(row.get("model_name"))


def _parts(row: Row, pointer: str) -> list[Message]:
    return split(_role(row, pointer), pieces(row["parts"]))


def _event(row: Row, pointer: str) -> list[Message]:
    inner = row["message"]
    return messages_of({"role": "assistant", **inner}, f"{pointer}/message")


def _chat(row: Row, pointer: str) -> list[Message]:
    role = _role(row, pointer)
    content = row.get("content")
    if role == "tool" and not _holds_results(content):
        id, flag = row.get("tool_call_id", row.get("id")), row.get("is_error")
        failed = True if row.get("status") == "error" else flag
        return [
            Message(role="tool", parts=(result_part(content, id, name=_named(row), flag=failed),))
        ]
    parts: list[Part] = []
    thought = text_or_none(row.get("reasoning_content")) or text_or_none(row.get("reasoning"))
    if thought:
        parts.append(Part(kind="reasoning", text=thought))
    parts.extend(pieces(content))
    if role == "assistant":
        parts.extend(_calls(row, parts))
        extra = row.get("additional_kwargs")
        inner: Row = extra if isinstance(extra, dict) else {}
        refusal = text_or_none(row.get("refusal")) or text_or_none(inner.get("refusal"))
        if refusal and not parts:
            parts.append(Part(kind="text", text=refusal))
        parts.extend(attached(row, parts) or attached(inner, parts))
    return split(role, numbered(parts))


def _calls(row: Row, said: Sequence[Part]) -> Iterable[Part]:
    """Calls beside the content, without those that the content holds too."""
    extra = row.get("additional_kwargs")
    inner: Row = extra if isinstance(extra, dict) else {}
    listed = row.get("tool_calls") or inner.get("tool_calls") or row.get("toolCalls") or ()
    known = {part.call.id for part in said if part.call is not None}
    for entry in listed if isinstance(listed, list) else ():
        part = piece({"type": "function", **entry}) if isinstance(entry, dict) else None
        if part is not None and part.call is not None and (not known or part.call.id not in known):
            yield part
    legacy = row.get("function_call") or inner.get("function_call")
    if isinstance(legacy, dict):
        yield from pieces({"type": "function", "function": legacy})


def _autogen(row: Row, pointer: str) -> list[Message]:
    kind, content = str(row.get("type")), row.get("content")
    if kind in ("ToolCallExecutionEvent", "FunctionExecutionResultMessage"):
        results = content if isinstance(content, list) else []
        blocks = [{**r, "type": "tool_result"} for r in results if isinstance(r, dict)]
        return split("tool", pieces(blocks))
    if kind in ("SystemMessage", "UserMessage"):
        return split("system" if kind == "SystemMessage" else "user", pieces(content))
    user = row.get("source") == "user"
    calls = [
        {**c, "type": "function"} if isinstance(c, dict) and "arguments" in c else c
        for c in (content if isinstance(content, list) else [content])
    ]
    return split("user" if user else "assistant", pieces(calls))


def _role(row: Row, pointer: str) -> Role:
    role = row.get("role")
    if not isinstance(role, str):
        raise Misfit(f"{pointer}/role", f"expected a role, got {kind_of(role)}")
    known = _ROLES.get(role)
    if known is None and "content" in row and role:
        return "tool"
    if known is None:
        raise Misfit(f"{pointer}/role", f"unknown role {role!r}")
    return known


def _named(row: Row) -> str | None:
    name = text_or_none(row.get("name")) or text_or_none(row.get("tool_name"))
    role = row.get("role")
    return name or (role if isinstance(role, str) and role not in _ROLES else None)


def _holds_results(content: Any) -> bool:
    kinds = ("tool-result", "tool_result", "tool_call_response", "tool-error")
    return isinstance(content, list) and any(
        isinstance(b, dict) and (b.get("type") in kinds or "toolResult" in b) for b in content
    )


def split(role: Role, parts: Sequence[Part]) -> list[Message]:
    """One message, or several where results stand between what a user says."""
    if role == "assistant":
        return [Message(role=role, parts=tuple(parts))]
    made = []
    for results, run in groupby(parts, key=lambda part: part.kind == "result"):
        said: Role = "tool" if results else "user" if role == "tool" else role
        made.append(Message(role=said, parts=tuple(run)))
    return made or ([] if role == "tool" else [Message(role=role)])


Told = dict[tuple[Any, ...], tuple[Message, Message]]
"""Messages before and after their results were told their calls, by identity and calls."""


def paired(messages: Sequence[Message], told: Told | None = None) -> list[Message]:
    """The messages with a call id and a name on each result, where order and name tell them.

    Args:
        told: what earlier calls of this function made; later ones use it again, and add to it.
    """
    told = {} if told is None else told
    made: list[Message] = []
    waiting: list[ToolCall] = []
    for message in messages:
        if message.role == "assistant":
            waiting.extend(message.calls)
        elif message.role == "tool":
            calls = [_call_of(result, waiting) for result in message.results]
            marks = [None if call is None else (call.id, call.name) for call in calls]
            mark = (id(message), *marks)
            if mark not in told:
                told[mark] = (message, _with_calls(message, calls))
            message = told[mark][1]
        made.append(message)
    return made


def _call_of(result: ToolResult, waiting: list[ToolCall]) -> ToolCall | None:
    """The call that a result belongs to; it leaves the list."""
    for call in waiting:
        by_id = result.call_id is not None and call.id == result.call_id
        if by_id or (result.call_id is None and result.name in (None, call.name)):
            waiting.remove(call)
            return call
    return None


def _with_calls(message: Message, calls: Sequence[ToolCall | None]) -> Message:
    found = iter(calls)
    parts = []
    for part in message.parts:
        call = next(found) if part.result is not None else None
        if part.result is not None and call is not None:
            result = part.result
            told = replace(result, call_id=result.call_id or call.id, name=result.name or call.name)
            part = part if told == result else replace(part, result=told)
        parts.append(part)
    return message if tuple(parts) == message.parts else replace(message, parts=tuple(parts))


_NAMES = "system|developer|user|assistant|tool|human|ai|System|Human|AI|Tool|User|Assistant"
_SPEAKER = re.compile(rf"^({_NAMES}): ", re.MULTILINE)


def transcript(text: str) -> list[Message]:
    """Messages that were flattened to `user: …` lines; anything else is what the user said."""
    marks = list(_SPEAKER.finditer(text))
    if not marks or marks[0].start() != 0:
        return [Message(role="user", parts=(Part(kind="text", text=text),))] if text else []
    made = []
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    for mark, end in zip(marks, ends, strict=True):
        said = text[mark.end() : end].removesuffix("\n")
        made.extend(_chat({"role": mark[1].lower(), "content": said}, ""))
    return made


def is_tool_definition(row: Any) -> bool:
    """A tool's definition posing as a message of the role `tool`, as LangGraph traces have it."""
    content = row.get("content") if isinstance(row, dict) else None
    if not isinstance(content, dict) or row.get("role") != "tool":
        return False
    inner = content.get("function", content)
    return (
        isinstance(inner, dict)
        and "name" in inner
        and ("parameters" in inner or "input_schema" in inner)
    )


def is_item(row: Any) -> bool:
    """An item of the Responses API that is part of a message, rather than one."""
    kind = row.get("type") if isinstance(row, dict) else None
    return isinstance(kind, str) and kind in _ITEMS


def _is_pydantic(row: Row) -> bool:
    return isinstance(row.get("parts"), list) and row.get("kind") in ("request", "response")


_SHAPES: tuple[tuple[Callable[[Row], bool], Callable[[Row, str], list[Message]]], ...] = (
    (lambda row: unwrapped(row) is not None, _langchain),
    (is_item, _item),
    (_is_pydantic, _pydantic),
    (lambda row: isinstance(row.get("parts"), list) and "role" in row, _parts),
    (lambda row: isinstance(row.get("message"), dict) and "role" not in row, _event),
    (lambda row: "role" in row, _chat),
    (lambda row: isinstance(row.get("source"), str) and "content" in row, _autogen),
)
