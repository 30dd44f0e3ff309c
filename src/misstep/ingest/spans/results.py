"""Results of tools as traces spell them, and the text of values that are none.

In: a part or a message that gives a result back, in any framework's form. Out: a `result` part with
its call id, its text and its error flag, where the form has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from misstep.ingest.spans.span import first, text_at
from misstep.types import Part, ToolResult


def dumped(value: Any) -> str:
    """A value as JSON text; text as it is."""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # nested too deep, or an integer beyond 64 bit
        return str(value)


_IDS = ("id", "tool_call_id", "toolCallId", "tool_use_id", "toolUseId", "call_id", "callId")


def id_of(entry: Mapping[str, Any]) -> str | None:
    """The id of a call or of what answers it."""
    return next((v for k in _IDS if isinstance(v := entry.get(k), str) and v), None)


def result_part(entry: Mapping[str, Any], content: Any) -> Part:
    """The result that a part or a message holds; its content, if that is known already."""
    keys = ("toolResult", "functionResponse", "function_response")
    inner = next((entry[k] for k in keys if isinstance(entry.get(k), dict)), entry)
    if content is None:
        names = ("response", "result", "output", "content", "server_tool_call_response", "error")
        content = first(inner, *names)
    return Part(
        kind="result",
        result=ToolResult(
            text=text_of(content),
            call_id=_call_id(inner) or _call_id(entry),
            name=text_at(inner, "name", "toolName", "tool_name"),
            is_error=_flag(inner, content),
        ),
    )


def _call_id(entry: Mapping[str, Any]) -> str | None:
    """The call that a result answers; LangChain gives its messages ids of their own."""
    return id_of({key: value for key, value in entry.items() if key != "id"}) or id_of(entry)


def _flag(entry: Mapping[str, Any], content: Any) -> bool | None:
    if entry.get("type") == "tool-error":
        return True
    for key in ("is_error", "isError"):
        if isinstance(entry.get(key), bool):
            return bool(entry[key])
    if text_at(entry, "status") in ("error", "success"):
        return entry.get("status") == "error"
    if isinstance(content, dict) and isinstance(content.get("type"), str):
        return True if content["type"].startswith("error-") else None
    return None


def text_of(content: Any) -> str:
    """The text of a tool's result; what is no text is written as JSON."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, dict) and set(content) == {"type", "value"}:
        return dumped(content["value"])
    if isinstance(content, list) and content:
        texts = [p.get("text") for p in content if isinstance(p, dict)]
        if len(texts) == len(content) and all(isinstance(t, str) for t in texts):
            return "".join(str(t) for t in texts)
    return dumped(content)
