"""Anthropic content blocks to parts and messages; shared by the formats that hold them.

In: `content` as text or as a list of typed blocks. Out: parts; a user message with tool results
falls into a `tool` message and a `user` message, in the order of its blocks. Tool input is kept as
a parsed object by these logs, so its text is our rendering (`verbatim=False`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import orjson

from misstep.chat import content_text
from misstep.ingest.format import Misfit
from misstep.ingest.messages import content_hash, inline, kind_of, text_or_none
from misstep.types import Message, Part, ToolCall, ToolResult

RAW_INPUT = "misstep_raw_input"
"""Key under which a joined stream keeps the argument text exactly as it came."""


def assistant_parts(content: Any, pointer: str, *, first_call: int = 0) -> tuple[Part, ...]:
    """The parts of an assistant's content.

    Raises:
        Misfit: a block has no known shape.
    """
    parts: list[Part] = []
    calls = first_call
    for at, block in _blocks(content, pointer):
        part = _answer_part(block, at, calls)
        if part is not None:
            calls += part.kind == "call"
            parts.append(part)
    return tuple(parts)


def _answer_part(block: Mapping[str, Any], at: str, calls: int) -> Part | None:
    kind = block["type"]
    if kind == "thinking":
        thought = text_or_none(block.get("thinking"))
        return Part(kind="reasoning", text=thought) if thought else None
    if kind == "redacted_thinking":
        return None
    if kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
        return Part(kind="call", call=_call(block, at, calls))
    if kind.endswith("_tool_result"):
        return Part(kind="result", result=result_of(block))
    return _shared_part(block, at)


def _call(block: Mapping[str, Any], at: str, index: int) -> ToolCall:
    name = block.get("name")
    if not isinstance(name, str):
        raise Misfit(f"{at}/name", f"a tool call without a name: {kind_of(name)}")
    raw, whole = block.get(RAW_INPUT), True
    if not isinstance(raw, str):
        raw, whole = _unparsed(block.get("input"))
    return ToolCall(
        name=name,
        arguments=raw if isinstance(raw, str) else orjson.dumps(block.get("input", {})).decode(),
        index=index,
        id=text_or_none(block.get("id")),
        kind="function" if block["type"] == "tool_use" else "hosted",
        verbatim=isinstance(raw, str) and whole,
    )


def _unparsed(given: Any) -> tuple[str | None, bool]:
    """The text that Claude Code keeps of an input that is no JSON, and whether it is all of it."""
    kept = given.get("__unparsedToolInput") if isinstance(given, dict) else None
    if not isinstance(kept, dict):
        return None, False
    raw, length = text_or_none(kept.get("raw")), kept.get("len")
    return raw, raw is not None and length in (len(raw), len(raw.encode("utf-8", "replace")), None)


def result_of(block: Mapping[str, Any], hint: str | None = None) -> ToolResult:
    """A `tool_result` block, or the result block of a hosted tool."""
    content = block.get("content")
    flag = block.get("is_error")
    code = content.get("error_code") if isinstance(content, dict) else None
    return ToolResult(
        text=_result_text(content),
        call_id=text_or_none(block.get("tool_use_id")),
        is_error=flag if isinstance(flag, bool) else True if code else None,
        hint=hint if hint is not None else text_or_none(code),
    )


def _result_text(content: Any) -> str:
    """The texts of a result, block below block; what is no text is kept by its hash."""
    pieces = list(_pieces(content)) if isinstance(content, list) else []
    return "\n".join(pieces) if pieces else content_text(content)


def _pieces(content: list[Any]) -> Iterator[str]:
    for block in content:
        if not isinstance(block, dict):
            continue
        source = block.get("source")
        if isinstance(block.get("text"), str):
            yield block["text"]
        elif isinstance(source, dict):
            yield text_or_none(source.get("url")) or content_hash(str(source.get("data") or source))


def _shared_part(block: Mapping[str, Any], at: str) -> Part | None:
    """Blocks that both sides may hold: text, images, documents; others are kept by hash."""
    if block["type"] == "text":
        text = block.get("text")
        if not isinstance(text, str):
            raise Misfit(f"{at}/text", f"expected text, got {kind_of(text)}")
        return Part(kind="text", text=text) if text else None
    source = block.get("source")
    if isinstance(source, dict):
        url = text_or_none(source.get("url"))
        named = url or inline(source) or content_hash(str(source.get("data") or source))
        return Part(kind="image", text=named)
    return Part(kind="image", text=inline(block) or content_hash(orjson.dumps(block).decode()))


def user_messages(content: Any, pointer: str, *, hint: str | None = None) -> Iterator[Message]:
    """The messages in a user's content: `tool` for runs of results, `user` for the rest.

    Raises:
        Misfit: a block has no known shape.
    """
    found = list(_blocks(content, pointer))
    for is_result, run in groupby(found, key=lambda entry: entry[1]["type"] == "tool_result"):
        if is_result:
            results = (result_of(block, hint) for _, block in run)
            yield Message(role="tool", parts=tuple(Part(kind="result", result=r) for r in results))
        else:
            shared = (_shared_part(block, at) for at, block in run)
            yield Message(role="user", parts=tuple(p for p in shared if p is not None))


def _blocks(content: Any, pointer: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(content, str):
        yield pointer, {"type": "text", "text": content}
        return
    if not isinstance(content, list):
        raise Misfit(pointer, f"content: expected text or a list of blocks, got {kind_of(content)}")
    for index, block in enumerate(content):
        at = f"{pointer}/{index}"
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise Misfit(at, f"expected a typed content block, got {kind_of(block)}")
        yield at, block
