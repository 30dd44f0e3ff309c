"""OpenAI chat completions: request/response pairs, as two fields, merged, or line by line.

Kept: messages, tools, schema, every choice, finish reason, model, usage, time; argument text
verbatim; streams joined. An error body gives a step with `error`; the call that a provider refused
(`failed_generation`) becomes its content. The format has no error flag on tool results.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from misstep import dialects
from misstep.ingest.echo import Echoes, History, Skimmer
from misstep.ingest.exchange import error_text, has_roles, traffic
from misstep.ingest.format import Misfit, Record
from misstep.ingest.halves import Body, Exchange, Provider, joined_by, path_keys
from misstep.ingest.messages import (
    chat_message,
    kind_of,
    place,
    text_or_none,
    unix_time,
    usage_of,
)
from misstep.ingest.prefill import says_so
from misstep.ingest.stream import CUT, join_chat
from misstep.types import Message, Part

_NAMES = frozenset({"url", "uri", "path", "endpoint"})
"""Fields that may name the provider."""


def is_answer(body: Body) -> bool:
    """A completion or an error body."""
    if isinstance(body.get("choices"), list):
        return True
    if not isinstance(body.get("error"), (dict, str)):
        return False
    return body.get("type") != "error" and body.get("object") != "response"


def is_request(body: Body) -> bool:
    """A list of messages."""
    return isinstance(body.get("messages"), list)


def _rows(request: Body) -> Iterator[tuple[Any, str]]:
    for index, row in enumerate(request.get("messages") or ()):
        yield row, f"/messages/{index}"


def _turns(row: Any, pointer: str) -> list[Message]:
    return [chat_message(row, pointer)]


def _answers(exchange: Exchange, record: Record) -> list[Message]:
    body, at = exchange.response, exchange.response_at
    if isinstance(body, str):
        return [_error(body, exchange, record)]
    if not isinstance(body, dict):
        raise Misfit(at, f"expected a response object, got {kind_of(body)}")
    choices = body.get("choices")
    if not isinstance(choices, list):
        if body.get("error"):
            return [_error(body["error"], exchange, record)]
        raise Misfit(f"{at}/choices", f"expected a list of choices, got {kind_of(choices)}")
    broken = body.get("error")
    if broken and not choices:
        return [_error(broken, exchange, record)]
    answers = [_answer(choice, index, exchange, record) for index, choice in enumerate(choices)]
    return [replace(a, error=error_text(broken, None)) for a in answers] if broken else answers


def _answer(choice: Any, index: int, exchange: Exchange, record: Record) -> Message:
    body, at = exchange.response, f"{exchange.response_at}/choices/{index}"
    if not isinstance(choice, dict):
        raise Misfit(at, f"expected a choice object, got {kind_of(choice)}")
    said = choice.get("message")
    if isinstance(said, dict) and said.get("role") is None:
        said = {**said, "role": "assistant"}
    message = chat_message(said, f"{at}/message")
    if message.role != "assistant":
        raise Misfit(f"{at}/message/role", f"an answer with the role {message.role!r}")
    refusal = text_or_none(said.get("refusal")) if isinstance(said, dict) else None
    refused = refusal is not None and not message.parts
    return Message(  # nothing else is set by `chat_message`; `replace` takes twice as long
        role="assistant",
        parts=(Part(kind="text", text=refusal),) if refused else message.parts,
        actor="agent",
        finish_reason="refusal" if refused else text_or_none(choice.get("finish_reason")),
        end="cut" if choice.get(CUT) else "complete",
        model=_model(exchange),
        usage=usage_of(body.get("usage")) if index == 0 else None,
        time=unix_time(body.get("created")),
        origins=(record.at(place(record, at), text_or_none(body.get("id"))),),
    )


def _repeated(exchange: Exchange) -> list[Any]:
    """The messages of the answers, where they are all that is read of them."""
    body = exchange.response
    choices = body.get("choices") if isinstance(body, dict) and not body.get("error") else ()
    said = [choice["message"] for choice in choices or ()]
    return said if all(map(_is_plain, said)) else []


def _is_plain(said: dict[str, Any]) -> bool:
    """Whether an equal message reads to the same; numbers of different types are equal."""
    if said.get("role") != "assistant" or said.get("refusal"):
        return False
    if said.get("audio") or said.get("images"):
        return False
    return all(
        isinstance(call.get("function"), dict) and type(call["function"].get("arguments")) is str
        for call in said.get("tool_calls") or ()
    )


def _model(exchange: Exchange) -> str | None:
    body, request = exchange.response, exchange.request or {}
    answered = text_or_none(body.get("model")) if isinstance(body, dict) else None
    return answered or text_or_none(request.get("model"))


def _error(error: Any, exchange: Exchange, record: Record) -> Message:
    refused = error.get("failed_generation") if isinstance(error, dict) else None
    rest = error
    if isinstance(error, dict):
        rest = {key: value for key, value in error.items() if key != "failed_generation"}
    code = error.get("code") if isinstance(error, dict) else None
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
        isinstance(tool, dict) and "input_schema" in tool for tool in tools
    )


def looks_openai(request: Body) -> bool:
    """Whether a request, its answer unknown, has what only OpenAI's form has."""
    tools, messages = request.get("tools"), request.get("messages")
    if "response_format" in request or "functions" in request:
        return True
    if isinstance(tools, list) and any(isinstance(t, dict) and "function" in t for t in tools):
        return True
    rows = messages[:4] if isinstance(messages, list) else []
    roles = [row.get("role") for row in rows if isinstance(row, dict)]
    return any(role in ("system", "developer", "tool") for role in roles)


