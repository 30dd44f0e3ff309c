"""Conversations that the provider keeps, so that a request only names what came before.

In: each exchange as it was read. Out: the messages before a request that names a response, and the
message that an item reference stands for. A response that stands in no log is missing from the
prompt; nothing is made up for it.
"""

from __future__ import annotations

from typing import Any

from misstep.ingest.halves import Body, Exchange, Stored
from misstep.ingest.identity import message_key
from misstep.ingest.threads import Turn
from misstep.ingest.tree import Node, path_to

INSTRUCTIONS = "/instructions"
"""End of the pointer of a system message that belongs to one request only."""


class Memory:
    """What was read, under the ids by which requests refer to it."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self._nodes: dict[str, Node] = {}
        self._tools: dict[str, list[Any]] = {}
        self.gave_up = False
        """True once all records were read: then nothing is waited for any longer."""

    def lacks(self, request: Body) -> bool:
        """Whether the response that a request goes on from may still come."""
        before = self._stored.before(request)
        return before is not None and before not in self._nodes and not self.gave_up

    def joined(self, request: Body, history: list[Turn]) -> list[Turn]:
        """A request's own messages behind those that it goes on from."""
        before = self._stored.before(request)
        node = None if before is None else self._nodes.get(before)
        if node is None:
            return history
        messages = [step.message for step in path_to(node)]
        if messages and any((o.pointer or "").endswith(INSTRUCTIONS) for o in messages[0].origins):
            messages = messages[1:]
        kept = [Turn(message, message_key(message), "", placed=True) for message in messages]
        own = 1 if history and history[0].pointer.endswith(INSTRUCTIONS) else 0
        return [*history[:own], *kept, *history[own:]]

    def meant(self, row: Any) -> Turn | None:
        """The message that a row refers to by the ids of its items."""
        for known in self._stored.refs(row):
            node = self._nodes.get(known)
            if node is not None:
                return Turn(node.message, message_key(node.message), "", placed=True)
        return None

    def with_loaded(self, exchange: Exchange, offered: Body) -> Body:
        """What a request offers, with the tools that its conversation loaded up to the answer.

        A search that the provider runs loads tools and lets the same answer call them.
        """
        tools = offered.get("tools")
        earlier = self._tools.get(self._stored.before(exchange.request or {}) or "", [])
        known = [*(tools if isinstance(tools, list) else []), *earlier]
        more = [tool for tool in self._stored.loaded(exchange) if tool not in known]
        return {**offered, "tools": [*known, *more]} if earlier or more else offered

    def keep(self, exchange: Exchange, node: Node) -> None:
        """Take one exchange and its answer."""
        ids = self._stored.ids(exchange)
        for known in ids:
            self._nodes[known] = node
        before = self._stored.before(exchange.request or {})
        loaded = [*self._tools.get(before or "", ()), *self._stored.loaded(exchange)]
        if loaded:
            self._tools.update((known, loaded) for known in (*ids[:1], *ids[-1:]))
