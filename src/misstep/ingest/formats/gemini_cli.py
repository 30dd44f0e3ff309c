"""Gemini CLI sessions: one JSON document, or JSON lines that also patch what came before.

A line is a message, the head, `{"$set": …}` or `{"$rewindTo": id}`; a message that is written again
under its id replaces the earlier line. Kept: thoughts, texts, calls with results and status
(`success`, `error`, `cancelled`: a human's no), exit codes of the shell, model, tokens, times,
rewinds and replaced histories as branches, sub-agents with the session that started them. Not told:
tool schemas, the arguments as they were written, finish reasons, and requests that failed: the
program tries again or gives up without a line, also after a malformed call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec

from misstep.ingest.coding.gemini_turns import Turn, turn_of
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.messages import kind_of, place, text_or_none
from misstep.ingest.tree import Node, Sessions, plant
from misstep.types import Actor, Message, Part, Session

NAME = "gemini-cli"


class _Chat(msgspec.Struct):
    """One file as far as it was read."""

    session: str
    above: str | None = None
    """The session that started this one, by the folder that the file lies in."""
    actor: Actor = "agent"
    turns: dict[str, Turn] = msgspec.field(default_factory=dict)
    """The newest version of each message by its id."""
    lines: set[str] = msgspec.field(default_factory=set)
    """Ids of messages that a line of their own holds."""
    order: list[str] = msgspec.field(default_factory=list)
    held: set[str] = msgspec.field(default_factory=set)
    """The ids in `order`."""
    left: list[list[str]] = msgspec.field(default_factory=list)
    """What the conversation was before a rewind, or before its history was replaced."""

    def leave(self, order: list[str]) -> None:
        """Go on from another history; the one before stays as a branch."""
        if self.order and self.order != order[: len(self.order)]:
            self.left.append(self.order)
        self.order, self.held = order, set(order)

    def hold(self, name: str) -> None:
        """A message comes next, unless it is there already."""
        if name not in self.held:
            self.held.add(name)
            self.order.append(name)


class ChatReader:
    """Reads the sessions of one run."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._chats: dict[tuple[str, str | None], _Chat] = {}

    def read(self, record: Record) -> None:
        """Take one line, or one document."""
        value = record.value
        try:
            if not isinstance(value, dict):
                raise Misfit("", f"expected an object, got {kind_of(value)}", "not-an-object")
            chat = self._chat(record)
            if isinstance(value.get("messages"), list):
                self._document(chat, value, record)
            elif "$rewindTo" in value:
                _rewind(chat, value["$rewindTo"])
                self._tally.ignore("$rewindTo")
            elif "$set" in value:
                self._set(chat, value["$set"], record)
            elif "sessionId" in value and "type" not in value:
                _head(chat, value)
                self._tally.ignore("head")
            elif "messageId" in value:
                self._tally.ignore("prompt-history")
            else:
                self._line(chat, value, record)
        except Misfit as misfit:
            origin = record.at(place(record, misfit.pointer))
            self._tally.aside(origin, misfit.reason, misfit.said)

    def _chat(self, record: Record) -> _Chat:
        origin = record.origin
        key = (origin.file, origin.member)
        if key not in self._chats:
            path = PurePosixPath(origin.member or origin.file)
            self._chats[key] = _Chat(session=str(path), above=path.parent.name)
        return self._chats[key]

    def _document(self, chat: _Chat, value: Mapping[str, Any], record: Record) -> None:
        _head(chat, value)
        listed = value["messages"]
        self._tally.unfold(max(len(listed), 1))
        if not listed:
            self._tally.ignore("empty-session")
        for index, body in enumerate(listed):
            at = f"/messages/{index}"
            try:
                name, turn = _turn(chat, body, record, at)
            except Misfit as misfit:
                origin = record.at(place(record, f"{at}{misfit.pointer}"))
                self._tally.aside(origin, misfit.reason, misfit.said)
                continue
            chat.hold(_fresh(chat, name, turn))
            self._count(turn)

    def _line(self, chat: _Chat, value: Mapping[str, Any], record: Record) -> None:
        name, turn = _turn(chat, value, record, "")
        if name in chat.lines:
            self._tally.ignore("superseded")
        else:
            self._count(turn)
        chat.lines.add(name)
        chat.turns[name] = turn
        chat.hold(name)

    def _set(self, chat: _Chat, patch: Any, record: Record) -> None:
        listed = patch.get("messages") if isinstance(patch, dict) else None
        if not isinstance(listed, list):
            if isinstance(patch, dict):
                _head(chat, patch)
            self._tally.ignore("$set")
            return
        order, fresh = [], 0
        for index, body in enumerate(listed):
            name, turn = _turn(chat, body, record, f"/$set/messages/{index}")
            if name not in chat.turns:
                chat.turns[name] = turn
                fresh += bool(turn.messages)
            order.append(name)
        chat.leave(order)
        if fresh:
            self._tally.use()
        else:
            self._tally.ignore("$set")

    def _count(self, turn: Turn) -> None:
        if turn.messages:
            self._tally.use()
        else:
            self._tally.ignore(turn.kind)

    def close_file(self) -> None:
        """A sub-agent's file may come before its parent's, so nothing is over yet."""

    def finish(self) -> Sequence[Session]:
        """All conversations."""
        return _Forest(list(self._chats.values())).sessions()


def _turn(chat: _Chat, body: Any, record: Record, at: str) -> tuple[str, Turn]:
    name = text_or_none(body.get("id")) if isinstance(body, dict) else None
    origin = record.at(place(record, at), name)
    try:
        turn = turn_of(body, origin, actor=chat.actor)
    except Misfit as misfit:
        raise Misfit(
            f"{at}{misfit.pointer}" if at.startswith("/$set") else misfit.pointer,
            misfit.said,
            misfit.reason,
        ) from None
    return name or f"{record.origin.line}:{at}:{len(chat.turns)}", turn


def _fresh(chat: _Chat, name: str, turn: Turn) -> str:
    """A document may hold an id twice; the second is a message of its own."""
    while name in chat.turns:
        name += "'"
    chat.turns[name] = turn
    return name


def _head(chat: _Chat, value: Mapping[str, Any]) -> None:
    chat.session = text_or_none(value.get("sessionId")) or chat.session
    if value.get("kind") == "subagent":
        chat.actor = "sub-agent"


def _rewind(chat: _Chat, to: Any) -> None:
    """All from this message on is gone; the program forgets everything if it is not there."""
    at = chat.order.index(to) if to in chat.order else 0
    chat.leave(chat.order[:at])


class _Forest:
    """All chats of a run; a chat that stands in two files is held once."""

    def __init__(self, chats: Sequence[_Chat]) -> None:
        self._chats = chats
        self._below: dict[tuple[str, int, str, int], Node] = {}
        self._first: dict[str, Node] = {}
        self._roots: list[Node] = []

    def sessions(self) -> tuple[Session, ...]:
        """Every branch of every chat."""
        later: list[tuple[Node, _Chat]] = []
        for chat in self._chats:
            count, last = len(self._roots), None
            for order in (*chat.left, chat.order):
                before = len(self._roots)
                end = self._plant(chat, order)
                for root in self._roots[before:]:
                    root.start = last
                last = end or last
            later.extend((root, chat) for root in self._roots[count:])
        for root, chat in later:
            self._first.setdefault(chat.session, root)
        for root, chat in later:
            sub = chat.actor == "sub-agent"
            root.family = (chat.above or chat.session) if sub else chat.session
            if sub and root.start is None:
                root.start = self._first.get(chat.above or "")
        grown = Sessions(NAME)
        for root in self._roots:
            grown.add(root)
        return grown.made()

    def _plant(self, chat: _Chat, order: Sequence[str]) -> Node | None:
        up: Node | None = None
        answered: set[str | None] = set()
        for name in order:
            for index, message in enumerate(chat.turns[name].messages):
                if message.role == "tool":
                    message, answered = _once(message, answered)
                    if not message.parts:
                        continue
                key = (chat.session, id(up), name, index)
                node = self._below.get(key)
                if node is None:
                    node = self._below[key] = plant(message, up)
                    if up is None:
                        self._roots.append(node)
                up = node
        return up


def _once(message: Message, known: set[str | None]) -> tuple[Message, set[str | None]]:
    """The results that no earlier message of the conversation holds."""
    fresh: tuple[Part, ...] = tuple(
        p for p in message.parts if p.result is not None and (p.result.call_id or p) not in known
    )
    ids = {r.call_id for r in message.results if r.call_id is not None}
    if len(fresh) == len(message.parts):
        return message, known | ids
    return Message(
        role="tool", parts=fresh, time=message.time, origins=message.origins
    ), known | ids


def _weigh(value: dict[str, Any]) -> float:
    if "$set" in value or "$rewindTo" in value:
        return 1.0
    if "projectHash" in value and "sessionId" in value:
        return 1.0
    if value.get("type") == "user" and isinstance(value.get("messageId"), int):
        return 1.0 if isinstance(value.get("message"), str) else 0.0
    known = value.get("type") in ("user", "gemini", "info", "error", "warning")
    if not known or "timestamp" not in value or "content" not in value:
        return 0.0
    return 1.0 if value["type"] == "gemini" else 0.6


def sniff(peek: Peek) -> float:
    """Documents with a project hash, patches, or messages of type `gemini`."""
    return share(peek, _weigh) if peek.kind == "json" else 0.0


def joins(value: Any, name: str) -> Iterable[str]:
    """The session of a head; for a sub-agent the session that its folder names, too."""
    if isinstance(value, dict) and isinstance(value.get("sessionId"), str):
        yield value["sessionId"]
        if value.get("kind") == "subagent":
            yield PurePosixPath(name).parent.name


def _reader(tally: Tally) -> ChatReader:
    return ChatReader(tally)


FORMAT = Format(
    name=NAME,
    about="Gemini CLI sessions, JSON or JSON lines; no schemas, raw arguments or failed requests",
    unit="message",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=joins,
)
