"""OpenAI chat completions: request/response pairs, as two fields, merged, or line by line.

Kept: messages, tools, schema, every choice, finish reason, model, usage, time; argument text
verbatim; streams joined. An error body gives a step with `error`; the call that a provider refused
(`failed_generation`) becomes its content. The format has no error flag on tool results.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from misstep import dialects
from misstep.ingest.exchange import (
    Body,
    Exchange,
    ExchangeReader,
    Provider,
    error_text,
    has_roles,
    split,
)
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.messages import (
    chat_message,
    kind_of,
    place,
    text_or_none,
    unix_time,
    usage_of,
)
from misstep.ingest.stream import CUT, join_chat
from misstep.types import Message, Part


def is_answer(body: Body) -> bool:
    """A completion or an error body."""
    if isinstance(body.get("choices"), list):
        return True
    return isinstance(body.get("error"), (Mapping, str)) and body.get("type") != "error"


def _rows(request: Body) -> Iterator[tuple[Any, str]]:
    for index, row in enumerate(request.get("messages") or ()):
        yield row, f"/messages/{index}"


def _turns(row: Any, pointer: str) -> list[Message]:
    return [chat_message(row, pointer)]


def _answers(exchange: Exchange, record: Record) -> list[Message]:
    body, at = exchange.response, exchange.response_at
    if isinstance(body, str):
        return [_error(body, exchange, record)]
    if not isinstance(body, Mapping):
        raise Misfit(at, f"expected a response object, got {kind_of(body)}")
    choices = body.get("choices")
    if not isinstance(choices, list):
        if body.get("error"):
            return [_error(body["error"], exchange, record)]
        raise Misfit(f"{at}/choices", f"expected a list of choices, got {kind_of(choices)}")
    return [_answer(choice, index, exchange, record) for index, choice in enumerate(choices)]


def _answer(choice: Any, index: int, exchange: Exchange, record: Record) -> Message:
    body, at = exchange.response, f"{exchange.response_at}/choices/{index}"
    if not isinstance(choice, Mapping):
        raise Misfit(at, f"expected a choice object, got {kind_of(choice)}")
    said = choice.get("message")
    if isinstance(said, Mapping) and said.get("role") is None:
        said = {**said, "role": "assistant"}
    message = chat_message(said, f"{at}/message")
    if message.role != "assistant":
        raise Misfit(f"{at}/message/role", f"an answer with the role {message.role!r}")
    refusal = text_or_none(said.get("refusal")) if isinstance(said, Mapping) else None
    return replace(
        message,
        parts=message.parts or ((Part(kind="text", text=refusal),) if refusal else ()),
        actor="agent",
        finish_reason=text_or_none(choice.get("finish_reason")),
        end="cut" if choice.get(CUT) else "complete",
        model=_model(exchange),
        usage=usage_of(body.get("usage")) if index == 0 else None,
        time=unix_time(body.get("created")),
        origins=(record.at(place(record, at), text_or_none(body.get("id"))),),
    )


def _model(exchange: Exchange) -> str | None:
    body, request = exchange.response, exchange.request or {}
    answered = text_or_none(body.get("model")) if isinstance(body, Mapping) else None
    return answered or text_or_none(request.get("model"))


def _error(error: Any, exchange: Exchange, record: Record) -> Message:
    refused = error.get("failed_generation") if isinstance(error, Mapping) else None
    rest = error
    if isinstance(error, Mapping):
        rest = {key: value for key, value in error.items() if key != "failed_generation"}
    code = error.get("code") if isinstance(error, Mapping) else None
    return Message(
        role="assistant",
        parts=refused_parts(refused) if isinstance(refused, str) else (),
        actor="agent",
        finish_reason=text_or_none(code) if isinstance(refused, str) else None,
        error=error_text(rest, exchange.status),
        model=_model(exchange),
        origins=(record.at(place(record, exchange.response_at)),),
    )


def refused_parts(text: str) -> tuple[Part, ...]:
    """The parts of a refused generation: a bare `{"name": …, "arguments": …}` is a call."""
    stripped = text.strip()
    if stripped.startswith("{"):
        parts = dialects.parse_answer(f"{dialects.OPEN}\n{stripped}\n{dialects.CLOSE}")
        if any(part.kind == "call" for part in parts):
            return tuple(part for part in parts if part.kind == "call")
    return dialects.parse_answer(text)


def looks_anthropic(request: Body) -> bool:
    """Whether a request, its answer unknown, is in Anthropic's form rather than OpenAI's."""
    tools = request.get("tools")
    if "system" in request or "claude" in str(request.get("model")):
        return True
    return isinstance(tools, list) and any(
        isinstance(tool, Mapping) and "input_schema" in tool for tool in tools
    )


def _weigh(value: dict[str, Any]) -> float:
    halves = split(value, PROVIDER)
    if halves is None or not has_roles(halves.request):
        return 0.0
    if halves.request is None:
        return 1.0 if isinstance(halves.response.get("choices"), list) else 0.5
    if isinstance(halves.response, Mapping) and isinstance(halves.response.get("choices"), list):
        return 1.0 if halves.response["choices"] else 0.2
    if isinstance(halves.response, Mapping) and not is_answer(halves.response):
        return 0.0
    doubt = 0.3 if looks_anthropic(halves.request) else 0.9
    return doubt if "response" in value or halves.response is not None else doubt / 2


def sniff(peek: Peek) -> float:
    """Pairs with `choices`; a request alone only counts half."""
    return share(peek, _weigh)


def _reader(tally: Tally) -> ExchangeReader:
    return ExchangeReader(PROVIDER, tally)


PROVIDER = Provider(
    name="openai-chat",
    is_answer=is_answer,
    rows=_rows,
    turns=_turns,
    answers=_answers,
    join=join_chat,
)

FORMAT = Format(
    name="openai-chat",
    about="OpenAI chat completions, requests with their responses; no error flag on tool results",
    unit="line",
    sniff=sniff,
    reader=_reader,
    keeps_tools=True,
)
