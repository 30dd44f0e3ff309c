"""Rows that hold one conversation each: misstep's own session rows, and `messages` + `tools` rows
as Hugging Face datasets (agent traces too) and fine-tuning files keep them.

In: `{"messages": […], "tools": […] or JSON text, …}`, one a line or in a list. All other fields of
a `Session` and of a `Message` may stand beside; messages with `parts` are the lossless form that
`store.encode` writes. A row that is the beginning of another row is counted there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson
from msgspec.structs import replace

from misstep.ingest.context import Contexts
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.identity import message_key, session_id
from misstep.ingest.messages import (
    chat_message,
    int_or_none,
    kind_of,
    number_or_none,
    place,
    text_or_none,
    unix_time,
    usage_of,
)
from misstep.types import Actor, Context, Message, Outcome, Role, Session

NAME = "chat-rows"
_OFFERS = (
    "tools",
    "functions",
    "response_schema",
    "response_format",
    "tool_choice",
    "max_tokens",
    "temperature",
    "top_p",
)
_ACTORS: dict[str, Actor] = {
    "agent": "agent",
    "sub-agent": "sub-agent",
    "simulated-user": "simulated-user",
    "human": "human",
    "harness": "harness",
}


class _Row(msgspec.Struct, frozen=True):
    session: Session
    given: str | None
    """The row's own id."""
    parent: str | None
    """The id, in the row's own words, of the row that it branches from."""


class RowReader:
    """Reads rows; each is one session unless it is the beginning of another."""

    def __init__(
        self, tally: Tally, name: str = NAME, actors: Mapping[Role, Actor] | None = None
    ) -> None:
        """`actors` says who speaks in a role where the row does not."""
        self._tally = tally
        self._name = name
        self._actors = actors or {}
        self._contexts = Contexts()
        self._rows: list[_Row] = []

    def read(self, record: Record) -> None:
        """Take one row."""
        try:
            self._rows.append(self._row(record))
        except Misfit as misfit:
            origin = record.at(place(record, misfit.pointer))
            self._tally.aside(origin, misfit.reason, misfit.said)
        else:
            self._tally.use()

    def _row(self, record: Record) -> _Row:
        row = record.value
        if not isinstance(row, dict):
            raise Misfit("", f"expected a row object, got {kind_of(row)}", "unknown-record")
        row = thawed(row)
        messages = row.get("messages")
        if not isinstance(messages, list):
            raise Misfit("/messages", f"expected a list of messages, got {kind_of(messages)}")
        if not messages:
            raise Misfit("/messages", "the list of messages is empty")
        if any(isinstance(message, dict) and "parts" in message for message in messages):
            session = stored_session(row, record)
        else:
            session = self.session(row, messages, record)
        given, parent = text_or_none(row.get("id")), text_or_none(row.get("parent"))
        return _Row(session=session, given=given, parent=parent)

    def session(
        self, row: Mapping[str, Any], rows: Sequence[Any], record: Record, at: str = "/messages"
    ) -> Session:
        """A row in chat form as a session.

        Raises:
            Misfit: a message or an offer has no known shape.
        """
        contexts = self._offers(row)
        messages = tuple(
            self._message(message, row, record, pointer=f"{at}/{index}", contexts=len(contexts))
            for index, message in enumerate(rows)
        )
        copies, prefix = int_or_none(row.get("copies")), int_or_none(row.get("prefix"))
        return Session(
            id=session_id(messages, contexts),
            format=self._name,
            messages=messages,
            contexts=contexts,
            prefix=prefix if prefix is not None and 0 <= prefix <= len(messages) else 0,
            outcome=outcome_of(row),
            copies=max(1, copies or 1),
            family=text_or_none(row.get("family")) or "",
        )

    def _message(
        self, value: Any, row: Mapping[str, Any], record: Record, *, pointer: str, contexts: int
    ) -> Message:
        message = chat_message(value, pointer)
        actor = _actor(value) or self._actors.get(message.role)
        origins = (record.at(place(record, pointer), text_or_none(row.get("id"))),)
        if message.role != "assistant":
            return replace(message, actor=actor, origins=origins)
        context = int_or_none(value.get("context"))
        if context is None:
            context = 0 if contexts else None
        elif not 0 <= context < contexts:
            raise Misfit(f"{pointer}/context", f"no context {context}; the row holds {contexts}")
        return replace(
            message,
            actor=actor,
            context=context,
            finish_reason=text_or_none(value.get("finish_reason")),
            end="cut" if value.get("end") == "cut" else "complete",
            error=text_or_none(value.get("error")),
            model=text_or_none(value.get("model")) or text_or_none(row.get("model")),
            usage=usage_of(value.get("usage")),
            time=unix_time(value.get("time", value.get("timestamp"))),
            origins=origins,
        )

    def _offers(self, row: Mapping[str, Any]) -> tuple[Context, ...]:
        listed = row.get("contexts")
        if isinstance(listed, list) and all(isinstance(offer, dict) for offer in listed):
            return tuple(self._contexts.of(offer) for offer in listed)
        if any(row.get(name) is not None for name in _OFFERS):
            return (self._contexts.of(row),)
        return ()

    def close_file(self) -> None:
        """Rows do not depend on their file."""

    def finish(self) -> tuple[Session, ...]:
        """The sessions, without rows that another row continues."""
        ids = {row.given: row.session.id for row in self._rows if row.given is not None}
        begun: set[bytes] = set()
        tails: list[bytes] = []
        for row in self._rows:
            chain = list(_chain(row.session))
            tails.append(chain[-1])
            begun.update(chain[:-1])
        return tuple(
            replace(row.session, parent=_resolved(row.parent, ids))
            for row, tail in zip(self._rows, tails, strict=True)
            if tail not in begun or row.session.outcome is not None
        )


