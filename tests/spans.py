"""Spans written for a test, and what the ferry desk's samples must hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from misstep.ingest import Ingested
from misstep.types import Session

DROPPED = '{"port": "Moss", "limit": 1'
"""The arguments of the desk's first mistake, as the model wrote them."""


def otlp(*spans: dict[str, Any], key: str = "spans") -> dict[str, Any]:
    """An export of spans, or of log records."""
    if key == "spans":
        return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": list(spans)}]}]}


def any_value(value: Any) -> dict[str, Any]:
    """A value as OTLP writes it."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(v) for v in value]}}
    if isinstance(value, dict):
        listed = [{"key": k, "value": any_value(v)} for k, v in value.items()]
        return {"kvlistValue": {"values": listed}}
    return {"stringValue": str(value)}


def span(number: int, attributes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A span of trace `t`, which starts at its number."""
    return {
        "traceId": "t",
        "spanId": f"s{number}",
        "name": "span",
        "startTimeUnixNano": str(1_780_000_000_000_000_000 + number * 10**9),
        "endTimeUnixNano": str(1_780_000_000_500_000_000 + number * 10**9),
        "attributes": [{"key": k, "value": any_value(v)} for k, v in attributes.items()],
        **fields,
    }


def asked(history: list[Any], answer: Any, **more: Any) -> dict[str, Any]:
    """The attributes of a request in the newest form."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": json.dumps(history),
        **({"gen_ai.output.messages": json.dumps([answer])} if answer is not None else {}),
        **more,
    }


def said(role: str, text: str) -> dict[str, Any]:
    """A message of one text part."""
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def called(call_id: str, arguments: Any = None, name: str = "f") -> dict[str, Any]:
    """An assistant message of one call."""
    call = {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments or {}}
    return {"role": "assistant", "parts": [call]}


def returned(call_id: str, result: Any = "done") -> dict[str, Any]:
    """A tool message of one result."""
    part = {"type": "tool_call_response", "id": call_id, "response": result}
    return {"role": "tool", "parts": [part]}


def desks(got: Ingested) -> dict[str, list[Session]]:
    """Sessions by what the first user message says."""
    found: dict[str, list[Session]] = {}
    for session in got.sessions:
        first = next((m.text for m in session.messages if m.role == "user"), "")
        found.setdefault(first, []).append(session)
    return found


def mistakes(session: Session) -> list[tuple[str, str, bool | None]]:
    """Each call with its arguments and whether its result was an error."""
    results = {r.call_id: r.is_error for m in session.messages for r in m.results}
    return [
        (call.name, call.arguments, results.get(call.id))
        for message in session.messages
        for call in message.calls
    ]


def rows_of(path: Path) -> list[Any]:
    """The lines of a file as plain JSON."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
