"""Items of the OpenAI Responses API to messages; shared by the formats that hold such items.

In: `input` and `output` items. Out: parts and messages. All that one response put out (reasoning,
text, calls, the provider's own calls with what came of them) is one assistant message; where a
later request repeats it, the run of such items is one again. Calls carry their `call_id`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from misstep.chat import content_text
from misstep.ingest.format import Misfit
from misstep.ingest.messages import content_hash, inline, kind_of, text_or_none
from misstep.types import Message, Part, Role, ToolCall, ToolResult

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_SAID = ("reasoning", "item_reference", "mcp_list_tools", "mcp_approval_request", "compaction")
_ASKED = ("arguments", "input", "action", "operation", "code", "queries", "query", "prompt")
"""Fields of a hosted call that say what it does, the first that is there wins."""
_TOLD = ("output", "error", "outputs", "results", "result", "tools")


def item_type(item: Any) -> str:
    """The type of an item; a bare message has none.

    Raises:
        Misfit: it is no object.
    """
    if not isinstance(item, dict):
        raise Misfit("", f"expected an item object, got {kind_of(item)}")
    kind = item.get("type")
    return kind if isinstance(kind, str) else "message" if "role" in item else ""


def is_answer_item(item: Any) -> bool:
    """Whether the model, or the provider on its behalf, put out an item."""
    if not isinstance(item, dict):
        return False
    kind = item_type(item)
    if kind == "message":
        return item.get("role") == "assistant"
    if kind == "tool_search_output":
        return item.get("execution") != "client"
    return kind in _SAID or kind.endswith("_call")


def answer_parts(items: Sequence[Any], pointer: str) -> tuple[Part, ...]:
    """The parts of what a response put out.

    Raises:
        Misfit: an item has no known shape.
    """
    parts: list[Part] = []
    calls = 0
    for at, item in enumerate(items):
        for part in _parts(item, f"{pointer}/{at}", calls):
            calls += part.kind == "call"
            parts.append(part)
    return tuple(parts)


def _parts(item: Any, at: str, calls: int) -> Iterator[Part]:
    kind = item_type(item)
    if kind == "message":
        yield from message_parts(item.get("content"), f"{at}/content")
    elif kind == "reasoning":
        yield from _thoughts(item)
    elif kind == "function_call":
        yield Part(kind="call", call=_function(item, at, calls))
    elif kind == "custom_tool_call":
        yield Part(kind="call", call=_custom(item, at, calls))
    elif kind.endswith("_call"):
        yield Part(kind="call", call=_hosted(item, kind, calls))
        if any(item.get(name) for name in _TOLD):
            yield Part(kind="result", result=_hosted_result(item, kind))
    elif kind.endswith("_output"):
        yield Part(kind="result", result=result_of(item))


def message_parts(content: Any, at: str) -> Iterator[Part]:
    """The parts of a message's content: text, refusals, and hashes of all else."""
    if isinstance(content, str):
        content = [{"text": content}] if content else []
    if content is None:
        return
    if not isinstance(content, list):
        raise Misfit(at, f"content: expected text or a list of parts, got {kind_of(content)}")
    for piece in content:
        if not isinstance(piece, dict):
            raise Misfit(at, f"expected a content part, got {kind_of(piece)}")
        text = piece.get("text", piece.get("refusal"))
        if isinstance(text, str):
            if text:
                yield Part(kind="text", text=text)
            continue
        url = piece.get("image_url", piece.get("file_url", piece.get("file_id")))
        short = isinstance(url, str) and not url.startswith("data:")
        plain = url if short else inline(piece) or content_hash(orjson.dumps(piece).decode())
        yield Part(kind="image", text=str(plain))


def only_refuses(items: Sequence[Any]) -> bool:
    """Whether all that a response says is a refusal."""
    pieces = [
        piece
        for item in items
        if isinstance(item, dict) and isinstance(item.get("content"), list)
        for piece in item["content"]
        if isinstance(piece, dict) and item.get("type") == "message"
    ]
    return bool(pieces) and all(piece.get("type") == "refusal" for piece in pieces)


def _thoughts(item: Mapping[str, Any]) -> Iterator[Part]:
    for name in ("content", "summary"):
        pieces = item.get(name)
        texts = [
            text
            for piece in (pieces if isinstance(pieces, list) else ())
            if isinstance(piece, dict) and (text := text_or_none(piece.get("text")))
        ]
        if texts:
            yield Part(kind="reasoning", text="\n\n".join(texts))
            return


