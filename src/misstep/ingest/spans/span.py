"""One span or one log record of a trace, whatever the layout of the file it stands in.

In: the fields of one span as OTLP, as an SDK's own dump, as a Phoenix row or as Jaeger writes them.
Out: a `Span` with plain attributes, or a `Log`. A field of an impossible shape is as if absent; a
span without an id is told apart by its place. Nothing here raises on content.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import orjson

from misstep.ingest.format import Record
from misstep.ingest.messages import number_or_none, text_or_none

Attributes = dict[str, Any]


class Event(msgspec.Struct, kw_only=True):
    """Something that happened within a span."""

    name: str
    attributes: Attributes
    time: float | None = None


class Span(msgspec.Struct, kw_only=True):
    """One span."""

    trace: str
    id: str
    parent: str | None
    name: str
    start: float | None
    """Unix seconds."""
    end: float | None
    failed: bool | None
    """True for an error, False where the status says it went well, None where it says nothing."""
    said: str | None
    """The message of the status."""
    attributes: Attributes
    events: list[Event]
    pointer: str
    """Place in the record."""
    record: Record
    """The record's origin; its value is left out, so that it can be let go."""

    @property
    def time(self) -> float | None:
        """When the span ended, or else began."""
        return self.end if self.end is not None else self.start


class Log(msgspec.Struct, kw_only=True):
    """One log record that belongs to a span."""

    trace: str
    span: str
    name: str
    body: Any
    attributes: Attributes
    time: float | None
    pointer: str
    record: Record


class Odd(msgspec.Struct, kw_only=True):
    """What stands where a span should, and is none."""

    pointer: str
    said: str


class Aside(msgspec.Struct, kw_only=True):
    """A unit that is no span by its kind."""

    kind: str
    pointer: str = msgspec.field(default="")


Unit = Span | Log | Odd | Aside


def plain(value: Any) -> Any:
    """An OTLP `AnyValue` as a plain value; anything else as it is."""
    if type(value) is not dict or len(value) != 1:
        return value
    ((kind, inner),) = value.items()
    if kind in ("stringValue", "string_value", "boolValue", "bool_value"):
        return inner
    if kind in ("intValue", "int_value"):
        return _int(inner)
    if kind in ("doubleValue", "double_value", "bytesValue", "bytes_value"):
        return inner
    if kind in ("arrayValue", "array_value"):
        values = inner.get("values") if isinstance(inner, dict) else None
        return [plain(v) for v in values] if isinstance(values, list) else []
    if kind in ("kvlistValue", "kvlist_value"):
        return attributes_of(inner.get("values") if isinstance(inner, dict) else None)
    return value


def _int(value: Any) -> Any:
    if isinstance(value, str) and len(value) <= 20:
        try:
            return int(value)
        except ValueError:
            return value
    return value


def attributes_of(listed: Any) -> Attributes:
    """Attributes as a list of `{key, value}`, as an object, or as JSON text of either."""
    if type(listed) is list:
        found: Attributes = {}
        for entry in listed:
            if type(entry) is dict:
                key, value = entry.get("key"), entry.get("value")
                if type(key) is str:
                    text = value.get("stringValue") if type(value) is dict else value
                    found[key] = text if type(text) is str else plain(value)
        return found
    if isinstance(listed, str) and listed[:1] in ("{", "["):
        try:
            return attributes_of(orjson.loads(listed))
        except orjson.JSONDecodeError:
            return {}
    if isinstance(listed, dict):
        return _flat(listed) if any(type(v) is dict for v in listed.values()) else dict(listed)
    return {}


_NESTED = (
    "gen_ai",
    "llm",
    "openinference",
    "session",
    "input",
    "output",
    "tool",
    "ai",
    "traceloop",
)


def _flat(nested: Mapping[str, Any]) -> Attributes:
    """Nested attributes with dotted keys; lists stay, and so do objects of other names."""
    found: Attributes = {}
    for key, value in nested.items():
        if key in _NESTED and isinstance(value, dict):
            _spread(key, value, found, 0)
        else:
            found[key] = value
    return found


def _spread(base: str, value: Mapping[str, Any], found: Attributes, depth: int) -> None:
    for key, inner in value.items():
        name = f"{base}.{key}"
        if isinstance(inner, dict) and inner and depth < 4:
            _spread(name, inner, found, depth + 1)
        else:
            found[name] = inner


def seconds(value: Any) -> float | None:
    """Unix seconds from nano-, micro-, milliseconds or seconds, as a number, digits or ISO text."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, str):
        if value.isdigit():
            value = int(value[:24])
        else:
            try:
                return datetime.fromisoformat(value).timestamp()
            except (ValueError, OverflowError):
                return None
    number = number_or_none(value)
    if number is None or number <= 0:
        return None
    for limit, unit in ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3)):
        if number > limit:
            return number / unit
    return number


def first(fields: Mapping[str, Any], *names: str) -> Any:
    """The value of the first of these names that is there and not null."""
    for name in names:
        value = fields.get(name)
        if value is not None:
            return value
    return None


def text_at(fields: Mapping[str, Any], *names: str) -> str | None:
    """The first of these fields that holds text, empty or not."""
    return next((value for name in names if isinstance(value := fields.get(name), str)), None)


def ident(value: Any) -> str:
    """An id as text; empty where there is none (all zeros, or no text)."""
    text = text_or_none(value)
    if text is None or not text.strip("0"):
        return ""
    return text[2:].lower() if text.startswith("0x") else text


_ERRORS = {2, "2", "ERROR", "STATUS_CODE_ERROR", "error", "Error"}
_FINE = {1, "1", "OK", "STATUS_CODE_OK", "ok", "Ok"}


def status(fields: Mapping[str, Any]) -> tuple[bool | None, str | None]:
    """Whether a span failed, and what its status says."""
    whole = fields.get("status")
    if isinstance(whole, dict):
        code = first(whole, "code", "status_code", "statusCode")
        said = first(whole, "message", "description")
    else:
        code = first(fields, "status_code", "statusCode") if whole is None else whole
        said = first(fields, "status_message", "statusMessage")
    told = text_or_none(said)
    if not isinstance(code, (str, int)):
        return None, told
    if isinstance(code, str):
        code = code.removeprefix("StatusCode.")
    return (True if code in _ERRORS else False if code in _FINE else None), told


def events_of(listed: Any) -> list[Event]:
    """The events of a span, from a list or from JSON text."""
    if not listed:
        return []
    if isinstance(listed, str) and listed[:1] == "[":
        try:
            listed = orjson.loads(listed)
        except orjson.JSONDecodeError:
            return []
    if not isinstance(listed, list):
        return []
    return [
        Event(
            name=text_or_none(entry.get("name")) or "",
            attributes=attributes_of(entry.get("attributes")),
            time=seconds(first(entry, "timeUnixNano", "time_unix_nano", "timestamp")),
        )
        for entry in listed
        if isinstance(entry, dict)
    ]
