"""OpenTelemetry GenAI: messages with parts in attributes, and the event forms before them.

In: spans with `gen_ai.input.messages`, `gen_ai.output.messages`, `gen_ai.system_instructions` (also
within an event), with `gen_ai.*.message` and `gen_ai.choice` events on the span or as log records,
or with the `gen_ai.content.prompt` events of the first drafts. Out: histories and answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from misstep.ingest.format import Misfit
from misstep.ingest.messages import text_or_none
from misstep.ingest.spans.facts import parsed, texts_of
from misstep.ingest.spans.history import Histories, Keyed, keyed
from misstep.ingest.spans.rows import messages_of
from misstep.ingest.spans.span import Attributes, Event, Span
from misstep.types import Message

Told = tuple[list[Keyed], list[Message]]

INPUT = "gen_ai.input.messages"
OUTPUT = "gen_ai.output.messages"
SYSTEM = "gen_ai.system_instructions"
_WHOLE = ("pydantic_ai.all_messages", "all_messages_events")
_OUTPUTS = (OUTPUT, "gen_ai.response.messages")


def has_messages(attributes: Attributes) -> bool:
    """Whether messages stand in the attributes themselves."""
    return INPUT in attributes or OUTPUT in attributes


def from_attributes(attributes: Attributes, histories: Histories, name: str) -> Told:
    """Messages with parts.

    Args:
        name: what requests that repeat each other share.

    Raises:
        Misfit: an attribute holds no messages.
    """
    history = rows(attributes.get(SYSTEM), histories, SYSTEM, role="system")
    history = history + rows(attributes.get(INPUT), histories, name)
    answers = answer_rows(attributes.get(OUTPUT), OUTPUT)
    reasons = texts_of(attributes.get("gen_ai.response.finish_reasons"))
    return sequence(history, with_reasons(answers, reasons))


def rows(value: Any, histories: Histories, name: str, *, role: str = "user") -> list[Keyed]:
    """Messages as JSON text or as a list; plain text is one message."""
    if value is None or value == "":
        return []
    if role == "system":
        return histories.listed([_system(value)], SYSTEM, role="system")
    if not isinstance(value, str):
        return histories.listed(value, f"/{INPUT}", role=role)
    if value[:1] == "[":
        return histories.text(value, f"/{INPUT}", conversation=name)
    whole = parsed(value) if value[:1] == "{" else None
    if isinstance(whole, dict) and isinstance(whole.get("messages"), list):
        return histories.listed(whole["messages"], f"/{INPUT}", role=role)
    return histories.listed([{"role": role, "content": value}], f"/{INPUT}")


def _system(value: Any) -> Mapping[str, Any]:
    whole = parsed(value) if isinstance(value, str) and value[:1] in ("[", "{") else value
    if isinstance(whole, list):
        return {"role": "system", "parts": whole}
    if isinstance(whole, dict):
        return {"role": "system", "parts": [whole]}
    return {"role": "system", "content": value}


def answer_rows(value: Any, pointer: str) -> list[Message]:
    """The messages of an output, with the finish reason that each one says."""
    if value is None or value == "":
        return []
    whole = parsed(value) if isinstance(value, str) and value[:1] in ("[", "{") else value
    if isinstance(whole, str):
        whole = [{"role": "assistant", "content": whole}]
    found: list[Message] = []
    for index, row in enumerate(whole if isinstance(whole, list) else [whole]):
        reason = text_or_none(row.get("finish_reason")) if isinstance(row, dict) else None
        for message in messages_of(row, f"/{pointer}/{index}", role="assistant"):
            found.append(replace(message, finish_reason=reason))
    return found


def with_reasons(answers: list[Message], reasons: list[str | None]) -> list[Message]:
    """Answers with the finish reasons that stand beside them, choice by choice."""
    made = [a for a in answers if a.role == "assistant"]
    if len(reasons) != len(made):
        return answers
    told = iter(reasons)
    return [
        replace(a, finish_reason=a.finish_reason or next(told)) if a.role == "assistant" else a
        for a in answers
    ]


def sequence(history: list[Keyed], answers: list[Message]) -> Told:
    """An output of several turns belongs to the history, save its last answer."""
    if all(message.role == "assistant" for message in answers):
        return history, answers
    last = answers[-1] if answers[-1].role == "assistant" else None
    before = answers[:-1] if last is not None else answers
    return history + keyed(before), [] if last is None else [last]


def whole_conversation(attributes: Attributes, histories: Histories, name: str) -> Told | None:
    """The conversation that an agent's own span holds; None where it holds none."""
    key = next((key for key in _WHOLE if attributes.get(key)), None)
    if key is None:
        return from_attributes(attributes, histories, name) if has_messages(attributes) else None
    history = rows(attributes.get(SYSTEM), histories, SYSTEM, role="system")
    every = answer_rows(attributes[key], key)
    while every and every[-1].role != "assistant":
        every.pop()
    return (history + keyed(every[:-1]), every[-1:]) if every else (history, [])


