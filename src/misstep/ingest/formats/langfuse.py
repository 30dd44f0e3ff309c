"""Langfuse: traces with their observations, as one object, API pages, or exported rows.

In: `{trace, observations}`, a trace that holds its observations, API pages `{data, meta}`, or rows
of observations, traces and scores (camel or snake case; JSON, JSONL, CSV). `input`, `output` and
`metadata` are JSON, often inside a string, in the shape of the traced framework. Kept: messages,
calls, tools where the framework logged them, model, usage, times, the session as family, tools'
errors (level ERROR), sub-agents, scores of the trace as outcome. What the framework's tracer
dropped (finish reasons, raw argument text, call ids of results) stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from misstep.ingest.format import Format, Peek, Record, Tally, share
from misstep.ingest.messages import place, text_or_none
from misstep.ingest.traces.feedback import outcome_of
from misstep.ingest.traces.framework_answers import counted
from misstep.ingest.traces.framework_asked import offer_of, tools_of
from misstep.ingest.traces.framework_parts import opened
from misstep.ingest.traces.traced import Kind, Run, Runs, utc_time
from misstep.ingest.traces.traced_join import conversations
from misstep.types import Message, Outcome, Session

NAME = "langfuse"
Row = Mapping[str, Any]

_KINDS: dict[str, Kind] = {"GENERATION": "model", "TOOL": "tool", "AGENT": "agent"}
_SPANS: dict[str, Kind] = {"LLM": "model", "TOOL": "tool", "AGENT": "agent"}
_SNAKE = {
    "traceId": "trace_id",
    "sessionId": "session_id",
    "parentObservationId": "parent_observation_id",
    "startTime": "start_time",
    "statusMessage": "status_message",
    "modelParameters": "model_parameters",
    "usageDetails": "usage_details",
    "toolDefinitions": "tool_definitions",
    "observationId": "observation_id",
    "dataType": "data_type",
    "stringValue": "string_value",
    "providedModelName": "provided_model_name",
}


def _get(row: Row, name: str) -> Any:
    """A field in camel or snake case."""
    value = row.get(name)
    return row.get(_SNAKE.get(name, name)) if value is None else value


def _sort(row: Any) -> str:
    """What a row is: `observation`, `trace`, `score`, or nothing known."""
    if not isinstance(row, dict) or not isinstance(row.get("id"), str):
        return ""
    if isinstance(_get(row, "traceId"), str):
        if isinstance(row.get("type"), str) and _get(row, "startTime") is not None:
            return "observation"
        return "score" if "value" in row and "name" in row else ""
    known = sum(key in row for key in ("timestamp", "sessionId", "session_id", "tags", "release"))
    return "trace" if known >= 2 and ("observations" in row or "input" in row) else ""


def _units(value: Any) -> Iterator[tuple[Any, str]]:
    """The rows of a record, each with its JSON pointer."""
    if not isinstance(value, dict):
        yield value, ""
    elif isinstance(value.get("trace"), dict) and isinstance(value.get("observations"), list):
        yield value["trace"], "/trace"
        yield from _listed(value["observations"], "/observations")
    elif isinstance(value.get("data"), list) and "meta" in value:
        for row, pointer in _listed(value["data"], "/data"):
            yield row, pointer
            yield from _held(row, pointer)
    else:
        yield value, ""
        yield from _held(value, "")


def _held(row: Any, pointer: str) -> Iterator[tuple[Any, str]]:
    """Observations that a trace holds; a list of ids holds none."""
    inner = row.get("observations") if isinstance(row, dict) else None
    if isinstance(inner, list) and any(isinstance(o, dict) for o in inner):
        yield from _listed(inner, f"{pointer}/observations")


def _listed(rows: list[Any], pointer: str) -> Iterator[tuple[Any, str]]:
    for index, row in enumerate(rows):
        yield row, f"{pointer}/{index}"


class _Reader:
    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._runs = Runs(tally)
        self._scores: dict[str, list[tuple[Any, Any]]] = {}

    def read(self, record: Record) -> None:
        """Take one record."""
        units = list(_units(record.value))
        if not units:
            self._tally.ignore("empty-page")
            return
        self._tally.unfold(len(units))
        for row, pointer in units:
            self._unit(row, pointer, record)

    def _unit(self, row: Any, pointer: str, record: Record) -> None:
        whole = pointer == "/trace" and isinstance(row.get("id"), str)
        sort = "trace" if whole else _sort(row)
        if sort == "observation":
            self._runs.add(_run(row, pointer, record))
            self._family(_get(row, "traceId"), row)
        elif sort == "trace":
            self._tally.ignore("trace")
            self._family(row["id"], row)
            for score in row.get("scores") or () if isinstance(row.get("scores"), list) else ():
                self._score(score)
        elif sort == "score":
            self._tally.ignore("score")
            self._score(row)
        else:
            said = "neither an observation nor a trace nor a score"
            self._tally.aside(record.at(place(record, pointer)), "unknown-record", said)

    def _family(self, trace: Any, row: Row) -> None:
        session = text_or_none(_get(row, "sessionId"))
        if session is not None:
            self._runs.families.setdefault(str(trace), session)

    def _score(self, score: Any) -> None:
        """Scores of a whole trace; one of a single observation says nothing of the session."""
        if not isinstance(score, dict) or _get(score, "observationId"):
            return
        trace, value = _get(score, "traceId"), score.get("value")
        if isinstance(trace, str):
            text = _get(score, "stringValue")
            told = text if isinstance(text, str) and text else value
            self._scores.setdefault(trace, []).append((score.get("name"), told))

    def close_file(self) -> None:
        """A trace may be spread over files."""

    def finish(self) -> tuple[Session, ...]:
        """All conversations."""
        for trace, scores in self._scores.items():
            outcome: Outcome | None = outcome_of(scores)
            if outcome is not None:
                self._runs.outcomes[trace] = outcome
        return conversations(NAME, self._runs, self._tally)


def _run(row: Row, pointer: str, record: Record) -> Run:
    meta = opened(row.get("metadata"))
    inner = opened(meta.get("attributes")) if isinstance(meta, dict) else None
    attributes: Row = inner if isinstance(inner, dict) else {}
    kind = _kind(row, attributes)
    run = Run(
        id=row["id"],
        kind=kind,
        record=record,
        trace=_get(row, "traceId"),
        parent=text_or_none(_get(row, "parentObservationId")),
        name=text_or_none(attributes.get("tool.name")) or str(row.get("name") or ""),
        pointer=pointer,
        start=utc_time(_get(row, "startTime")),
        what=str(row["type"]).lower(),
        input=opened(row.get("input")),
        output=opened(row.get("output")),
        error=_error(row),
        call_id=text_or_none(attributes.get("gen_ai.tool.call.id")),
    )
    if kind == "model":
        run.offer = _offer(row, meta, attributes)
        run.said = _said(row, attributes)
    elif kind == "tool" and not run.output:
        run.output = opened(attributes.get("gcp.vertex.agent.tool_response"))
    return run


def _kind(row: Row, attributes: Row) -> Kind:
    known = _KINDS.get(row["type"])
    if known is not None:
        return known
    span = attributes.get("openinference.span.kind")
    if isinstance(span, str) and span in _SPANS and row["type"] == "SPAN":
        return _SPANS[span]
    tool = attributes.get("tool.name") or attributes.get("gen_ai.operation.name") == "execute_tool"
    return "tool" if tool and row["type"] == "SPAN" else "other"


def _error(row: Row) -> str | None:
    if row.get("level") != "ERROR":
        return None
    return text_or_none(_get(row, "statusMessage")) or "level ERROR"


def _offer(row: Row, meta: Any, attributes: Row) -> dict[str, Any]:
    parameters = opened(_get(row, "modelParameters"))
    offer = offer_of(parameters) if isinstance(parameters, dict) else {}
    offer = {name: value for name, value in offer.items() if value != ""}
    listed = tools_of(_get(row, "toolDefinitions"))
    if not listed and isinstance(meta, dict):
        listed = tools_of(meta.get("tools"))
    if not listed:
        request = opened(attributes.get("model_request_parameters"))
        if isinstance(request, dict):
            listed = tools_of(request.get("function_tools")) + tools_of(request.get("output_tools"))
    if listed:
        offer["tools"] = listed
    return offer


def _said(row: Row, attributes: Row) -> Message:
    reasons = opened(attributes.get("gen_ai.response.finish_reasons"))
    first = reasons[0] if isinstance(reasons, list) and reasons else reasons
    model = text_or_none(attributes.get("gen_ai.response.model"))
    listed = text_or_none(row.get("model")) or text_or_none(_get(row, "providedModelName"))
    usage = counted(opened(_get(row, "usageDetails"))) or counted(opened(row.get("usage")))
    reason = text_or_none(first)
    return Message(role="assistant", finish_reason=reason, model=model or listed, usage=usage)


def _weigh(value: dict[str, Any]) -> float:
    if isinstance(value.get("trace"), dict) and isinstance(value.get("observations"), list):
        return 1.0
    rows = value["data"] if isinstance(value.get("data"), list) and "meta" in value else [value]
    known = [_sort(row) for row in rows[:24]]
    if not known or not all(known):
        return 0.0
    return 1.0 if "observation" in known else 0.6


def sniff(peek: Peek) -> float:
    """Observations, or the traces and scores around them."""
    return share(peek, _weigh)


def joins(value: Any, name: str) -> Iterator[str]:
    """Traces and sessions."""
    for row, _ in _units(value):
        if isinstance(row, dict):
            trace = _get(row, "traceId") or row.get("id")
            session = _get(row, "sessionId")
            yield from (f"trace:{trace}",) if isinstance(trace, str) else ()
            yield from (f"session:{session}",) if isinstance(session, str) and session else ()


def _reader(tally: Tally) -> _Reader:
    return _Reader(tally)


FORMAT = Format(
    name=NAME,
    about="Langfuse traces with their observations; what the traced framework's tracer dropped"
    " (finish reasons, raw argument text) is unknown",
    unit="observation",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    evidence="files",
    joins=joins,
)
