"""LiteLLM: standard logging payloads, and rows of the proxy's spend log.

In: one payload a line (`kwargs["standard_logging_object"]`, as a custom logger or a bucket gets
it), or rows of `LiteLLM_SpendLogs`, where messages, response and request are JSON texts. Kept:
messages, tools and limits (`model_parameters`, or the proxy's request), every choice, argument text
byte for byte, finish reason, model, usage, times; the session or trace as family; a failed call as
a step with its error, and the call that the provider refused (`failed_generation`) as its content.
Spend logs keep no messages unless the proxy was told to store them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from misstep.ingest.format import Format, Peek, Record, Tally, share
from misstep.ingest.messages import kind_of, text_or_none
from misstep.ingest.traces.framework_answers import counted
from misstep.ingest.traces.framework_asked import offer_of
from misstep.ingest.traces.framework_parts import opened
from misstep.ingest.traces.traced import Run, Runs, utc_time
from misstep.ingest.traces.traced_join import conversations
from misstep.types import Message, Session, Usage

NAME = "litellm"
Row = Mapping[str, Any]

_CHATS = frozenset(
    (
        *("completion", "acompletion", "text_completion", "atext_completion"),
        *("responses", "aresponses", "anthropic_messages", "generate_content"),
        *("agenerate_content", "pass_through_endpoint", ""),
    )
)
_REDACTED = "redacted-by-litellm"


def _is_row(row: Any) -> bool:
    if not isinstance(row, dict) or "call_type" not in row or "messages" not in row:
        return False
    return "response" in row and ("startTime" in row or "start_time" in row)


class _Reader:
    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._runs = Runs(tally)

    def read(self, record: Record) -> None:
        """Take one call."""
        row, pointer = _payload(record.value)
        if not _is_row(row):
            said = f"no payload of a call: {kind_of(row)}"
            self._tally.aside(record.at(record.origin.pointer or ""), "unknown-record", said)
            return
        call = str(row.get("call_type") or "")
        if call not in _CHATS:
            self._tally.ignore(call)
            return
        run = _run(row, pointer, record)
        if run is None:
            said = "the messages were not stored, or redacted"
            self._tally.aside(record.at(record.origin.pointer or ""), "not-stored", said)
            return
        self._runs.families.setdefault(run.trace, run.trace)
        self._runs.add(run)

    def close_file(self) -> None:
        """A session may be spread over files."""

    def finish(self) -> tuple[Session, ...]:
        """All conversations."""
        return conversations(NAME, self._runs, self._tally)


def _payload(value: Any) -> tuple[Any, str]:
    inner = value.get("standard_logging_object") if isinstance(value, dict) else None
    return (value, "") if inner is None else (inner, "/standard_logging_object")


def _run(row: Row, pointer: str, record: Record) -> Run | None:
    messages, response = opened(row.get("messages")), opened(row.get("response"))
    request = opened(row.get("proxy_server_request"))
    body = opened(request.get("body")) if isinstance(request, dict) else None
    request = body if isinstance(body, dict) else request
    asked_at = f"{pointer}/messages"
    if not messages and isinstance(request, dict):
        messages = request.get("messages", request.get("input"))
        asked_at = f"{pointer}/proxy_server_request"
    if not messages or _REDACTED in str(messages)[:400]:
        return None
    if isinstance(response, dict) and response.get("text") == _REDACTED:
        return None
    error = _error(row)
    return Run(
        id=text_or_none(row.get("litellm_call_id")) or _id(row),
        kind="model",
        record=record,
        trace=_family(row),
        start=utc_time(row.get("startTime", row.get("start_time"))),
        order=f"{record.origin.line or 0:012d}",
        what=str(row.get("call_type")),
        asked_at=asked_at,
        told_at=f"{pointer}/response",
        input=messages,
        output=None if error and not response else response,
        error=error,
        said=Message(role="assistant", model=text_or_none(row.get("model")), usage=_usage(row)),
        offer=_offer(row, request),
    )


def _usage(row: Row) -> Usage | None:
    """The counts of the row; a failed call has zeros."""
    return counted(row) if row.get("prompt_tokens") else None


def _offer(row: Row, request: Any) -> dict[str, Any]:
    parameters = opened(row.get("model_parameters"))
    offered = offer_of(request) if isinstance(request, dict) else {}
    return {**offered, **(offer_of(parameters) if isinstance(parameters, dict) else {})}


def _error(row: Row) -> str | None:
    if row.get("status") != "failure":
        return None
    meta = opened(row.get("metadata"))
    for held in (row, meta):
        told = opened(held.get("error_information")) if isinstance(held, dict) else None
        if isinstance(told, dict) and text_or_none(told.get("error_message")):
            code = text_or_none(told.get("error_code"))
            return f"HTTP {code}: {told['error_message']}" if code else str(told["error_message"])
    return text_or_none(row.get("error_str")) or "status failure"


def _id(row: Row) -> str:
    return str(row.get("request_id") or row.get("id") or "")


def _family(row: Row) -> str:
    meta = opened(row.get("metadata"))
    inner = meta.get("session_id") if isinstance(meta, dict) else None
    named = (row.get("session_id"), inner, row.get("trace_id"))
    return next((name for name in named if isinstance(name, str) and name), _id(row))


def _weigh(value: dict[str, Any]) -> float:
    row, _ = _payload(value)
    marks = ("model_map_information", "response_cost", "custom_llm_provider", "hidden_params")
    spend = ("spend", "request_tags", "proxy_server_request", "api_base")
    known = _is_row(row) and sum(key in row for key in (*marks, *spend)) >= 2
    return 1.0 if known else 0.0


def sniff(peek: Peek) -> float:
    """Payloads with a call type, messages and a response."""
    return share(peek, _weigh)


def joins(value: Any, name: str) -> Iterator[str]:
    """Sessions or traces, and how a conversation begins: two kinds of log may hold it."""
    row, _ = _payload(value)
    if not _is_row(row):
        return
    yield f"session:{_family(row)}"
    messages = opened(row.get("messages"))
    if not messages:
        request = opened(row.get("proxy_server_request"))
        messages = request.get("messages") if isinstance(request, dict) else None
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict) and message.get("role") != "system":
            yield f"first:{message.get('content')}"
            return


def _reader(tally: Tally) -> _Reader:
    return _Reader(tally)


FORMAT = Format(
    name=NAME,
    about="LiteLLM standard logging payloads and spend logs; no error flag on tool results",
    unit="call",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=joins,
)
