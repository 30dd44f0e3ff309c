"""Stored messages of one goose session as conversations.

In: the messages in order. Out: sessions. goose may store one answer as several messages: those
that follow each other, or that carry the same id, become one, and the results of its calls one
message after it. What was taken from the model's sight by a compaction is a conversation of its
own, and the summary starts the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from misstep.ingest.coding.goose_blocks import Content, read_blocks
from misstep.ingest.decode import Fault, decode
from misstep.ingest.format import Misfit, Tally
from misstep.ingest.messages import int_or_none, text_or_none, unix_time
from misstep.types import Actor, Message, Origin, Part, Usage

_DEEP = 100
_FAILED = ("Ran into this error: ", "Please retry if you think this is a transient or recoverable")


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One stored message."""

    value: Mapping[str, Any]
    origin: Origin
    order: tuple[float, int]


class Talk(msgspec.Struct):
    """One conversation as it grows."""

    side: bool
    model: str | None = None
    messages: list[Message] = msgspec.field(default_factory=list)
    ids: list[str | None] = msgspec.field(default_factory=list)

    def answer(self, message: Message, own_id: str | None) -> None:
        """An answer, or more of the last one."""
        at = self._last_answer()
        follows = at is not None and at == len(self.messages) - 1
        same = at is not None and own_id is not None and self.ids[at] == own_id
        if at is None or not (follows or same) or message.error or self.messages[at].error:
            self._add(message, own_id)
        else:
            self.messages[at] = _joined(self.messages[at], message)

    def results(self, message: Message) -> None:
        """Results, after those of the same answer; what an unread call got back is its fault."""
        unread = {c.id for m in self.messages[-4:] for c in m.calls if c.fault is not None}
        message = replace(message, parts=tuple(_blamed(part, unread) for part in message.parts))
        last = self.messages[-1] if self.messages else None
        if last is not None and last.role == "tool":
            origins = (*last.origins, *message.origins)
            self.messages[-1] = replace(last, parts=(*last.parts, *message.parts), origins=origins)
        else:
            self._add(message, None)

    def said(self, message: Message) -> None:
        """A user's message."""
        self._add(message, None)

    def _add(self, message: Message, own_id: str | None) -> None:
        self.messages.append(message)
        self.ids.append(own_id)

    def _last_answer(self) -> int | None:
        """The last answer, unless a user spoke after it."""
        for at in range(len(self.messages) - 1, -1, -1):
            if self.messages[at].role == "user":
                return None
            if self.messages[at].role == "assistant":
                return at
        return None


def _blamed(part: Part, unread: set[str | None]) -> Part:
    if part.result is None or part.result.call_id not in unread or not part.result.is_error:
        return part
    return replace(part, result=replace(part.result, cause="model"))


def _joined(whole: Message, more: Message) -> Message:
    first = len(whole.calls)
    parts = [
        part if part.call is None else replace(part, call=replace(part.call, index=first + n))
        for n, part in _counted(more.parts)
    ]
    return replace(
        whole,
        parts=(*whole.parts, *parts),
        usage=more.usage or whole.usage,
        origins=(*whole.origins, *more.origins),
    )


def _counted(parts: tuple[Part, ...]) -> Iterator[tuple[int, Part]]:
    calls = 0
    for part in parts:
        yield calls, part
        calls += part.kind == "call"


def talks_of(stored: list[Stored], tally: Tally, *, side: bool, model: str | None) -> list[Talk]:
    """The conversations of one session, the one before a compaction first."""
    hidden, seen = Talk(side, model), Talk(side, model)
    for message in sorted(stored, key=lambda one: one.order):
        try:
            content = read_blocks(_content(message.value), "/content")
        except Misfit as misfit:
            pointer = f"{message.origin.pointer or ''}{misfit.pointer}" or None
            tally.aside(replace(message.origin, pointer=pointer), misfit.reason, misfit.said)
            continue
        notes = _notes(message.value)
        role = message.value.get("role")
        if role not in ("user", "assistant"):
            tally.aside(message.origin, "bad-message", "expected the role user or assistant")
        elif content.shown_only:
            tally.ignore("shown-only")
        else:
            tally.use()
            _put(message, content, notes, hidden if notes.get("agentVisible") is False else seen)
    return [talk for talk in (hidden, seen) if talk.messages]


def _content(value: Mapping[str, Any]) -> Any:
    text = value.get("content_json")
    if not isinstance(text, str):
        return value.get("content")
    found = decode(text.encode(), max_depth=_DEEP)
    if isinstance(found, Fault):
        raise Misfit("", f"content_json: {found.said}", found.reason)
    return found


def _notes(value: Mapping[str, Any]) -> Mapping[str, Any]:
    notes = value.get("metadata", value.get("metadata_json"))
    if isinstance(notes, str):
        notes = decode(notes.encode(), max_depth=_DEEP)
    return notes if isinstance(notes, dict) else {}


def _put(message: Stored, content: Content, notes: Mapping[str, Any], talk: Talk) -> None:
    value = message.value
    time = unix_time(value.get("created", value.get("created_timestamp")))
    origins = (message.origin,)
    if content.results:
        results = tuple(content.results)
        talk.results(Message(role="tool", parts=results, time=time, origins=origins))
    if not content.parts and content.error is None:
        return
    if value["role"] == "user":
        human = not talk.side and notes.get("userVisible") is not False
        actor: Actor = "human" if human else "harness"
        parts = tuple(content.parts)
        talk.said(Message(role="user", parts=parts, actor=actor, time=time, origins=origins))
        return
    told = notes.get("inference")
    asked = text_or_none(told.get("requestedModel")) if isinstance(told, dict) else None
    failed = content.error or _ran_into(content)
    answer = Message(
        role="assistant",
        parts=() if failed and not content.error else tuple(content.parts),
        actor="sub-agent" if talk.side else "agent",
        error=failed,
        model=asked or talk.model,
        usage=_usage(notes.get("usage")),
        time=time,
        origins=origins,
    )
    talk.answer(answer, text_or_none(value.get("message_id", value.get("id"))))


def _ran_into(content: Content) -> str | None:
    """The failed request behind a text that older versions write in the model's name."""
    text = "".join(part.text or "" for part in content.parts if part.kind == "text")
    alone = len(content.parts) == 1 and text.startswith(_FAILED[0]) and _FAILED[1] in text
    return text.removeprefix(_FAILED[0]).split(_FAILED[1])[0].strip() if alone else None


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    taken, given = int_or_none(usage.get("inputTokens")), int_or_none(usage.get("outputTokens"))
    known = taken is not None or given is not None
    return Usage(input_tokens=taken, output_tokens=given) if known else None