def thawed(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row whose `messages` and `tools` are values, where a table holds them as JSON text."""
    fresh = {key: _thaw(row[key]) for key in ("messages", "tools") if _frozen(row.get(key))}
    return {**row, **fresh} if fresh else row


def _frozen(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(v, str) and v[:1] == "{" for v in value)
    return isinstance(value, str) and value.lstrip()[:1] == "["


def _thaw(value: Any) -> Any:
    try:
        return [orjson.loads(v) for v in value] if isinstance(value, list) else orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _resolved(parent: str | None, ids: Mapping[str, str]) -> str | None:
    return None if parent is None else ids.get(parent, parent)


def _chain(session: Session) -> Iterator[bytes]:
    """A hash of the conversation up to each of its messages; what was offered counts too."""
    offered = session.contexts[0] if session.contexts else None
    at = hash((offered, session.family)).to_bytes(8, "big", signed=True)
    for message in session.messages:
        at = hashlib.blake2b(at + message_key(message), digest_size=16).digest()
        yield at


def _actor(value: Mapping[str, Any]) -> Actor | None:
    actor = value.get("actor")
    return _ACTORS.get(actor) if isinstance(actor, str) else None


def outcome_of(row: Mapping[str, Any]) -> Outcome | None:
    """Reward, success and thumbs, in an `outcome` object or beside the messages."""
    nested = row.get("outcome")
    said = nested if isinstance(nested, dict) else row
    reward, resolved, thumbs = said.get("reward"), said.get("resolved"), said.get("thumbs")
    outcome = Outcome(
        reward=number_or_none(reward),
        resolved=resolved if isinstance(resolved, bool) else None,
        thumbs="up" if thumbs == "up" else "down" if thumbs == "down" else None,
        limit=text_or_none(nested.get("limit")) if isinstance(nested, dict) else None,
    )
    return None if outcome == Outcome() else outcome


def stored_session(row: Mapping[str, Any], record: Record) -> Session:
    """A row in the lossless form of `store.encode`; its id is computed anew.

    Raises:
        Misfit: it is not that form.
    """
    try:
        session = msgspec.convert({"id": "", "format": NAME, **row}, Session)
    except msgspec.ValidationError as error:
        raise Misfit("", f"not a stored session: {error}") from None
    for index, message in enumerate(session.messages):
        _check_stored(message, len(session.contexts), f"/messages/{index}")
    if not 0 <= session.prefix <= len(session.messages):
        raise Misfit("/prefix", f"a prefix of {session.prefix} in {len(session.messages)} messages")
    origin = (record.at(record.origin.pointer or "", text_or_none(row.get("id"))),)
    messages = tuple(m if m.origins else replace(m, origins=origin) for m in session.messages)
    return replace(
        session,
        id=session_id(messages, session.contexts),
        format=NAME,
        messages=messages,
        copies=max(1, session.copies),
    )


_FIELD = {"text": "text", "reasoning": "text", "image": "text", "call": "call", "result": "result"}


def _check_stored(message: Message, contexts: int, pointer: str) -> None:
    if message.context is not None and not 0 <= message.context < contexts:
        said = f"no context {message.context}; the row holds {contexts}"
        raise Misfit(f"{pointer}/context", said)
    for index, part in enumerate(message.parts):
        held = {"text": part.text, "call": part.call, "result": part.result}
        filled = {name for name, value in held.items() if value is not None}
        if filled != {_FIELD[part.kind]}:
            said = f"a part of kind {part.kind} must hold {_FIELD[part.kind]} and nothing else"
            raise Misfit(f"{pointer}/parts/{index}", said)


def _weigh(value: dict[str, Any]) -> float:
    messages = thawed(value).get("messages")
    if not isinstance(messages, list) or not messages:
        return 0.0
    told = sum(isinstance(m, dict) and isinstance(m.get("role"), str) for m in messages)
    return 0.8 * told / len(messages)


def sniff(peek: Peek) -> float:
    """Objects with a `messages` list of messages that have a role."""
    return share(peek, _weigh)


def _reader(tally: Tally) -> RowReader:
    return RowReader(tally)


def _joins(value: Any, name: str) -> Iterator[str]:
    """How the conversation begins, since another row may continue it, and the ids of rows."""
    if not isinstance(value, dict):
        return
    row = thawed(value)
    for link in ("id", "parent"):
        if text_or_none(row.get(link)) is not None:
            yield f"id:{row[link]}"
    messages = row.get("messages")
    for at, message in enumerate(messages[:8] if isinstance(messages, list) else ()):
        if not isinstance(message, dict) or message.get("role") in ("system", "developer"):
            continue
        if "parts" not in message:
            try:
                yield f"first:{message_key(chat_message(message, f'/messages/{at}')).hex()}"
            except Misfit:
                return
        return


FORMAT = Format(
    name=NAME,
    about="misstep's own session rows and messages + tools rows; one conversation a row",
    unit="row",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=_joins,
)
