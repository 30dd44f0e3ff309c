"""How Codex threads hang together.

In: all threads of a run. Out: sessions. A fork repeats or names the history of the thread it comes
from, which is counted there; what a compaction leaves starts a conversation of its own below the
one before; a sub-agent's thread names the one that started it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from misstep.ingest.coding.codex_threads import Thread
from misstep.ingest.identity import message_key
from misstep.ingest.tree import Node, Sessions, plant
from misstep.types import Message, Session


class _Forest:
    """All threads of a run as one forest."""

    def __init__(self, threads: Sequence[Thread]) -> None:
        self._threads = threads
        self._by_id = {thread.id: thread for thread in reversed(threads) if thread.id}
        self._below: dict[tuple[str, int, bytes], Node] = {}
        self._roots: dict[str, Node] = {}
        """First message of each thread."""
        self._paths: dict[str, list[Node]] = {}
        """The messages of the first conversation of each thread."""
        self._entered: set[int] = set()
        self.roots: list[Node] = []

    def grow(self) -> list[Node]:
        """All roots, sub-agents with the place they were started from."""
        for thread in self._threads:
            self._enter(thread)
        return self.roots

    def _enter(self, thread: Thread) -> None:
        """A thread after those that it comes from."""
        chain = []
        at: Thread | None = thread
        while at is not None and id(at) not in self._entered:
            self._entered.add(id(at))
            chain.append(at)
            above = at.forked_from or at.parent
            at = self._by_id.get(above) if above is not None else None
        for one in reversed(chain):
            self._put(one)

    def _put(self, thread: Thread) -> None:
        source = self._by_id.get(thread.forked_from or "")
        lineage = self._lineage(thread)
        up = self._graft(thread)
        start = self._roots.get(thread.parent or "")
        for number, segment in enumerate(thread.segments):
            known = {} if not number else self._answers(thread)
            last = None
            for branch in (*segment.left, segment.now.messages):
                path = self._plant(thread.amend(branch), up, lineage, known, segment.kept)
                last = path[-1] if path else last
                if not number and path:
                    self._paths[thread.id] = [*self._above(path[0]), *path]
                if path and path[0].up is None:
                    self._root(path[0], thread, start, source)
            up, start = None, last or start

    def _answers(self, thread: Thread) -> dict[bytes, Node]:
        """Answers of the thread's first conversation, which a compaction may carry over."""
        return {
            message_key(node.message): node
            for node in self._paths.get(thread.id, ())
            if node.message.role == "assistant"
        }

    def _above(self, node: Node) -> list[Node]:
        above: list[Node] = []
        at = node.up
        while at is not None:
            above.append(at)
            at = at.up
        return above[::-1]

    def _root(self, root: Node, thread: Thread, start: Node | None, source: Thread | None) -> None:
        self._roots.setdefault(thread.id, root)
        if not root.family:
            root.family = source.family if source is not None else thread.family
            root.start = start

    def _lineage(self, thread: Thread) -> str:
        """Threads that repeat each other's history share this; others never share a message."""
        seen = {thread.id}
        at = thread
        while at.forked_from is not None and at.forked_from not in seen:
            seen.add(at.forked_from)
            above = self._by_id.get(at.forked_from)
            if above is None:
                return at.forked_from
            at = above
        return at.id or at.file

    def _graft(self, thread: Thread) -> Node | None:
        """The last message of the history that a fork only names."""
        if thread.forked_at is None or thread.forked_from is None:
            return None
        source, path = self._by_id.get(thread.forked_from), self._paths.get(thread.forked_from)
        if source is None or not path:
            return None
        later = [n for ordinal, n in source.ordinals.items() if ordinal >= thread.forked_at]
        held = len(path) - len(source.segments[0].now.messages)
        length = held + min(later, default=len(path) - held)
        return path[length - 1] if 0 < length <= len(path) else path[-1]

    def _plant(
        self,
        messages: Sequence[Message],
        up: Node | None,
        lineage: str,
        known: Mapping[bytes, Node],
        kept: int,
    ) -> list[Node]:
        path = []
        for index, message in enumerate(messages):
            key = message_key(message)
            node = self._below.get((lineage, id(up), key))
            if node is None or (up is None and known):
                node = plant(message, up)
                self._below[(lineage, id(up), key)] = node
                if index < kept and message.role == "assistant":
                    node.echo = known.get(key)
                if up is None:
                    self.roots.append(node)
            path.append(node)
            up = node
        return path


def link(format_name: str, threads: Sequence[Thread]) -> tuple[Session, ...]:
    """The sessions of all threads."""
    grown = Sessions(format_name)
    for root in _Forest(threads).grow():
        grown.add(root)
    return grown.made()
