"""Gemini generateContent: requests with their responses, streamed or not, in every layout.

Kept: system instruction, contents, function declarations (OpenAPI schemas read as JSON Schema),
response schema, tool config, every candidate, finish reason, usage. An answer that the provider
could not use (MALFORMED_FUNCTION_CALL, UNEXPECTED_TOOL_CALL …) is a fault of the model; the call is
found again where the finish message quotes it. Arguments are parsed objects. Calls mostly have no
id: results belong to them by order and name. There is no time in the body.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from misstep.ingest.exchange import error_text, traffic
from misstep.ingest.format import Misfit, Record
from misstep.ingest.gemini_parts import (
    camel,
    content_messages,
    content_parts,
    declared,
    inside,
    join_generated,
    json_schema,
    unread_call,
)
from misstep.ingest.halves import Body, Exchange, Provider, url_of
from misstep.ingest.messages import int_or_none, kind_of, place, text_or_none
from misstep.ingest.stream import CUT
from misstep.types import Message, Part, Usage

_UNUSABLE = (
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "MALFORMED_RESPONSE",
    "TOO_MANY_TOOL_CALLS",
)
_MODEL = re.compile(r"/models/([^/:?]+):")
_MODES = {"ANY": "required", "NONE": "none", "AUTO": "auto", "VALIDATED": "auto"}


def is_request(body: Body) -> bool:
    """Contents."""
    asked = body.get("contents")
    if isinstance(asked, str):
        return "model" in body
    listed = asked if isinstance(asked, list) else [asked]
    return bool(listed) and all(
        isinstance(one, dict) and isinstance(one.get("parts"), list) for one in listed[:8]
    )


def is_answer(body: Body) -> bool:
    """Candidates, a blocked prompt, or an error body."""
    if isinstance(body.get("candidates"), list):
        return True
    if "promptFeedback" in body or "usageMetadata" in body:
        return True
    return isinstance(body.get("error"), dict) and "type" not in body


def _rows(request: Body) -> Iterator[tuple[Any, str]]:
    name = "system_instruction" if "system_instruction" in request else "systemInstruction"
    said = request.get(name)
    if isinstance(said, dict):
        yield {**said, "role": "system"}, f"/{name}"
    elif isinstance(said, str) and said:
        yield {"role": "system", "parts": [{"text": said}]}, f"/{name}"
    asked = request.get("contents")
    if not isinstance(asked, list):
        yield asked, "/contents"
        return
    for at, row in enumerate(asked):
        yield row, f"/contents/{at}"


def _answers(exchange: Exchange, record: Record) -> list[Message]:
    body, at = exchange.response, exchange.response_at
    if isinstance(body, str):
        return [_without_answer(body, exchange, record)]
    if not isinstance(body, dict):
        raise Misfit(at, f"expected a response object, got {kind_of(body)}")
    body = camel(body)
    if body.get("error"):
        return [_without_answer(body["error"], exchange, record)]
    candidates = body.get("candidates")
    if not candidates and body.get("promptFeedback"):
        return [_without_answer({"promptFeedback": body["promptFeedback"]}, exchange, record)]
    if not isinstance(candidates, list):
        raise Misfit(f"{at}/candidates", f"expected a list, got {kind_of(candidates)}")
    return [
        replace(
            _answer(candidate, f"{at}/candidates/{index}", body),
            origins=(_at(record, at, body, index),),
        )
        for index, candidate in enumerate(candidates)
    ]


def _at(record: Record, at: str, body: Body, index: int) -> Any:
    where = place(record, f"{at}/candidates/{index}")
    return record.at(where, text_or_none(body.get("responseId")))


def _without_answer(said: Any, exchange: Exchange, record: Record) -> Message:
    return Message(
        role="assistant",
        actor="agent",
        error=error_text(said, exchange.status),
        model=_model(exchange, record),
        origins=(record.at(place(record, exchange.response_at)),),
    )


def _model(exchange: Exchange, record: Record) -> str | None:
    """The model that was asked: the body names it only in client-side logs."""
    named = text_or_none((exchange.request or {}).get("model"))
    url = url_of(record.value) if isinstance(record.value, dict) else None
    found = _MODEL.search(url or "")
    return named or (found[1] if found else None)


def _answer(candidate: Any, at: str, body: Body) -> Message:
    if not isinstance(candidate, dict):
        raise Misfit(at, f"expected a candidate object, got {kind_of(candidate)}")
    raw = camel(candidate)
    finish = text_or_none(raw.get("finishReason"))
    said = text_or_none(raw.get("finishMessage"))
    fault = said or finish if finish in _UNUSABLE else None
    parts = content_parts(raw.get("content"), f"{at}/content")
    if finish == "MALFORMED_FUNCTION_CALL" and said and not any(p.kind == "call" for p in parts):
        call = unread_call(said)
        if call is not None:
            parts, fault = (*parts, Part(kind="call", call=call)), None
    return Message(
        role="assistant",
        parts=parts,
        actor="agent",
        finish_reason=finish,
        end="cut" if candidate.get(CUT) else "complete",
        fault=fault,
        model=text_or_none(body.get("modelVersion")),
        usage=_usage(inside(body, "usageMetadata")) if raw.get("index", 0) in (0, None) else None,
    )


def _usage(raw: Mapping[str, Any]) -> Usage | None:
    if not raw:
        return None
    told = int_or_none(raw.get("candidatesTokenCount"))
    thought = int_or_none(raw.get("thoughtsTokenCount"))
    wrote = None if told is None and thought is None else (told or 0) + (thought or 0)
    return Usage(input_tokens=int_or_none(raw.get("promptTokenCount")), output_tokens=wrote)


def _offered(request: Body) -> Body:
    asked = camel(request)
    config = inside(asked, "generationConfig") or inside(asked, "config")
    tools = asked.get("tools", config.get("tools"))
    schema = config.get("responseJsonSchema")
    if schema is None:
        schema = json_schema(config.get("responseSchema"))
    kind = config.get("responseMimeType")
    wants = kind == "application/json"
    if kind == "text/x.enum":
        schema = None  # the answer is one of the options as it stands, without the quotes of JSON
    return {
        "tools": None if tools is None else list(declared(tools)),
        "tool_choice": _choice(inside(inside(asked, "toolConfig"), "functionCallingConfig")),
        "response_schema": schema if isinstance(schema, dict) else None,
        "response_format": {"type": "json_object"} if wants else None,
        "max_tokens": config.get("maxOutputTokens"),
        "temperature": config.get("temperature"),
        "top_p": config.get("topP"),
    }


def _choice(config: Mapping[str, Any]) -> Any:
    mode = config.get("mode")
    names = config.get("allowedFunctionNames")
    listed = names if isinstance(names, list) else []
    if mode == "ANY" and len(listed) == 1 and isinstance(listed[0], str):
        return listed[0]
    known = _MODES.get(mode) if isinstance(mode, str) else None
    if not listed or known == "none":
        return known
    return {"type": "allowed_tools", "mode": known, "tools": [{"name": name} for name in listed]}


def _guess(halves: Exchange) -> float:
    answer = halves.response if isinstance(halves.response, dict) else None
    if halves.request is None:
        return 1.0 if answer is not None and isinstance(answer.get("candidates"), list) else 0.3
    if answer is not None and not is_answer(answer):
        return 0.0
    return 0.6 if halves.waits else 1.0


PROVIDER = Provider(
    name="gemini",
    is_request=is_request,
    is_answer=is_answer,
    rows=_rows,
    turns=content_messages,
    answers=_answers,
    join=join_generated,
    offered=_offered,
)

FORMAT = traffic(
    PROVIDER,
    "Gemini generateContent, requests with their responses; arguments as parsed objects",
    _guess,
)
