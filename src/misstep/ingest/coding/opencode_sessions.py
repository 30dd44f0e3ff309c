"""Rows of opencode as conversations.

In: a `Store`. Out: sessions. An answer with several steps falls into one message a step; results
follow their calls. A fork repeats messages under new ids but with their times, so what it shares is
counted once. A compaction ends one conversation and starts another with its summary. A sub-agent is
a conversation of its own, started by the answer whose call names its session.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from misstep.ingest.coding.opencode_parts import Turn, answer_turns, instructions, said_turn
from misstep.ingest.coding.opencode_rows import Row, Store, dig
from misstep.ingest.format import Tally
from misstep.ingest.identity import message_key
from misstep.ingest.messages import number_or_none, text_or_none
from misstep.ingest.tree import Node, Sessions, plant
from misstep.types import Message, Part, Session


def grow(format_name: str, store: Store, tally: Tally) -> tuple[Session, ...]:
    """All conversations; every message and part is accounted for."""
    forest = _Forest(store, tally)
    for session in sorted(store.messages, key=forest.began):
        forest.add(session)
    forest.settle()
    grown = Sessions(format_name)
    for root in forest.roots:
        grown.add(root)
    return grown.made()


class _Place(msgspec.Struct):
    """Where the next message of a session goes."""

    session: str
    family: str
    at: Node | None = None
    start: Node | None = None


class _Forest(msgspec.Struct):
    store: Store
    tally: Tally
    roots: list[Node] = msgspec.field(default_factory=list)
    below: dict[tuple[int, bytes, float | None], Node] = msgspec.field(default_factory=dict)
    callers: dict[str, Node] = msgspec.field(default_factory=dict)
    """Session of a sub-agent to the answer that started it."""
    firsts: dict[str, Node] = msgspec.field(default_factory=dict)
    """Session to its first root."""
    started: list[tuple[Node, str, str]] = msgspec.field(default_factory=list)
    """Root of a sub-agent, its session, and the session that started it."""

    def began(self, session: str) -> tuple[float, str]:
        """When a session began: forks come after what they copy."""
        known = self.store.sessions.get(session)
        created = number_or_none(dig(known.data, "time", "created")) if known else None
        return created or 0.0, session

    def add(self, session: str) -> None:
        """The messages of one session."""
        known = self.store.sessions.get(session)
        parent = known.owner if known else ""
        place = _Place(session=session, family=self._family(session))
        messages = sorted(self.store.messages[session].values(), key=_order)
        system = next((s for m in messages if (s := instructions(m)) is not None), None)
        for number, row in enumerate(messages):
            parts = sorted(self.store.parts.pop(row.id, {}).values(), key=lambda part: part.id)
            if row.data.get("role") == "assistant":
                turns = answer_turns(row, parts, self.tally, side=bool(parent))
            else:
                turns = said_turn(row, parts, self.tally, side=bool(parent))
            if number == 0 and system is not None and turns:
                # the time keeps apart sessions that only share their instructions
                timed = replace(system, time=turns[0].message.time)
                turns = [Turn(message=timed), *turns]
            for turn in turns:
                self._put(turn, place)
            if row.data.get("summary") is True and turns:
                self._compact(place, turns)
        if parent and session in self.firsts:
            self.started.append((self.firsts[session], session, parent))

    def _family(self, session: str) -> str:
        """The session at the head of a chain of sub-agents."""
        seen: set[str] = set()
        while session not in seen and (known := self.store.sessions.get(session)) is not None:
            seen.add(session)
            session = known.owner or session
        return session

    def _put(self, turn: Turn, place: _Place) -> None:
        key = (id(place.at), message_key(turn.message), turn.message.time)
        node = self.below.get(key)
        if node is None:
            node = self.below[key] = plant(turn.message, place.at)
            node.context = turn.context
            if place.at is None:
                node.family, node.start = place.family, place.start
                self.roots.append(node)
        if place.at is None:
            self.firsts.setdefault(place.session, node)
        for child in turn.starts:
            self.callers.setdefault(child, node)
        place.at = node

    def _compact(self, place: _Place, turns: list[Turn]) -> None:
        """What follows a summary sees the summary in place of all before it."""
        text = "".join(turn.message.text for turn in turns)
        if place.at is None or not text:
            return
        summary = Message(
            role="user",
            actor="harness",
            parts=(Part(kind="text", text=text),),
            time=place.at.message.time,
            origins=place.at.message.origins,
        )
        place.start, place.at = place.at, None
        self._put(Turn(message=summary), place)

    def settle(self) -> None:
        """Link sub-agents to what started them, and set aside parts without a message."""
        for root, session, parent in self.started:
            root.start = root.start or self.callers.get(session) or self.firsts.get(parent)
        self.roots = [root for root in self.roots if root.down or root.message.parts]
        for parts in self.store.parts.values():
            for part in parts.values():
                said = "a part of a message that is not in the log"
                self.tally.aside(part.origin, "unknown-record", said)


def _order(row: Row) -> tuple[float, str]:
    data: Mapping[str, object] = row.data
    created = number_or_none(dig(data, "time", "created"))
    return created or 0.0, text_or_none(row.id) or ""
