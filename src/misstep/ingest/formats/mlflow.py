"""MLflow traces: `info` and `data.spans`, as JSON of one trace, as lines, or as rows of a table.

Kept: inputs and outputs of chat model spans in the provider's form, tools with schemas where the
request is kept, tool spans with their error, the session as family, a human's yes or no among the
assessments as thumbs. Attribute values are JSON in text. Tool spans have no call id and meet their
call by name and arguments. Spans that came in over OTLP are read by their own convention.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from msgspec.structs import replace

from misstep.ingest.context import Contexts
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.messages import kind_of, place, text_or_none, usage_of
from misstep.ingest.spans import provider
from misstep.ingest.spans.book import SpanBook
from misstep.ingest.spans.classify import Desk, find
from misstep.ingest.spans.facts import parsed, tools_of, trouble
from misstep.ingest.spans.found import Agent, Finding, Other, Request, Run, spot_of
from misstep.ingest.spans.history import Keyed
from misstep.ingest.spans.known import first_said
from misstep.ingest.spans.layouts import span_of
from misstep.ingest.spans.results import dumped, text_of
from misstep.ingest.spans.span import Span, first
from misstep.types import Context, Message, Outcome, Session

NAME = "mlflow"
_MODELS = ("CHAT_MODEL", "LLM")


def _trace_of(value: Any) -> Mapping[str, Any] | None:
    """The trace in a record: itself, or a column of a table that holds it as text or object."""
    if not isinstance(value, dict):
        return None
    held = value.get("trace")
    if isinstance(held, str) and held[:1] == "{":
        held = parsed(held)
    if isinstance(held, dict):
        value = held
    return value if _spans(value) is not None else None


def _spans(trace: Mapping[str, Any]) -> list[Any] | None:
    data = trace.get("data")
    if isinstance(data, str):
        data = parsed(data)
    spans = data.get("spans") if isinstance(data, dict) else trace.get("spans")
    spans = parsed(spans) if isinstance(spans, str) else spans
    return spans if isinstance(spans, list) else None


def _info(trace: Mapping[str, Any]) -> Mapping[str, Any]:
    info = trace.get("info")
    return info if isinstance(info, dict) else trace


def _trace_id(info: Mapping[str, Any]) -> str:
    return text_or_none(first(info, "trace_id", "request_id")) or ""


def _session(info: Mapping[str, Any]) -> str:
    for key in ("trace_metadata", "request_metadata", "tags"):
        held = info.get(key)
        if isinstance(held, dict):
            named = text_or_none(held.get("mlflow.trace.session"))
            if named is not None:
                return named
    return ""


class MlflowReader:
    """Reads the traces of one run."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._book = SpanBook(NAME, tally)
        self._desk = Desk()
        self._contexts = Contexts()

    def read(self, record: Record) -> None:
        """Take one trace."""
        trace = _trace_of(record.value)
        if trace is None:
            said = f"expected a trace with spans, got {kind_of(record.value)}"
            self._tally.aside(record.at(place(record, "")), "unknown-record", said)
            return
        spans = _spans(trace) or []
        self._tally.unfold(max(1, len(spans)))
        if not spans:
            self._tally.ignore("empty-trace")
        info = _info(trace)
        outcome = _outcome(info.get("assessments"))
        bare = Record(value=None, origin=record.origin)
        for index, fields in enumerate(spans):
            at = f"/data/spans/{index}"
            if isinstance(fields, dict):
                self._span(_placed(fields, info, bare, at), _session(info), outcome)
            else:
                said = f"expected a span, got {kind_of(fields)}"
                self._tally.aside(record.at(place(record, at)), "unknown-record", said)

    def _span(self, span: Span, session: str, outcome: Outcome | None) -> None:
        if outcome is not None:
            self._book.outcomes[session or span.trace] = outcome
        try:
            found = self._found(span)
        except Misfit as misfit:
            origin = span.record.at(place(span.record, span.pointer + misfit.pointer), span.id)
            self._tally.aside(origin, misfit.reason, misfit.said)
            self._book.pass_through(spot_of(span))
            return
        found.spot.conversation = session or found.spot.conversation
        self._book.take(found)

    def _found(self, span: Span) -> Finding:
        kind = _value(span.attributes.get("mlflow.spanType"))
        if not any(key.startswith("mlflow.span") for key in span.attributes):
            return find(span, self._desk)
        if kind in _MODELS:
            return self._request(span)
        if kind == "TOOL":
            return _run(span)
        if kind == "AGENT":
            return Agent(spot=spot_of(span), name=span.name)
        return Other(spot=spot_of(span))

    def _request(self, span: Span) -> Request:
        asked = _value(span.attributes.get("mlflow.spanInputs"))
        back = _value(span.attributes.get("mlflow.spanOutputs"))
        body = asked if isinstance(asked, dict) else {}
        answers = provider.answers(back, "/mlflow.spanOutputs")
        wrong = trouble(span)
        if not any(answer.parts for answer in answers) and wrong is not None:
            answers = [Message(role="assistant", error=wrong)]
        whole = back if isinstance(back, dict) else {}
        counted = whole.get("usage") or _value(span.attributes.get("mlflow.chat.tokenUsage"))
        model = first(whole, "model") or first(body, "model")
        model = model or _value(span.attributes.get("mlflow.llm.model"))
        return Request(
            spot=spot_of(span),
            history=self._history(span, asked, body),
            answers=answers,
            context=self._offered(span, body),
            model=text_or_none(model),
            usage=usage_of(counted),
        )

    def _history(self, span: Span, asked: Any, body: Mapping[str, Any]) -> list[Keyed]:
        histories = self._desk.histories
        said = first(body, "messages", "input", "prompt", "contents")
        system = provider.system(first(body, "system", "instructions"), histories)
        if said is None:
            said = _value(span.attributes.get("mlflow.chat.messages"))
            said = asked if said is None and not isinstance(asked, dict) else said
        return system + provider.history(said, histories, "/mlflow.spanInputs")

    def _offered(self, span: Span, body: Mapping[str, Any]) -> Context:
        tools = first(body, "tools", "functions")
        if tools is None:
            tools = _value(span.attributes.get("mlflow.chat.tools"))
        return self._contexts.of({**body, "tools": tools_of(tools), "functions": None})

    def close_file(self) -> None:
        """A session may go on in another file."""

    def finish(self) -> tuple[Session, ...]:
        """All conversations."""
        return self._book.finish()


