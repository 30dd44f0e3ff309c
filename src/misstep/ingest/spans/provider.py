"""Requests and responses that a span keeps in the provider's own form.

In: the input and the output of a request as chat completions, as Responses items, as Anthropic
messages or as LangChain generations. Out: histories and answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

from msgspec.structs import replace

from misstep.ingest.format import Misfit
from misstep.ingest.messages import kind_of, text_or_none
from misstep.ingest.responses_items import (
    answer_parts,
    input_messages,
    input_rows,
    only_refuses,
)
from misstep.ingest.spans.genai import answer_rows
from misstep.ingest.spans.history import Histories, Keyed
from misstep.ingest.spans.results import dumped
from misstep.types import Message

_ITEMS = ("_call", "_output", "reasoning", "item_reference")


def history(value: Any, histories: Histories, pointer: str) -> list[Keyed]:
    """The messages that a request sent: text, chat rows, or Responses items.

    Raises:
        Misfit: they have no known shape.
    """
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return histories.listed([{"role": "user", "content": value}], pointer)
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise Misfit(pointer, f"expected messages, got {kind_of(value)}")
    if len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    if not any(_is_item(row) for row in value):
        return histories.listed(value, pointer)
    found: list[Keyed] = []
    for row, at in input_rows(value, pointer):
        digest = hashlib.blake2b(dumped(row).encode("utf-8", "surrogatepass"), digest_size=16)
        made = partial(input_messages, row, at)
        found.extend(histories.remembered(("responses", digest.digest()), made))
    return found


def _is_item(row: Any) -> bool:
    kind = row.get("type") if isinstance(row, dict) else None
    return isinstance(kind, str) and kind.endswith(_ITEMS)


def system(text: Any, histories: Histories) -> list[Keyed]:
    """Instructions that stand beside the messages."""
    if isinstance(text, list):
        return histories.listed([{"role": "system", "content": text}], "/system")
    if not isinstance(text, str) or not text:
        return []
    return histories.listed([{"role": "system", "content": text}], "/system")


def answers(value: Any, pointer: str) -> list[Message]:
    """The answers of a response.

    Raises:
        Misfit: a part of it has no known shape.
    """
    if isinstance(value, dict):
        return _answers(value, pointer)
    if isinstance(value, list) and value:
        if all(isinstance(row, dict) and isinstance(row.get("output"), list) for row in value):
            return [message for row in value for message in _answers(row, pointer)]
        if any(_is_item(row) for row in value):
            return [Message(role="assistant", parts=answer_parts(value, pointer))]
        if isinstance(value[0], list):
            value = value[0]
        return answer_rows(value, pointer.strip("/"))
    return answer_rows(value, pointer.strip("/")) if isinstance(value, str) and value else []


def _answers(value: Mapping[str, Any], pointer: str) -> list[Message]:
    listed = value.get("choices")
    if isinstance(listed, list):
        return [m for choice in listed for m in _choice(choice, pointer)]
    if isinstance(value.get("output"), list):
        parts = answer_parts(value["output"], f"{pointer}/output")
        status = text_or_none(value.get("status"))
        cut = value.get("incomplete_details")
        reason = text_or_none(cut.get("reason")) if isinstance(cut, dict) else None
        said = "refusal" if only_refuses(value["output"]) else status
        return [Message(role="assistant", parts=parts, finish_reason=reason or said)]
    listed = value.get("generations")
    if isinstance(listed, list):
        rows = listed[0] if listed and isinstance(listed[0], list) else listed
        return [m for row in rows for m in _generation(row, pointer)]
    if any(key in value for key in ("content", "parts", "tool_calls", "kwargs")):
        reason = text_or_none(value.get("stop_reason"))
        found = answer_rows({"role": "assistant", **value, "type": None}, pointer.strip("/"))
        return [replace(m, finish_reason=m.finish_reason or reason) for m in found]
    return []


def _choice(choice: Any, pointer: str) -> list[Message]:
    if not isinstance(choice, dict):
        raise Misfit(f"{pointer}/choices", f"expected a choice, got {kind_of(choice)}")
    said = choice.get("message")
    if said is None and "text" in choice:
        said = {"content": choice["text"]}
    if isinstance(said, dict):
        said = {"role": "assistant", **said}
    reason = text_or_none(choice.get("finish_reason"))
    found = answer_rows([said], f"{pointer.strip('/')}/choices")
    return [replace(message, finish_reason=reason) for message in found]


def _generation(row: Any, pointer: str) -> list[Message]:
    if not isinstance(row, dict):
        return []
    said = row.get("message", {"role": "assistant", "content": row.get("text")})
    info = row.get("generation_info")
    reason = text_or_none(info.get("finish_reason")) if isinstance(info, dict) else None
    found = answer_rows([said], f"{pointer.strip('/')}/generations")
    return [replace(message, finish_reason=message.finish_reason or reason) for message in found]
