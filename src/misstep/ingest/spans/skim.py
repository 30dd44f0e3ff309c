"""What an OTLP export is joined by, found without building its spans.

In: a line. Out: what `known.keys_of` gives for its value, or None where the line is laid out in any
other way. Texts are only unescaped where a key is found in them.
"""

from __future__ import annotations

import msgspec

from misstep.ingest.spans.facts import CONVERSATIONS
from misstep.ingest.spans.known import Words, keys_in
from misstep.ingest.spans.span import Attributes, ident

_Other = msgspec.Raw | msgspec.UnsetType
_UNSET = msgspec.UNSET


class _Value(msgspec.Struct, rename="camel"):
    string_value: msgspec.Raw = msgspec.Raw()


class _Attribute(msgspec.Struct):
    key: str
    value: _Value


class _Span(msgspec.Struct, rename="camel"):
    trace_id: str
    span_id: str
    attributes: list[_Attribute] = []
    context: _Other = _UNSET


class _Scope(msgspec.Struct):
    spans: list[_Span]


class _Resource(msgspec.Struct, rename="camel"):
    scope_spans: list[_Scope]
    snake: _Other = msgspec.field(default=_UNSET, name="scope_spans")
    old: _Other = msgspec.field(default=_UNSET, name="instrumentationLibrarySpans")


class _Export(msgspec.Struct, rename="camel"):
    resource_spans: list[_Resource]
    snake: _Other = msgspec.field(default=_UNSET, name="resource_spans")
    batches: _Other = _UNSET
    resource_logs: _Other = _UNSET
    snake_logs: _Other = msgspec.field(default=_UNSET, name="resource_logs")


_EXPORT = msgspec.json.Decoder(_Export)
_TEXT = msgspec.json.Decoder(str)
_TELLING = frozenset(CONVERSATIONS)
_OPENING = ("gen_ai.input.messages", "ai.prompt.messages", "llm.input_messages", "gen_ai.prompt.")


class Skim:
    """Finds the keys of the lines of one file."""

    def __init__(self) -> None:
        self._words = Words()

    def __call__(self, line: bytes) -> list[str] | None:
        """The keys of a line; None leaves it to decoding."""
        try:
            export = _EXPORT.decode(line)
            if not _plain(export):
                return None
            return keys_in(
                (
                    (ident(span.trace_id), _attributes(span))
                    for resource in export.resource_spans
                    for scope in resource.scope_spans
                    for span in scope.spans
                ),
                self._words,
            )
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


def _plain(export: _Export) -> bool:
    others = (export.snake, export.batches, export.resource_logs, export.snake_logs)
    return all(other is _UNSET for other in others) and all(
        resource.snake is _UNSET
        and resource.old is _UNSET
        and all(span.context is _UNSET for scope in resource.scope_spans for span in scope.spans)
        for resource in export.resource_spans
    )


def _attributes(span: _Span) -> Attributes:
    """The attributes that keys are found in.

    Raises:
        DecodeError: one of them is no text.
    """
    return {
        attribute.key: _TEXT.decode(attribute.value.string_value)
        for attribute in span.attributes
        if attribute.key in _TELLING or attribute.key.startswith(_OPENING)
    }
