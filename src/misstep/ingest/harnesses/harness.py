"""What the formats of evaluation harnesses share: careful looks at values of any type, and parts.

In: what JSON decoding gave. Out: objects and lists to walk over, parts and messages; a `Misfit`
where something must be there and is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from misstep.ingest.format import Misfit
from misstep.ingest.messages import kind_of, text_or_none
from misstep.types import Message, Part, ToolCall, ToolResult

_OPENING = re.compile(r"(?:```[\w-]*|<(?:command|code)>)[ \t]*\r?\n?\Z")
_CLOSING = re.compile(r"\A\s*(?:```|</(?:command|code)>)")
_TRIES = 50
_NOTHING: Mapping[str, Any] = {}


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else _NOTHING


def items(value: Any) -> Sequence[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else ()


def object_at(value: Any, pointer: str) -> Mapping[str, Any]:
    """The value as an object.

    Raises:
        Misfit: it is none.
    """
    if not isinstance(value, dict):
        raise Misfit(pointer, f"expected an object, got {kind_of(value)}")
    return value


def list_at(value: Any, pointer: str) -> list[Any]:
    """The value as a list that is not empty.

    Raises:
        Misfit: it is no list, or an empty one.
    """
    if not isinstance(value, list) or not value:
        got = "an empty list" if isinstance(value, list) else kind_of(value)
        raise Misfit(pointer, f"expected a list, got {got}")
    return value


def rendered(value: Any) -> str:
    """A parsed value as JSON text; text stays as it is."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def text_part(text: Any, kind: str = "text") -> tuple[Part, ...]:
    """A text part, or none for an empty text."""
    if not isinstance(text, str) or not text:
        return ()
    return (Part(kind="reasoning" if kind == "reasoning" else "text", text=text),)


def call_part(call: ToolCall) -> Part:
    """A call as a part."""
    return Part(kind="call", call=call)


def tool_message(*results: ToolResult) -> Message:
    """A `tool` message; its origins and time are the caller's."""
    return Message(role="tool", parts=tuple(Part(kind="result", result=r) for r in results))


def response_parts(output: Any) -> tuple[Part, ...]:
    """The parts of an answer of OpenAI's Responses API."""
    parts: list[Part] = []
    calls = 0
    for item in items(output):
        body = mapping(item)
        kind = body.get("type")
        if kind == "function_call":
            call = ToolCall(
                name=str(body.get("name") or ""),
                arguments=rendered(body.get("arguments") or "{}"),
                index=calls,
                id=text_or_none(body.get("call_id")) or text_or_none(body.get("id")),
                verbatim=isinstance(body.get("arguments"), str),
            )
            parts.append(call_part(call))
            calls += 1
        elif kind in ("message", "reasoning"):
            blocks = body.get("content") if kind == "message" else body.get("summary")
            for block in items(blocks):
                parts.extend(text_part(mapping(block).get("text"), str(kind)))
    return tuple(parts)


def around(content: str, code: str) -> tuple[str, str, bool]:
    """What stands before and after the code of an answer, without its fences.

    Gives also whether the code stands there as it is. The last place behind an opening fence
    counts, else the last place at all; without one, all is before.
    """
    end, last = len(content), -1
    for _ in range(_TRIES if code.strip() else 0):
        at = content.rfind(code, 0, end)
        if at < 0:
            break
        last = max(at, last)
        if _OPENING.search(content[max(0, at - 60) : at]):
            last = at
            break
        end = at + len(code) - 1
    if last < 0:
        return content, "", False
    before = _OPENING.sub("", content[:last])
    after = _CLOSING.sub("", content[last + len(code) :])
    return before, after if after.strip() else "", True
