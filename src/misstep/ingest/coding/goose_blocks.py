"""The content blocks of goose as parts.

In: one stored message's list of blocks. Out: its parts, its results, and an error that stands in
place of an answer. A call that goose could not read keeps what goose said of it, with the name and
the raw text where goose quotes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from misstep.chat import content_text
from misstep.ingest.format import Misfit
from misstep.ingest.messages import content_hash, inline, int_or_none, kind_of, text_or_none
from misstep.types import Part, ToolCall, ToolResult

_SHOWN = (
    *("toolConfirmationRequest", "actionRequired", "systemNotification", "jsonRenderSpec"),
    *("redactedThinking", "toolInputDelta"),
)
"""Blocks that only the user sees, or that nobody can read."""
_RAW = re.compile(r"Raw arguments: '(.*)'\s*$", re.S)
_NAME = re.compile(r"function name '(.{1,200}?)' had invalid|Tool arguments for (\S{1,200}) \(id ")
_DECLINED = "The user has declined to run this tool"


class Content(msgspec.Struct):
    """What one message holds."""

    parts: list[Part] = msgspec.field(default_factory=list)
    results: list[Part] = msgspec.field(default_factory=list)
    error: str | None = None

    @property
    def shown_only(self) -> bool:
        """True where nothing in it is the model's or was told to it."""
        return not self.parts and not self.results and self.error is None


def read_blocks(blocks: Any, pointer: str) -> Content:
    """All blocks of one message.

    Raises:
        Misfit: a block has no known shape.
    """
    if not isinstance(blocks, list):
        raise Misfit(pointer, f"expected a list of blocks, got {kind_of(blocks)}")
    content = Content()
    for index, block in enumerate(blocks):
        at = f"{pointer}/{index}"
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise Misfit(at, f"expected a typed content block, got {kind_of(block)}")
        _take(block, at, content)
    return content


def _take(block: Mapping[str, Any], at: str, content: Content) -> None:
    kind = block["type"]
    if kind in ("text", "thinking", "reasoning"):
        text = block.get("text" if kind in ("text", "reasoning") else "thinking")
        if not isinstance(text, str):
            raise Misfit(at, f"expected text, got {kind_of(text)}")
        if text:
            said = "text" if kind == "text" else "reasoning"
            content.parts.append(Part(kind="text" if said == "text" else "reasoning", text=text))
    elif kind in ("toolRequest", "frontendToolRequest"):
        index = sum(part.kind == "call" for part in content.parts)
        content.parts.append(Part(kind="call", call=_call(block, at, index)))
    elif kind == "toolResponse":
        content.results.append(Part(kind="result", result=_result(block, at)))
    elif kind == "error":
        content.error = text_or_none(block.get("message")) or "error"
    elif kind not in _SHOWN:  # images, documents, and what later versions may add, by their hash
        data = block.get("data")
        named = inline(block) or content_hash(str(data or block))
        content.parts.append(Part(kind="image", text=named))


def _call(block: Mapping[str, Any], at: str, index: int) -> ToolCall:
    held = block.get("toolCall")
    if not isinstance(held, dict):
        raise Misfit(f"{at}/toolCall", f"expected an object, got {kind_of(held)}")
    call_id = text_or_none(block.get("id"))
    if held.get("status") == "error":
        return _unread(text_or_none(held.get("error")) or "error", call_id, index)
    value = held.get("value", held)
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(name, str):
        raise Misfit(f"{at}/toolCall/value", f"a tool call without a name: {kind_of(name)}")
    given = value.get("arguments")
    return ToolCall(
        name=name,
        arguments=orjson.dumps({} if given is None else given).decode(),
        index=index,
        id=call_id,
        verbatim=False,
    )


def _unread(said: str, call_id: str | None, index: int) -> ToolCall:
    """A call that goose could not read; the name only where it quotes it."""
    raw, named = _RAW.search(said), _NAME.search(said)
    return ToolCall(
        name=(named[1] or named[2]) if named is not None else "",
        arguments=raw[1] if raw is not None else "{}",
        index=index,
        id=call_id,
        verbatim=raw is not None,
        fault=said,
    )


def _result(block: Mapping[str, Any], at: str) -> ToolResult:
    held = block.get("toolResult")
    if not isinstance(held, dict):
        raise Misfit(f"{at}/toolResult", f"expected an object, got {kind_of(held)}")
    call_id = text_or_none(block.get("id"))
    if held.get("status") == "error":
        said = held.get("error")
        text = said if isinstance(said, str) else orjson.dumps(said).decode()
        return ToolResult(text=text, call_id=call_id, is_error=True)
    value = held.get("value")
    inside = value if isinstance(value, dict) else {"content": value}
    flag, extra = inside.get("isError"), inside.get("structuredContent")
    text = content_text(inside.get("content"))
    declined = text.startswith(_DECLINED)
    code = int_or_none(extra.get("exit_code")) if isinstance(extra, dict) else None
    return ToolResult(
        text=text,
        call_id=call_id,
        is_error=True if declined else flag if isinstance(flag, bool) else None,
        cause="human" if declined else None,
        exit_code=code,
    )
