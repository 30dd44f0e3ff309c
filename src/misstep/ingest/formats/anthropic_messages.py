"""Anthropic Messages: request/response pairs, as two fields, merged, or line by line.

Kept: system, messages, tools, every block, stop reason, model, usage, error flags of tool results;
streams joined. Tool input is a parsed object in these logs, so broken JSON cannot be seen, except
in streams. There is no time in the body.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from misstep.ingest.blocks import assistant_parts, user_messages
from misstep.ingest.echo import Echoes, Skimmer
from misstep.ingest.exchange import error_text, has_roles, traffic
from misstep.ingest.format import Misfit, Record
from misstep.ingest.formats.openai_chat import (
    is_request,
    looks_anthropic,
    looks_converse,
    looks_openai,
)
from misstep.ingest.halves import Body, Exchange, Provider, joined_by, path_keys
from misstep.ingest.messages import kind_of, place, text_or_none, usage_of
from misstep.ingest.prefill import ends_with_assistant
from misstep.ingest.stream import CUT, join_message
from misstep.types import Message


def is_answer(body: Body) -> bool:
    """A message or an error body."""
    if body.get("type") == "error":
        return isinstance(body.get("error"), dict)
    return isinstance(body.get("content"), list) and (
        body.get("type") == "message" or "stop_reason" in body
    )


def _rows(request: Body) -> Iterator[tuple[Any, str]]:
    if request.get("system"):
        yield {"role": "system", "content": request["system"]}, "/system"
    for index, row in enumerate(request.get("messages") or ()):
        yield row, f"/messages/{index}"


def _turns(row: Any, pointer: str) -> list[Message]:
    if not isinstance(row, dict):
        raise Misfit(pointer, f"expected a message object, got {kind_of(row)}")
    role, content, at = row.get("role"), row.get("content"), f"{pointer}/content"
    if role == "assistant":
        return [Message(role="assistant", parts=assistant_parts(content, at))]
    if role == "user":
        return list(user_messages(content, at))
    if role == "system":
        return [replace(message, role="system") for message in user_messages(content, at)]
    said = f"unknown role {role!r}; expected user, assistant or system"
    raise Misfit(f"{pointer}/role", said)


def _answers(exchange: Exchange, record: Record) -> list[Message]:
    body, at = exchange.response, exchange.response_at
    request = exchange.request or {}
    origins = (record.at(place(record, at)),)
    asked = text_or_none(request.get("model"))
    if isinstance(body, str) or (isinstance(body, dict) and body.get("type") == "error"):
        said = body if isinstance(body, str) else body.get("error")
        text = error_text(said, exchange.status)
        return [Message(role="assistant", actor="agent", error=text, model=asked, origins=origins)]
    if not isinstance(body, dict):
        raise Misfit(at, f"expected a response object, got {kind_of(body)}")
    return [
        Message(
            role="assistant",
            parts=assistant_parts(body.get("content"), f"{at}/content"),
            actor="agent",
            finish_reason=text_or_none(body.get("stop_reason")),
            end="cut" if body.get(CUT) else "complete",
            model=text_or_none(body.get("model")) or asked,
            usage=usage_of(body.get("usage")),
            origins=(record.at(place(record, at), text_or_none(body.get("id"))),),
        )
    ]


def _guess(halves: Exchange) -> float:
    if not has_roles(halves.request):
        return 0.0
    if isinstance(halves.response, dict):
        full = halves.response.get("content") or halves.response.get("stop_reason")
        sure = 1.0 if full or halves.response.get("type") == "error" else 0.2
        return sure if is_answer(halves.response) else 0.0
    if halves.request is None or looks_converse(halves.request):
        return 0.0
    sure = 0.9 if looks_anthropic(halves.request) else 0.1 if looks_openai(halves.request) else 0.4
    return sure / 2 if halves.waits else sure


def _joins(value: Any, name: str) -> Iterator[str]:
    return joined_by(value, PROVIDER)


def _skim() -> Skimmer:
    return Skimmer(_joins)


def _deeper(value: Any, level: int) -> list[str] | None:
    return path_keys(value, PROVIDER, level)


PROVIDER = Provider(
    name="anthropic-messages",
    is_request=is_request,
    is_answer=is_answer,
    rows=_rows,
    turns=_turns,
    answers=_answers,
    join=join_message,
    begins=ends_with_assistant,
)

FORMAT = replace(
    traffic(
        PROVIDER,
        "Anthropic Messages, requests with their responses; tool input only as a parsed object",
        _guess,
    ),
    skim=_skim,
    deeper=_deeper,
    decoder=Echoes,
)
