"""Chat dicts to messages with a strict eye on their shape, and small readers of plain values.

In: what a log holds where a message should stand. Out: `Message` values with their origin, or a
`Misfit` that names the JSON pointer of what does not fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from misstep.chat import content_hash as content_hash
from misstep.chat import content_parts, from_chat
from misstep.ingest.format import Misfit, Record
from misstep.ingest.images import inline as inline
from misstep.ingest.images import resolved
from misstep.types import Message, Part, Usage


def chat_message(row: Any, pointer: str) -> Message:
    """One chat dict as a message.

    Raises:
        Misfit: it has no chat form.
    """
    if not isinstance(row, dict):
        raise Misfit(pointer, f"expected a message object, got {kind_of(row)}")
    content = row.get("content")
    if content is not None and not isinstance(content, (str, list)):
        said = f"content: expected text or a list of parts, got {kind_of(content)}"
        raise Misfit(f"{pointer}/content", said)
    try:
        message = from_chat(row)
    except ValueError as error:
        raise Misfit(pointer, str(error)) from None
    if message.role == "assistant" and (seen := attached(row, message.parts)):
        return replace(message, parts=(*message.parts, *seen))
    if not any(part.kind == "image" for part in message.parts):
        return message
    return replace(message, parts=tuple(map(resolved, message.parts)))


def attached(row: Mapping[str, Any], said: Sequence[Part]) -> tuple[Part, ...]:
    """The sound and the pictures beside an assistant's content, where it holds no more than
    reasoning: a spoken or drawn answer is not empty."""
    if any(part.kind != "reasoning" for part in said):
        return ()
    sound, pictures = sound_of(row.get("audio")), row.get("images")
    spoken = () if sound is None else (Part(kind="image", text=content_hash(sound)),)
    drawn = shown(pictures) if isinstance(pictures, list) else ()
    return (*spoken, *(part for part in drawn if part.kind == "image"))


def sound_of(audio: Any) -> str | None:
    """What names a spoken answer: its id, which is all that a later request repeats of it."""
    if not isinstance(audio, Mapping):
        return text_or_none(audio)
    told = (text_or_none(audio.get(key)) for key in ("id", "data", "transcript"))
    return next((text for text in told if text), None)


def shown(content: Any) -> Iterator[Part]:
    """Text and image parts of a chat `content`, images under their names."""
    return map(resolved, content_parts(content))


def place(record: Record, pointer: str) -> str:
    """A pointer inside a record as a pointer inside its document."""
    return f"{record.origin.pointer or ''}{pointer}"


def kind_of(value: Any) -> str:
    """The JSON name of a value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an object" if isinstance(value, dict) else "a list"


def text_or_none(value: Any) -> str | None:
    """The value if it is a string that is not empty."""
    return value if isinstance(value, str) and value else None


def number_or_none(value: Any) -> float | None:
    """The value if it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def int_or_none(value: Any) -> int | None:
    """The value if it is an integer that fits 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -(2**63) <= value < 2**63 else None


def usage_of(usage: Any) -> Usage | None:
    """Token counts in OpenAI or Anthropic spelling."""
    if not isinstance(usage, dict):
        return None
    return Usage(
        input_tokens=_count(usage, ("prompt_tokens", "input_tokens")),
        output_tokens=_count(usage, ("completion_tokens", "output_tokens")),
    )


def _count(usage: Mapping[str, Any], names: Sequence[str]) -> int | None:
    for name in names:
        count = int_or_none(usage.get(name))
        if count is not None:
            return count
    return None


def unix_time(value: Any) -> float | None:
    """Seconds since 1970 from a number of seconds or milliseconds, or from an ISO text."""
    number = number_or_none(value)
    if number is not None:
        return number / 1000 if number > 1e11 else number
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError):
        return None
