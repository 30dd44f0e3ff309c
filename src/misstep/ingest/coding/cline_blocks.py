"""Messages as newer versions of Roo store them (`{"version": 2, "messages": …}`), in older form.

In: one stored message with `tool-call`, `tool-result` and `reasoning` parts. Out: the same message
with Anthropic blocks, results in a user's message; any other message as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

_NEWER = ("tool-call", "tool-result", "reasoning")


def older(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message with Anthropic blocks."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    newer = any(isinstance(b, dict) and b.get("type") in _NEWER for b in content)
    if not newer and message.get("role") != "tool":
        return message
    role = "user" if message.get("role") == "tool" else message.get("role")
    return {**message, "role": role, "content": [_block(block) for block in content]}


def _block(block: Any) -> Any:
    if not isinstance(block, dict):
        return block
    kind = block.get("type")
    if kind == "reasoning":
        return {"type": "thinking", "thinking": block.get("text")}
    if kind == "tool-call":
        named = {"id": block.get("toolCallId"), "name": block.get("toolName")}
        return {"type": "tool_use", **named, "input": block.get("input")}
    if kind != "tool-result":
        return block
    text = _text(block.get("output"))
    return {
        "type": "tool_result",
        "tool_use_id": block.get("toolCallId"),
        "name": block.get("toolName"),
        "content": text,
        "is_error": True if text.lstrip().startswith("[ERROR]") else None,
    }


def _text(output: Any) -> str:
    """The text of an output: itself, its `value`, or the values of a list."""
    if isinstance(output, dict) and "value" in output:
        output = output["value"]
    if isinstance(output, list):
        held = [part.get("value", part.get("text")) for part in output if isinstance(part, dict)]
        texts = [text for text in held if isinstance(text, str)]
        if texts:
            return "".join(texts)
    return output if isinstance(output, str) else orjson.dumps(output).decode()
