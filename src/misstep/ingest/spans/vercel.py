"""The Vercel AI SDK's own telemetry: `ai.prompt.messages`, `ai.response.*`, `ai.toolCall.*`.

In: the attributes of a `doGenerate` or `doStream` span (older names `ai.result.*` as well). Out:
history, answers and tools; calls keep the text that the provider sent.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from misstep.ingest.messages import text_or_none
from misstep.ingest.spans.facts import parsed
from misstep.ingest.spans.genai import Told, rows
from misstep.ingest.spans.history import Histories
from misstep.ingest.spans.rows import messages_of
from misstep.ingest.spans.span import Attributes, first
from misstep.types import Message

MESSAGES = "ai.prompt.messages"


def told(attributes: Attributes, histories: Histories, name: str) -> Told:
    """The messages of one request.

    Raises:
        Misfit: an attribute holds no messages.
    """
    history = rows(attributes.get(MESSAGES), histories, name)
    return history, answer(attributes)


def answer(attributes: Attributes) -> list[Message]:
    """The answer, if any of its content was captured."""
    text = first(attributes, "ai.response.text", "ai.result.text")
    made = first(attributes, "ai.response.object", "ai.result.object")
    thought = attributes.get("ai.response.reasoning")
    calls = first(attributes, "ai.response.toolCalls", "ai.result.toolCalls")
    if text is None and calls is None and made is None:
        return []
    listed = parsed(calls) if isinstance(calls, str) else calls
    row: dict[str, Any] = {
        "role": "assistant",
        "content": text if isinstance(text, str) and text else made,
        "tool_calls": [_call(c) for c in listed] if isinstance(listed, list) else [],
        "reasoning_content": thought,
    }
    reason = first(attributes, "ai.response.finishReason", "ai.finishReason")
    found = messages_of(row, "/ai.response")
    return [replace(message, finish_reason=text_or_none(reason)) for message in found]


def _call(call: Any) -> Any:
    """A call; its type says only how it is run."""
    return {k: v for k, v in call.items() if k != "type"} if isinstance(call, dict) else call