def _function(item: Mapping[str, Any], at: str, index: int) -> ToolCall:
    name = item.get("name")
    if not isinstance(name, str):
        raise Misfit(f"{at}/name", f"a function call without a name: {kind_of(name)}")
    arguments = item.get("arguments")
    verbatim = isinstance(arguments, str)
    rendered = arguments if isinstance(arguments, str) else orjson.dumps(arguments or {}).decode()
    return ToolCall(
        name=name, arguments=rendered, index=index, id=_call_id(item), verbatim=verbatim
    )


def _custom(item: Mapping[str, Any], at: str, index: int) -> ToolCall:
    name = item.get("name")
    if not isinstance(name, str):
        raise Misfit(f"{at}/name", f"a custom tool call without a name: {kind_of(name)}")
    written = item.get("input")
    return ToolCall(
        name=name,
        arguments=written if isinstance(written, str) else orjson.dumps(written).decode(),
        index=index,
        id=_call_id(item),
        kind="custom",
        syntax="text",
        verbatim=isinstance(written, str),
    )


def _hosted(item: Mapping[str, Any], kind: str, index: int) -> ToolCall:
    asked: Any = next((item[name] for name in _ASKED if item.get(name) is not None), {})
    code = isinstance(item.get("code"), str) and asked == item.get("code")
    return ToolCall(
        name=text_or_none(item.get("name")) or kind.removesuffix("_call"),
        arguments=asked if isinstance(asked, str) else orjson.dumps(asked).decode(),
        index=index,
        id=_call_id(item),
        kind="hosted",
        syntax="code" if code else "json",
        verbatim=isinstance(asked, str),
    )


def _hosted_result(item: Mapping[str, Any], kind: str) -> ToolResult:
    told = next(item[name] for name in _TOLD if item.get(name))
    failed = bool(item.get("error")) or item.get("status") == "failed"
    return ToolResult(
        text=content_hash(str(told)) if kind == "image_generation_call" else content_text(told),
        call_id=_call_id(item),
        is_error=True if failed else None,
    )


def _call_id(item: Mapping[str, Any]) -> str | None:
    return text_or_none(item.get("call_id")) or text_or_none(item.get("id"))


def result_of(item: Mapping[str, Any]) -> ToolResult:
    """What the client gives back for a call: text, or a list of content parts."""
    told = next((item[name] for name in _TOLD if item.get(name) is not None), None)
    outcome = item.get("outcome")
    code = outcome.get("exit_code") if isinstance(outcome, dict) else None
    return ToolResult(
        text=content_text(told),
        call_id=text_or_none(item.get("call_id")),
        is_error=True if item.get("status") == "failed" else None,
        exit_code=code if isinstance(code, int) and abs(code) < 2**31 else None,
    )


def input_messages(row: Any, pointer: str) -> list[Message]:
    """The messages of one row of `input_rows`.

    Raises:
        Misfit: an item has no known shape.
    """
    if isinstance(row, list):
        return [Message(role="assistant", parts=answer_parts(row, pointer))]
    kind = item_type(row)
    if kind == "message":
        role = row.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise Misfit(f"{pointer}/role", f"unknown role {role!r}")
        parts = tuple(message_parts(row.get("content"), f"{pointer}/content"))
        return [Message(role=_ROLES[role], parts=parts)]
    if kind.endswith("_output"):
        return [Message(role="tool", parts=(Part(kind="result", result=result_of(row)),))]
    if kind in ("additional_tools", "mcp_approval_response", "compaction_trigger"):
        return []
    raise Misfit(f"{pointer}/type", f"unknown item type {kind!r}")


def input_rows(items: Sequence[Any], pointer: str) -> Iterator[tuple[Any, str]]:
    """Items as the rows of messages: a run of what the model put out is one row, a list."""
    run: list[Any] = []
    start = 0
    for at, item in enumerate(items):
        if is_answer_item(item):
            start = start if run else at
            run.append(item)
            continue
        if run:
            yield run, f"{pointer}/{start}"
            run = []
        yield item, f"{pointer}/{at}"
    if run:
        yield run, f"{pointer}/{start}"
