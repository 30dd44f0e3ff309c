"""Small conversations built by hand, shared by the tests of several rooms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from misstep import mine, validate
from misstep.chat import from_chat, tool_from_chat
from misstep.config import MineConfig, ValidateConfig
from misstep.types import Context, Message, Origin, Session, content_id

SETTINGS = validate.settings(ValidateConfig())
TRAIN_ONLY = MineConfig(heldout=0.0, dev=0.0, supported_values=False, min_votes=1)
"""Nothing held out, and one clean answer is enough."""

WEATHER = {
    "name": "weather",
    "description": "Weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "unit": {"enum": ["celsius", "fahrenheit"]},
        },
        "required": ["city"],
        "additionalProperties": False,
    },
}
BOOKING = {
    "name": "book",
    "parameters": {
        "type": "object",
        "properties": {"room": {"type": "string"}, "nights": {"type": "integer"}},
        "required": ["room", "nights"],
    },
}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def called(name: str, arguments: Any, text: str = "", **more: Any) -> dict[str, Any]:
    """One call; arguments as an object or as raw text."""
    raw = arguments if isinstance(arguments, str) else json.dumps(arguments)
    call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": raw}}
    return {"role": "assistant", "content": text, "tool_calls": [call], **more}


def result(text: str, *, error: bool | None = None) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": "c1", "content": text, "is_error": error}


def message(row: Mapping[str, Any], at: int = 0, *, context: int | None = None) -> Message:
    """A chat row as a message; `finish_reason`, `model`, `time` and `actor` may stand in it."""
    extra = {k: row[k] for k in ("finish_reason", "model", "time", "actor", "end") if k in row}
    origin = Origin(file="log.jsonl", format="test", line=at + 1)
    return replace(from_chat(row), context=context, origins=(origin,), **extra)


def session(
    *rows: Mapping[str, Any],
    tools: Sequence[Mapping[str, Any]] = (WEATHER, BOOKING),
    schema: Mapping[str, Any] | None = None,
    tool_choice: str | None = None,
    **more: Any,
) -> Session:
    """A session over chat rows, each step under the same request."""
    context = Context(
        tools=tuple(tool_from_chat(tool) for tool in tools),
        response_schema=None if schema is None else json.dumps(schema),
        tool_choice=tool_choice,
    )
    messages = tuple(
        message(row, at, context=0 if row["role"] == "assistant" else None)
        for at, row in enumerate(rows)
    )
    name = content_id(
        json.dumps([rows, [t["name"] for t in tools], schema, tool_choice, str(more)])
    )
    return Session(
        **{"id": name, "format": "test", "messages": messages, "contexts": (context,), **more}
    )


def corpus(*sessions: Session) -> mine.Corpus:
    return mine.gather(sessions, [validate.validate(s, SETTINGS) for s in sessions])


def mined(
    *sessions: Session, config: MineConfig = TRAIN_ONLY, seed: int = 0, **more: Any
) -> mine.Mined:
    """Everything that these sessions give, nothing held out unless the config says so."""
    found = corpus(*sessions)
    split = mine.split(found.sessions, config, seed)
    return mine.mine(found, split=split, config=config, settings=SETTINGS, **more)


def calls_of(answer: Message) -> list[tuple[str, str]]:
    return [(call.name, call.arguments) for call in answer.calls]
