"""The layouts in which spans are written down, and the spans that stand in one record.

In: one decoded record: an OTLP export (traces or logs), an SDK's dump of one span, a Phoenix row,
a list of such, or an object that holds them as `spans`, `traces` or `data`. Out: the units of the
record, at least one. A record of another kind gives one `Odd`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from misstep.ingest.format import Record
from misstep.ingest.messages import kind_of, text_or_none
from misstep.ingest.spans.span import (
    Aside,
    Event,
    Log,
    Odd,
    Span,
    Unit,
    attributes_of,
    events_of,
    first,
    ident,
    plain,
    seconds,
    status,
)

_SCOPES = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans")
_RESOURCES = ("resourceSpans", "resource_spans", "batches")
_LOGS = ("resourceLogs", "resource_logs")
_LOG_SCOPES = ("scopeLogs", "scope_logs")
_LOG_ROWS = ("logRecords", "log_records")
_METRICS = ("resourceMetrics", "resource_metrics")
_EXPORTS = frozenset((*_RESOURCES[:2], *_LOGS, *_METRICS))


def units(record: Record) -> list[Unit]:
    """The units of one record, in their order; never empty."""
    bare = Record(value=None, origin=record.origin)
    return list(_units(record.value, bare, "", 0)) or [Aside(kind="empty-export")]


def is_otlp(value: Any) -> bool:
    """Whether a value is an OTLP export of traces or logs."""
    if not isinstance(value, dict) or _EXPORTS.isdisjoint(value):
        return False
    return any(isinstance(value.get(key), list) for key in _EXPORTS)


def _units(value: Any, record: Record, at: str, depth: int) -> Iterator[Unit]:
    if isinstance(value, list) and depth < _DEEPEST:
        for index, inner in enumerate(value):
            yield from _units(inner, record, f"{at}/{index}", depth + 1)
    elif not isinstance(value, dict):
        yield Odd(pointer=at, said=f"expected a span, got {kind_of(value)}")
    elif any(isinstance(value.get(key), list) for key in (*_RESOURCES, *_LOGS, *_METRICS)):
        yield from _export(value, record, at)
    else:
        key = next((k for k in _HOLDERS if isinstance(value.get(k), (list, dict))), None)
        if is_flat(value):
            yield span_of(value, record, at)
            below = value.get("child_spans")
            if isinstance(below, list) and depth < _DEEPEST:
                yield from _units(below, record, f"{at}/child_spans", depth + 1)
        elif key is not None and depth < _DEEPEST:
            yield from _units(value[key], record, f"{at}/{key}", depth + 1)
        else:
            keys = ", ".join(list(value)[:6])
            yield Odd(pointer=at, said=f"neither a span nor an export: an object with {keys}")


_DEEPEST = 100
"""Lists and trees nest no deeper than this; what lies below is one thing that is no span."""
_HOLDERS = ("spans", "traces", "trace", "data")


def _export(value: Mapping[str, Any], record: Record, at: str) -> Iterator[Unit]:
    for where, row in _rows(value, (_RESOURCES, _SCOPES, ("spans",)), at):
        yield span_of(row, record, where) if isinstance(row, dict) else _odd(row, where)
    for where, row in _rows(value, (_LOGS, _LOG_SCOPES, _LOG_ROWS), at):
        yield _log(row, record, where) if isinstance(row, dict) else _odd(row, where)
    if any(isinstance(value.get(key), list) for key in _METRICS):
        yield Aside(kind="metrics", pointer=at)


def _odd(row: Any, at: str) -> Odd:
    return Odd(pointer=at, said=f"expected a span, got {kind_of(row)}")


def _rows(value: Any, path: tuple[tuple[str, ...], ...], at: str) -> Iterator[tuple[str, Any]]:
    """The innermost entries of lists within lists, each with its pointer."""
    for where, entry in _each(value, path[0], at):
        if len(path) == 1:
            yield where, entry
        else:
            yield from _rows(entry, path[1:], where)


def _each(holder: Any, names: tuple[str, ...], at: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(holder, dict):
        return
    for name in names:
        listed = holder.get(name)
        if isinstance(listed, list):
            for index, entry in enumerate(listed):
                yield f"{at}/{name}/{index}", entry


_IDS = ("span_id", "spanId", "context.span_id", "spanID")
_TRACES = ("trace_id", "traceId", "context.trace_id", "traceID")
_PARENTS = ("parent_id", "parentSpanId", "parent_span_id", "parentId")
_STARTS = (
    "startTimeUnixNano",
    "start_time_unix_nano",
    "start_time",
    "startTime",
    "start_timestamp",
    "started_at",
)
_ENDS = ("endTimeUnixNano", "end_time_unix_nano", "end_time", "endTime", "end_timestamp")


MAY_HOLD = frozenset(("spans", "traces", "data", "context", *_IDS))
"""Fields of which an object has one, if it is a span or holds a list of spans."""


def is_flat(value: Mapping[str, Any]) -> bool:
    """Whether an object has the fields of a span: an id, and attributes in some form."""
    context = value.get("context")
    inner = isinstance(context, dict) and first(context, *_IDS) is not None
    if not inner and first(value, *_IDS) is None:
        return False
    if any(key in value for key in ("attributes", "tags", "span_attributes", "SpanAttributes")):
        return True
    return any(key.startswith("attributes.") for key in value)


def span_of(fields: Mapping[str, Any], record: Record, at: str) -> Span:
    """One span from its fields, whatever names they go by."""
    context = fields.get("context")
    ids = {**fields, **context} if isinstance(context, dict) else fields
    failed, said = status(fields)
    attributes = attributes_of(first(fields, "attributes", "span_attributes", "tags"))
    if not attributes and "attributes" not in fields:
        attributes = _columns(fields)
    kind = text_or_none(fields.get("span_kind"))
    if kind and "openinference.span.kind" not in attributes and kind.isupper():
        attributes["openinference.span.kind"] = kind
    start = seconds(first(fields, *_STARTS))
    end = seconds(first(fields, *_ENDS))
    if start is not None and end is None and isinstance(fields.get("duration"), int):
        end = start + fields["duration"] / 1e6
    return Span(
        trace=ident(first(ids, *_TRACES)),
        id=ident(first(ids, *_IDS)),
        parent=ident(first(fields, *_PARENTS)) or _referred(fields),
        name=text_or_none(first(fields, "name", "operationName", "span_name")) or "",
        start=start,
        end=end,
        failed=True if attributes.get("error") is True else failed,
        said=said,
        attributes=attributes,
        events=events_of(fields.get("events")) or _fields_as_events(fields.get("logs")),
        pointer=at,
        record=record,
    )


def _columns(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes that stand in columns of their own; empty cells are left out."""
    found: dict[str, Any] = {}
    for key, value in fields.items():
        if key.startswith("attributes.") and value is not None and value == value:
            found.update(attributes_of({key[11:]: value}))
    return found


def _referred(fields: Mapping[str, Any]) -> str | None:
    """The parent as Jaeger names it."""
    listed = fields.get("references")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and entry.get("refType") == "CHILD_OF":
            return ident(entry.get("spanID")) or None
    return None


def _fields_as_events(listed: Any) -> list[Event]:
    """Events as Jaeger names them."""
    found = []
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict):
            fields = attributes_of(entry.get("fields"))
            name = text_or_none(first(fields, "event", "name")) or ""
            time = seconds(entry.get("timestamp"))
            found.append(Event(name=name, attributes=fields, time=time))
    return found


def _log(fields: Mapping[str, Any], record: Record, at: str) -> Log:
    attributes = attributes_of(fields.get("attributes"))
    named = first(fields, "eventName", "event_name") or attributes.get("event.name")
    return Log(
        trace=ident(first(fields, "traceId", "trace_id")),
        span=ident(first(fields, "spanId", "span_id")),
        name=text_or_none(named) or "",
        body=plain(fields.get("body")),
        attributes=attributes,
        time=seconds(
            first(fields, "timeUnixNano", "time_unix_nano", "observedTimeUnixNano", "timestamp")
        ),
        pointer=at,
        record=record,
    )