def looks_converse(request: Body) -> bool:
    """Whether a request is in the form of Bedrock Converse: content blocks without a type."""
    if "toolConfig" in request or "inferenceConfig" in request:
        return True
    messages = request.get("messages")
    for row in messages[:4] if isinstance(messages, list) else ():
        content = row.get("content") if isinstance(row, dict) else None
        if isinstance(content, list) and content and isinstance(content[0], dict):
            return "type" not in content[0]
    return False


def _guess(halves: Exchange) -> float:
    if not has_roles(halves.request):
        return 0.0
    answer = halves.response if isinstance(halves.response, dict) else None
    choices = None if answer is None else answer.get("choices")
    if isinstance(choices, list) and answer is not None:
        return 1.0 if choices or halves.request is None else 0.6 if "error" in answer else 0.2
    if halves.request is None:
        return 0.5
    if (answer is not None and not is_answer(answer)) or looks_converse(halves.request):
        return 0.0
    doubt = 0.3 if looks_anthropic(halves.request) else 0.9
    if doubt > 0.3 and not looks_openai(halves.request):
        doubt = 0.6
    return doubt / 2 if halves.waits else doubt


def _joins(value: Any, name: str) -> Iterator[str]:
    return joined_by(value, PROVIDER)


def _skim() -> Skimmer:
    return Skimmer(_joins)


def _sure(value: Any) -> bool:
    """A request and its completion in two fields, nothing that names another provider."""
    if type(value) is not dict or not _NAMES.isdisjoint(value):
        return False
    request, response = value.get("request"), value.get("response")
    if type(request) is not dict or type(response) is not dict or not _NAMES.isdisjoint(request):
        return False
    messages = request.get("messages")
    return type(messages) is History and messages.roles and bool(response.get("choices"))


def _deeper(value: Any, level: int) -> list[str] | None:
    return path_keys(value, PROVIDER, level)


PROVIDER = Provider(
    name="openai-chat",
    is_request=is_request,
    is_answer=is_answer,
    rows=_rows,
    turns=_turns,
    answers=_answers,
    join=join_chat,
    listed=True,
    repeated=_repeated,
    begins=says_so,
)

FORMAT = replace(
    traffic(
        PROVIDER,
        "OpenAI chat completions, requests with their responses; no error flag on tool results",
        _guess,
    ),
    skim=_skim,
    deeper=_deeper,
    decoder=Echoes,
    sure=_sure,
)
