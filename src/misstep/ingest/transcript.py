"""Links the lines of transcripts to conversations.

In: `Entry` values in the order of reading, each with its uuid and that of the line before it, and
the uuids of lines that only stand between. Out: sessions. Lines of one answer become one message;
the results of its calls become one `tool` message after it, whatever came between. A stretch that
another file repeats is counted once. A second message after the same line is a fork. A line whose
predecessor is lost, or that never names one, continues its file.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from misstep.ingest.identity import message_key
from misstep.ingest.tree import Node, Sessions, plant, prune
from misstep.types import Message, Session, Usage


class Entry(msgspec.Struct, kw_only=True):
    """One line that holds a message; a user's line may hold results and text, hence several."""

    messages: tuple[Message, ...]
    uuid: str | None
    up: str | None
    answer: str | None
    """Id of the answer that an assistant's line belongs to."""
    session: str
    side: bool
    file: str


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """The conversations, and what became of the lines."""

    sessions: tuple[Session, ...]
    used: int
    unanswered: int
    """Lines on branches that nobody answered, beside one that was answered."""


class _Passage(msgspec.Struct, frozen=True):
    up: str | None
    starts: str | None
    """Where the conversation before a compaction ended."""


Strand = tuple[str, str, bool]
"""File, session, and whether it is a sub-agent's: what a line continues when it names no other."""


class Linker:
    """Collects lines, then links them."""

    def __init__(self, format_name: str) -> None:
        self._format = format_name
        self._entries: dict[str, list[Entry]] = {}
        self._passages: dict[str, _Passage] = {}
        self._place: dict[str, Node] = {}
        """Line uuid to the message that holds the line."""
        self._below: dict[tuple[int, bytes], Node] = {}
        self._answers: dict[tuple[str, str], Node] = {}
        """Session and answer id to the answer; also "" and answer id, to know it in a copy."""
        self._callers: dict[tuple[str, str], Node] = {}
        """Session and call id to the answer that makes the call."""
        self._results: dict[int, Node] = {}
        """Answer to the message with its results."""
        self._tails: dict[Strand, Node] = {}
        self._linked: set[Strand] = set()
        """Strands in which some line names its predecessor."""
        self._mains: dict[str, Node] = {}
        """Session to the first root of its main conversation."""
        self._roots: list[Node] = []

    def take(self, entry: Entry) -> None:
        """One line that holds a message."""
        self._entries.setdefault(entry.file, []).append(entry)

    def pass_through(self, uuid: str, up: str | None, *, starts: str | None = None) -> None:
        """A line that holds no message but may be named as a predecessor."""
        self._passages.setdefault(uuid, _Passage(up, starts))

    def link(self) -> Linked:
        """All conversations."""
        total = 0
        sides: list[tuple[Node, str]] = []
        for file in _in_order(self._entries):
            for entry in self._entries[file]:
                total += 1
                roots = len(self._roots)
                self._put(entry)
                if entry.side:
                    sides.extend((root, entry.session) for root in self._roots[roots:])
        for root, session in sides:
            root.start = root.start or self._mains.get(session)
        unanswered = prune(self._roots)
        grown = Sessions(self._format)
        for root in self._distinct_roots():
            grown.add(root)
        return Linked(sessions=grown.made(), used=total - unanswered, unanswered=unanswered)

    def _distinct_roots(self) -> list[Node]:
        """The conversations; a bare opening that another one continues is its copy."""
        continued = {message_key(root.message) for root in self._roots if root.down}
        return [r for r in self._roots if r.down or message_key(r.message) not in continued]

    def _put(self, entry: Entry) -> None:
        strand = (entry.file, entry.session, entry.side)
        if entry.uuid is not None and entry.uuid in self._place:
            node = self._place[entry.uuid]
            _repeated(node, entry)
        else:
            up, start = self._predecessor(entry, strand)
            node = self._add(entry, up, start)
        node.records += 1
        if entry.uuid is not None:
            self._place.setdefault(entry.uuid, node)
        if entry.up is not None:
            self._linked.add(strand)
        self._tails[strand] = node

    def _predecessor(self, entry: Entry, strand: Strand) -> tuple[Node | None, Node | None]:
        """The message before this line, or where the conversation before a compaction ended."""
        tail = self._tails.get(strand)
        if entry.up is None:
            return (None if strand in self._linked else tail), None
        at: str | None = entry.up
        seen: set[str] = set()
        while at is not None and at not in seen:
            if at in self._place:
                return self._place[at], None
            seen.add(at)
            passage = self._passages.get(at)
            if passage is None:
                return tail, None
            if passage.starts is not None:
                return None, self._place.get(self._before(passage.starts))
            at = passage.up
        return None, None

    def _before(self, uuid: str) -> str:
        """The nearest line with a message at or before `uuid`."""
        seen: set[str] = set()
        while uuid not in self._place and uuid in self._passages and uuid not in seen:
            seen.add(uuid)
            uuid = self._passages[uuid].up or uuid
        return uuid

    def _add(self, entry: Entry, up: Node | None, start: Node | None) -> Node:
        at = up
        for message in entry.messages:
            if message.role == "assistant":
                at = self._add_answer(entry, message, at)
            elif message.role == "tool":
                at = self._add_results(entry, message, at)
            else:
                at = self._add_below(message, at)
        if at is None:  # a line with an empty content still has its place
            at = self._add_below(Message(role="user"), None)
        root = at
        while root.up is not None:
            root = root.up
        if not root.family:
            root.family, root.start = entry.session, start
            if not entry.side:
                self._mains.setdefault(entry.session, root)
        return at

    def _add_answer(self, entry: Entry, message: Message, up: Node | None) -> Node:
        node = self._known_answer(entry, message)
        if node is None:
            node = self._plant(message, self._end_of(up))
        elif _holds(node.message, message):
            _repeated(node, entry)
        else:
            node.message = _joined(node.message, message)
        if entry.answer is not None:
            self._answers[entry.session, entry.answer] = node
            self._answers.setdefault(("", entry.answer), node)
        for call in message.calls:
            if call.id is not None:
                self._callers.setdefault((entry.session, call.id), node)
        return node

    def _known_answer(self, entry: Entry, message: Message) -> Node | None:
        """The answer that a line belongs to; another session's only if the line stands in it."""
        if entry.answer is None:
            return None
        own = self._answers.get((entry.session, entry.answer))
        if own is not None:
            return own
        other = self._answers.get(("", entry.answer))
        return other if other is not None and _holds(other.message, message) else None

    def _add_results(self, entry: Entry, message: Message, up: Node | None) -> Node:
        asked = [(entry.session, r.call_id) for r in message.results if r.call_id is not None]
        caller = next((self._callers[key] for key in asked if key in self._callers), None)
        if caller is None:
            return self._add_below(message, up)
        node = self._results.get(id(caller))
        if node is None:
            node = Node(message=message, up=caller, down=caller.down)
            for below in node.down:
                below.up = node
            caller.down = [node]
            self._results[id(caller)] = node
            return node
        known = {result.call_id for result in node.message.results}
        fresh = tuple(
            p for p in message.parts if p.result is not None and p.result.call_id not in known
        )
        if fresh:
            node.message = replace(
                node.message,
                parts=(*node.message.parts, *fresh),
                origins=(*node.message.origins, *message.origins),
            )
        return node

    def _add_below(self, message: Message, up: Node | None) -> Node:
        up = self._end_of(up)
        key = message_key(message)
        return self._below.get((id(up), key)) or self._plant(message, up, key)

    def _end_of(self, up: Node | None) -> Node | None:
        """What follows an answer follows the results of its calls."""
        return self._results.get(id(up), up)

    def _plant(self, message: Message, up: Node | None, key: bytes | None = None) -> Node:
        node = plant(message, up)
        if up is None:
            self._roots.append(node)
        else:
            self._below.setdefault((id(up), key or message_key(message)), node)
        return node


