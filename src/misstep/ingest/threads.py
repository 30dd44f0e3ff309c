"""Requests that repeat the history of earlier ones, joined to conversations.

In: exchanges, each the messages of one request and its answers, in any order and over any number
of files. Out: sessions. A message that a request repeats is found by the hash of all messages up
to it, so it is held once; a message that only a request's history holds stays without a context.
Other answers to the same prompt branch off; exactly the same answer raises `copies`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from misstep.ingest.format import Record
from misstep.ingest.identity import message_key
from misstep.ingest.messages import place
from misstep.ingest.tree import Node, Sessions, plant, prune
from misstep.types import Context, Message, Outcome, Session


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a request's history; its origin is only made where it is new."""

    message: Message
    key: bytes
    """Its `message_key`."""
    pointer: str
    row: str | None = None
    """The span or row that the message stands in, if the record holds several."""


def turns(messages: Iterable[Message], pointer: str, row: str | None = None) -> list[Turn]:
    """Messages as the turns of a history, all at one place."""
    return [Turn(m, message_key(m), pointer, row) for m in messages]


class Threads:
    """Grows the conversations of one format."""

    def __init__(self, format_name: str) -> None:
        self._format = format_name
        self._roots: list[Node] = []
        self._below: dict[tuple[int, bytes], Node] = {}
        self._tails: dict[bytes, Node] = {}
        """Answers by the hash of all messages up to them, system messages left out."""

    def add(
        self,
        record: Record,
        history: Sequence[Turn],
        *,
        answers: Sequence[Message],
        context: Context,
        family: str = "",
        outcome: Outcome | None = None,
    ) -> Node | None:
        """Take one exchange; no answers where the log kept none.

        Gives the last answer, or the last message of the history. A caller may set its `outcome`,
        or the `start` of its root (the message that started a sub-agent's conversation).
        """
        at: Node | None = None
        tail = b""
        for turn in history:
            known = self._below.get((id(at), turn.key))
            at = known or self._plant(_placed(turn, record), at, turn.key)
            if turn.message.role != "system":
                tail = _roll(tail, turn.key)
                if known is None and turn.message.role == "assistant":
                    at.echo = self._tails.get(tail)
        if at is not None:
            at.asked = True
        last = at
        for answer in answers:
            last = self._answer(answer, at, context, tail)
        _mark(last, family, outcome)
        return last

    def _plant(self, message: Message, up: Node | None, key: bytes) -> Node:
        node = plant(message, up)
        self._below[(id(up), key)] = node
        if up is None:
            self._roots.append(node)
        return node

    def _answer(self, answer: Message, up: Node | None, context: Context, tail: bytes) -> Node:
        key = message_key(answer)
        node = self._below.get((id(up), key))
        if node is None:
            node = self._plant(answer, up, key)
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


def _mark(node: Node | None, family: str, outcome: Outcome | None) -> None:
    if node is None:
        return
    node.outcome = outcome or node.outcome
    root = node
    while root.up is not None:
        root = root.up
    root.family = root.family or family


def _placed(turn: Turn, record: Record) -> Message:
    return replace(turn.message, origins=(record.at(place(record, turn.pointer), turn.row),))


def _roll(tail: bytes, key: bytes) -> bytes:
    return hashlib.blake2b(tail + key, digest_size=16).digest()