def _placed(fields: Mapping[str, Any], info: Mapping[str, Any], record: Record, at: str) -> Span:
    """A span under the trace that it stands in; before version 3 its ids stood in a `context`."""
    span = span_of(fields, record, at)
    trace = _trace_id(info)
    return replace(span, trace=trace or span.trace)


def _value(text: Any) -> Any:
    """An attribute's value out of its JSON text; text that is no JSON is itself."""
    if not isinstance(text, str):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _run(span: Span) -> Run:
    asked = _value(span.attributes.get("mlflow.spanInputs"))
    back = _value(span.attributes.get("mlflow.spanOutputs"))
    wrong = trouble(span)
    named = text_or_none(_value(span.attributes.get("mlflow.spanFunctionName")))
    return Run(
        spot=spot_of(span),
        name=span.name or named or "",
        arguments=None if asked is None else dumped(asked),
        result=None if back is None else text_of(back),
        is_error=True if wrong is not None else None,
        hint=wrong,
    )


def _outcome(assessments: Any) -> Outcome | None:
    """A human's yes or no on the whole trace; the last one counts."""
    found: Outcome | None = None
    for entry in assessments if isinstance(assessments, list) else ():
        feedback = entry.get("feedback") if isinstance(entry, dict) else None
        source = entry.get("source") if isinstance(entry, dict) else None
        human = isinstance(source, dict) and source.get("source_type") == "HUMAN"
        value = feedback.get("value") if isinstance(feedback, dict) else None
        if human and isinstance(value, bool) and not entry.get("span_id"):
            found = Outcome(thumbs="up" if value else "down")
    return found


def _joins(value: Any, name: str) -> Iterator[str]:
    trace = _trace_of(value)
    if trace is None:
        return
    info = _info(trace)
    if _trace_id(info):
        yield f"trace:{_trace_id(info)}"
    if _session(info):
        yield f"session:{_session(info)}"
    for fields in _spans(trace) or ():
        attributes = fields.get("attributes") if isinstance(fields, dict) else None
        text = attributes.get("mlflow.spanInputs") if isinstance(attributes, dict) else None
        if isinstance(text, str) and '"messages"' in text[:200]:
            asked = parsed(text)
            said = asked.get("messages") if isinstance(asked, dict) else None
            words = first_said(iter(said)) if isinstance(said, list) else ""
            if words:
                yield f"words:{words[:200]}"


def _weigh(value: dict[str, Any]) -> float:
    trace = _trace_of(value)
    spans = None if trace is None else _spans(trace)
    if trace is None or spans is None:
        return 0.0
    text = str([s.get("attributes") for s in spans[:4] if isinstance(s, dict)])
    if "mlflow." in text:
        return 1.0
    info = trace.get("info")
    return 0.9 if isinstance(info, dict) and any("mlflow" in str(v) for v in info.values()) else 0.0


def sniff(peek: Peek) -> float:
    """Traces whose spans, or whose info, speak of MLflow."""
    return share(peek, _weigh)


def _reader(tally: Tally) -> MlflowReader:
    return MlflowReader(tally)


FORMAT = Format(
    name=NAME,
    about="MLflow traces; argument text as the provider sent it, tool runs without call ids",
    unit="span",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=_joins,
    kinds=("json", "csv", "parquet"),
)