def _in_order(entries: dict[str, list[Entry]]) -> list[str]:
    """The files, each after those that its lines point into."""
    holder: dict[str, str] = {}
    for file, lines in entries.items():
        for entry in lines:
            if entry.uuid is not None:
                holder.setdefault(entry.uuid, file)
    ordered: dict[str, None] = {}
    stack = list(reversed(entries))
    entered: set[str] = set()
    while stack:
        file = stack.pop()
        if file in ordered:
            continue
        if file in entered:
            ordered[file] = None
            continue
        entered.add(file)
        own = {entry.uuid for entry in entries[file]}
        outside = {holder[e.up] for e in entries[file] if e.up in holder and e.up not in own}
        stack.append(file)
        stack.extend(sorted(outside - entered, reverse=True))
    return list(ordered)


def _repeated(node: Node, entry: Entry) -> None:
    """Count a repeated answer once, by its first line."""
    first = node.message.parts[:1]
    if entry.messages and entry.messages[0].parts[:1] == first:
        node.copies += 1


def _holds(whole: Message, line: Message) -> bool:
    """Whether all parts of a line already stand in the answer, in whatever place."""
    calls = {(call.id, call.name, call.arguments) for call in whole.calls}
    return all(
        (part.call.id, part.call.name, part.call.arguments) in calls
        if part.call is not None
        else part in whole.parts
        for part in line.parts
    )


def _joined(whole: Message, line: Message) -> Message:
    """An answer with the parts of one more of its lines."""
    first = len(whole.calls)
    known = {call.id for call in whole.calls if call.id is not None}
    parts = [
        part
        if part.call is None
        else replace(part, call=replace(part.call, index=part.call.index + first))
        for part in line.parts
        if part.call is None or part.call.id not in known
    ]
    return replace(
        whole,
        parts=(*whole.parts, *parts),
        finish_reason=line.finish_reason or whole.finish_reason,
        error=whole.error or line.error,
        usage=_larger(whole.usage, line.usage),
        origins=(*whole.origins, *line.origins),
    )


def _larger(known: Usage | None, later: Usage | None) -> Usage | None:
    """The usage of an answer grows from line to line."""
    if known is None or later is None:
        return later or known
    return later if (later.output_tokens or 0) >= (known.output_tokens or 0) else known
