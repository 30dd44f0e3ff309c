"""LangChain messages in each of their serialised forms.

In: the constructor form `{"lc", "type": "constructor", "id": […, "AIMessage"], "kwargs"}`
(`dumps`), `{"type": "ai", "data": {…}}` (`messages_to_dict`), or the plain fields with a `type`
(`model_dump`). Out: one `Message`. Argument text is taken from where it is verbatim:
`additional_kwargs.tool_calls`, `tool_call_chunks`, or blocks of the Responses API; LangChain's own
`tool_calls` hold parsed objects. A call in `invalid_tool_calls` did not parse: it keeps its raw
text and the parser's error as its `fault`. A ToolMessage's status `error` is kept as the flag; its
`success` is the default of the class and says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from misstep.ingest.format import Misfit
from misstep.ingest.messages import attached, kind_of, text_or_none, usage_of
from misstep.ingest.traces.framework_parts import call_of, numbered, piece, pieces, result_part
from misstep.types import Message, Part, Role, ToolCall, Usage

Body = Mapping[str, Any]

_KINDS: dict[str, Role] = {
    "human": "user",
    "ai": "assistant",
    "system": "system",
    "tool": "tool",
    "function": "tool",
    "HumanMessage": "user",
    "AIMessage": "assistant",
    "SystemMessage": "system",
    "ToolMessage": "tool",
    "FunctionMessage": "tool",
    "HumanMessageChunk": "user",
    "AIMessageChunk": "assistant",
    "SystemMessageChunk": "system",
    "ToolMessageChunk": "tool",
    "FunctionMessageChunk": "tool",
}
_CHAT: dict[str, Role] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
}


def unwrapped(row: Any) -> tuple[Role, Body] | None:
    """The role and the fields of a LangChain message; None for anything else."""
    if not isinstance(row, dict):
        return None
    kind: Any = row.get("type")
    body: Any = row
    if row.get("lc") is not None and kind == "constructor":
        ids = row.get("id")
        kind = ids[-1] if isinstance(ids, list) and ids else None
        body = row.get("kwargs")
    elif isinstance(row.get("data"), dict) and "content" in row["data"]:
        body = row["data"]
    if not isinstance(body, dict) or not isinstance(kind, str) or "content" not in body:
        return None
    if kind in ("chat", "ChatMessage", "ChatMessageChunk"):
        role = body.get("role")
        return (_CHAT.get(role, "user"), body) if isinstance(role, str) else None
    known = _KINDS.get(kind)
    return None if known is None or isinstance(body.get("role"), str) else (known, body)


def langchain_message(row: Any, pointer: str) -> Message:
    """One message.

    Raises:
        Misfit: it has none of the forms.
    """
    found = unwrapped(row)
    if found is None:
        raise Misfit(pointer, f"expected a LangChain message, got {kind_of(row)}")
    role, body = found
    if role == "tool":
        failed = True if body.get("status") == "error" else None
        result = result_part(
            body.get("content"), body.get("tool_call_id"), name=body.get("name"), flag=failed
        )
        return Message(role="tool", parts=(result,))
    if role != "assistant":
        return Message(role=role, parts=tuple(pieces(body.get("content"))))
    meta = _mapping(body.get("response_metadata"))
    return Message(
        role="assistant",
        parts=tuple(_answer_parts(body)),
        finish_reason=_finish(meta),
        model=text_or_none(meta.get("model_name")) or text_or_none(meta.get("model")),
        usage=_usage(body, meta),
    )


def stated(value: Any) -> Iterator[Message]:
    """The messages that a step of a graph put out: a message, a list, a state, or updates of one.

    Anything that is no LangChain message is left out.
    """
    rows = value if isinstance(value, list) else [value]
    for row in rows:
        inner = row.get("update") if isinstance(row, dict) else None
        held = inner if isinstance(inner, dict) else row
        listed = held.get("messages") if isinstance(held, dict) else None
        for entry in listed if isinstance(listed, list) else [held]:
            if unwrapped(entry) is not None:
                yield langchain_message(entry, "")


def _answer_parts(body: Body) -> list[Part]:
    extra = _mapping(body.get("additional_kwargs"))
    thought = text_or_none(extra.get("reasoning_content"))
    parts = [Part(kind="reasoning", text=thought)] if thought else []
    content = body.get("content")
    listed = content if isinstance(content, list) else [content]
    calls = _calls(body, extra)
    for block in listed:
        part = piece(block)
        if part is None:
            continue
        if part.call is not None:
            part = replace(part, call=_merged(part.call, calls))
        parts.append(part)
    parts.extend(Part(kind="call", call=call) for call in calls)
    if not parts and text_or_none(extra.get("refusal")):
        parts.append(Part(kind="text", text=extra["refusal"]))
    return numbered([*parts, *attached(extra, parts)])


def _merged(call: ToolCall, calls: list[ToolCall]) -> ToolCall:
    """A call that the content holds too; the entry leaves the list, verbatim text wins."""
    for other in calls:
        if other.name == call.name and (call.id is None or other.id == call.id):
            calls.remove(other)
            kept = call if call.verbatim and not other.verbatim else other
            return replace(kept, fault=other.fault or call.fault, kind=call.kind)
    return call


def _calls(body: Body, extra: Body) -> list[ToolCall]:
    """The calls of the message, in the order of the first list that holds them."""
    raw = [_raw(entry) for entry in _list(extra.get("tool_calls"))]
    legacy = extra.get("function_call")
    if isinstance(legacy, dict) and not raw:
        raw = [_raw({"function": legacy})]
    raw = raw or [_flat(entry) for entry in _list(body.get("tool_call_chunks"))]
    invalid = [
        replace(_flat(entry), fault=text_or_none(entry.get("error")) or "did not parse")
        for entry in _list(body.get("invalid_tool_calls"))
    ]
    if not raw:
        return [*(_flat(entry) for entry in _list(body.get("tool_calls"))), *invalid]
    faults = {call.id: call.fault for call in invalid}
    return [replace(call, fault=faults.get(call.id)) for call in raw]


def _raw(entry: Body) -> ToolCall:
    part = piece({"type": "function", **entry})
    return part.call if part is not None and part.call is not None else call_of("", {})


def _flat(entry: Body) -> ToolCall:
    return call_of(entry.get("name"), entry.get("args"), entry.get("id"))


def _finish(meta: Body) -> str | None:
    names = ("finish_reason", "stop_reason", "done_reason", "finishReason", "stopReason")
    found = next((meta[n] for n in names if isinstance(meta.get(n), str) and meta[n]), None)
    if found is None and isinstance(meta.get("status"), str) and meta.get("object") == "response":
        return text_or_none(meta["status"])
    return found


def _usage(body: Body, meta: Body) -> Usage | None:
    return usage_of(body.get("usage_metadata")) or usage_of(meta.get("token_usage"))


def _mapping(value: Any) -> Body:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Body]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []
