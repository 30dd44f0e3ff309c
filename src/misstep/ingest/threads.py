"""Requests that repeat the history of earlier ones, joined to conversations.

In: exchanges, each the messages of one request and its answers, in any order and over any number
of files. Out: sessions. A message that a request repeats is found by the hash of all messages up
to it, so it is held once; a message that only a request's history holds stays without a context.
Other answers to the same prompt branch off; exactly the same answer raises `copies`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import orjson
from msgspec.structs import replace

from misstep.ingest.format import Record
from misstep.ingest.identity import message_key
from misstep.ingest.messages import place
from misstep.ingest.tree import Node, Sessions, plant, prune
from misstep.types import Context, Message, Outcome, Session


class Turn(msgspec.Struct):
    """One message of a request's history; its origin is only made where it is new."""

    message: Message
    key: bytes
    """Its `message_key`."""
    pointer: str
    row: str | None = None
    """The span or row that the message stands in, if the record holds several."""
    placed: bool = False
    """True where the message already has its origin, in another record."""


def turns(messages: Iterable[Message], pointer: str, row: str | None = None) -> list[Turn]:
    """Messages as the turns of a history, all at one place."""
    return [Turn(m, message_key(m), pointer, row) for m in messages]


class Mark(msgspec.Struct):
    """How far a history was followed."""

    owner: Threads
    at: Node | None
    """Its last message."""
    tail: bytes
    spoken: bool
    """Whether anybody but the system has spoken."""
    answered: bool
    """Whether it holds an answer."""
    keys: Sequence[bytes] = ()
    """The `message_key` of each answer that was logged to it."""
    said: Sequence[Any] = ()
    """For the reader: each answer as later requests repeat it."""


class Threads:
    """Grows the conversations of one format."""

    def __init__(self, format_name: str) -> None:
        self._format = format_name
        self._roots: list[Node] = []
        self._below: dict[tuple[int, bytes], Node] = {}
        self._tails: dict[bytes, Node] = {}
        """Answers by the hash of all messages up to them, system messages left out."""
        self._unread: dict[tuple[int, _CallIds], Node] = {}
        """Answers with a call that is no JSON, and steps of histories with the same call ids."""
        self.mark: Mark | None = None
        """The end of the history of the last exchange."""

    def add(
        self,
        record: Record,
        history: Sequence[Turn],
        *,
        answers: Sequence[Message],
        context: Context,
        family: str = "",
        outcome: Outcome | None = None,
        since: Mark | None = None,
    ) -> Node | None:
        """Take one exchange; no answers where the log kept none.

        Gives the last answer, or the last message of the history. A caller may set its `outcome`,
        or the `start` of its root (the message that started a sub-agent's conversation).

        Args:
            since: the end of an earlier history that this one goes on from; `history` then holds
                only what is behind it. `since.spoken` must be true.
        """
        at, tail = (None, b"") if since is None else (since.at, since.tail)
        spoken, answered = since is not None, since is not None and since.answered
        lead = b"" if since is not None else _lead(history)
        for turn in history:
            role, key = turn.message.role, turn.key
            if not spoken and role == "system":
                key += lead  # the same instructions do not make one conversation of two
            known = self._below.get((id(at), key))
            if known is None:
                called = _call_ids(turn.message)
                known = self._rewritten(turn.message, at, called)
                at = known or self._plant(_placed(turn, record), at, key, called)
            else:
                at = known
            if role != "system":
                spoken = True
                tail = _roll(tail, turn.key)
                if role == "assistant":
                    answered = True
                    if known is None:
                        at.echo = self._tails.get(tail)
        if at is not None:
            at.asked = True
        keys = [message_key(answer) for answer in answers]
        self.mark = Mark(self, at, tail, spoken, answered, keys)
        last = at
        for answer, key in zip(answers, keys, strict=True):
            last = self._answer(answer, key, at, context=context, tail=tail)
        if family or outcome is not None:
            _mark(last, family, outcome)
        return last

    def below(self, mark: Mark, key: bytes) -> Node | None:
        """The message of this key behind the end of a history."""
        return self._below.get((id(mark.at), key))

    def _plant(
        self, message: Message, up: Node | None, key: bytes, called: _CallIds | None
    ) -> Node:
        node = plant(message, up)
        self._below[(id(up), key)] = node
        if called is not None:
            self._unread.setdefault((id(up), called), node)
        if up is None:
            self._roots.append(node)
        return node

    def _rewritten(self, message: Message, up: Node | None, called: _CallIds | None) -> Node | None:
        """The step that a message repeats, where a client had to change a call that is no JSON.

        Wires with parsed arguments cannot give such a call back as it was.
        """
        node = None if called is None else self._unread.get((id(up), called))
        if node is None or node.message.text.strip() != message.text.strip():
            return None
        return node if _broken(node.message) != _broken(message) else None

    def _answer(
        self, answer: Message, key: bytes, up: Node | None, *, context: Context, tail: bytes
    ) -> Node:
        node = self._below.get((id(up), key))
        if node is None:
            called = _call_ids(answer)
            node = self._rewritten(answer, up, called)
            if node is not None and node.answered:
                node = None  # a response of its own, from a server that gives the same ids again
        if node is None:
            node = self._plant(answer, up, key, called)
        elif node.answered:
            node.copies += 1
            return node
        else:
            node.message = replace(answer, context=node.message.context)
        node.answered = True
        node.context = context
        node.echo = None
        self._tails.setdefault(_roll(tail, key), node)
        return node

    def sessions(self) -> tuple[Session, ...]:
        """The conversations grown so far."""
        prune(self._roots)
        grown = Sessions(self._format)
        for root in self._roots:
            grown.add(root)
        return grown.made()


_CallIds = tuple[tuple[str | None, str], ...]


def _call_ids(message: Message) -> _CallIds | None:
    """The ids and names of an assistant's calls; None where one has no id, or there are none."""
    if message.role != "assistant":
        return None
    named = []
    for part in message.parts:
        call = part.call
        if call is not None and call.kind != "hosted":
            if not call.id:
                return None
            named.append((call.id, call.name))
    return tuple(named) if named else None


def _broken(message: Message) -> bool:
    """Whether the arguments of a call are no JSON."""
    return any(call.syntax == "json" and not _is_json(call.arguments) for call in message.calls)


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _mark(node: Node | None, family: str, outcome: Outcome | None) -> None:
    if node is None:
        return
    node.outcome = outcome or node.outcome
    if not family:
        return
    root = node
    while root.up is not None:
        root = root.up
    root.family = root.family or family


def _lead(history: Sequence[Turn]) -> bytes:
    """What tells conversations under the same instructions apart: what the user says first."""
    first = next((turn for turn in history if turn.message.role != "system"), None)
    return b"" if first is None or first.message.role == "assistant" else first.key


def _placed(turn: Turn, record: Record) -> Message:
    if turn.placed:
        return turn.message
    origins = (record.at(place(record, turn.pointer), turn.row),)
    return replace(turn.message, origins=origins)


def _roll(tail: bytes, key: bytes) -> bytes:
    return hashlib.blake2b(tail + key, digest_size=16).digest()