_HEARD = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
CHOICE = "gen_ai.choice"
DETAILS = "gen_ai.client.inference.operation.details"
_DRAFT = {
    "gen_ai.content.prompt": "gen_ai.prompt",
    "gen_ai.content.completion": "gen_ai.completion",
}
SPOKEN = {*_HEARD, CHOICE}


def from_events(events: Iterable[tuple[str, Any]], histories: Histories) -> Told:
    """Messages that stand in events of their own, in their order.

    Args:
        events: names with bodies.

    Raises:
        Misfit: a body is no message.
    """
    history: list[Keyed] = []
    answers: list[Message] = []
    for name, body in events:
        row = _unpacked(body)
        if name == CHOICE:
            answers.extend(_choice(row))
        elif name in _HEARD:
            history.extend(histories.listed([{"role": _HEARD[name], **row}], f"/{name}"))
    return history, answers


def _choice(row: Mapping[str, Any]) -> list[Message]:
    said = row.get("message", row.get("content"))
    body: dict[str, Any] = dict(said) if isinstance(said, dict) else {"content": said}
    for key in ("tool_calls", "refusal"):
        if key not in body and key in row:
            body[key] = row[key]
    reason = text_or_none(row.get("finish_reason"))
    found = messages_of({**body, "role": "assistant"}, f"/{CHOICE}")
    return [replace(message, finish_reason=reason) for message in found]


_STRUCTURED = ("content", "message", "tool_calls", "parts")
_MARKS = {"type", "text", "role", "content", "toolUse", "toolResult", "function", "parts"}


def _unpacked(body: Any) -> dict[str, Any]:
    """A body whose fields may be JSON text, since attributes of events cannot nest."""
    if isinstance(body, str):
        body = parsed(body)
    if not isinstance(body, dict):
        raise Misfit("", "an event whose body is no message")
    row = {key: value for key, value in body.items() if not key.startswith(("gen_ai.", "event."))}
    for key in _STRUCTURED:
        value = row.get(key)
        if isinstance(value, str) and value[:2] in ("[{", '{"'):
            inner = parsed(value)
            listed = inner if isinstance(inner, list) else [inner]
            if all(isinstance(piece, dict) and _MARKS & piece.keys() for piece in listed):
                row[key] = inner
    return row


def span_events(span: Span, histories: Histories) -> Told | None:
    """Messages in the events of a span, in any of the event forms; None where there are none."""
    for event in span.events:
        if event.name == DETAILS and has_messages(event.attributes):
            return from_attributes(event.attributes, histories, span.trace)
    listed = span.attributes.get("events")
    if isinstance(listed, str) and '"gen_ai.' in listed:
        listed = parsed(listed)
    if isinstance(listed, list) and listed:
        named = [(e.get("event.name"), e) for e in listed if isinstance(e, dict)]
        spoken = [(name, body) for name, body in named if name in SPOKEN]
        if spoken:
            return from_events([(str(name), body) for name, body in spoken], histories)
    spoken = [(event.name, _event_body(event)) for event in span.events if event.name in SPOKEN]
    if spoken:
        return from_events(spoken, histories)
    return _draft(span.events, histories)


def _event_body(event: Event) -> Any:
    packed = event.attributes.get("gen_ai.event.content")
    return packed if isinstance(packed, str) else event.attributes


def _draft(events: list[Event], histories: Histories) -> Told | None:
    """The events of the first drafts, which hold a list of messages as JSON text."""
    said = {e.name: e.attributes.get(_DRAFT[e.name]) for e in events if e.name in _DRAFT}
    if not said:
        return None
    history = rows(said.get("gen_ai.content.prompt"), histories, "")
    return sequence(history, answer_rows(said.get("gen_ai.content.completion"), CHOICE))
