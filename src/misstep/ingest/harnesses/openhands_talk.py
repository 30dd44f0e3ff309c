"""The conversations that a stream of OpenHands events makes.

In: what an event says, in the order of the events. Out: a forest of messages. Several events of one
model response are one answer. A condensation begins a new conversation with what it kept: the kept
steps stay counted where they were. A delegate's events are a conversation of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from msgspec.structs import replace

from misstep.ingest.tree import Node, Sessions, plant
from misstep.types import Context, Message, Outcome, Session, ToolCall, content_id


class _View(msgspec.Struct):
    """What the model sees: nodes with the ids of the events that they came from."""

    nodes: list[tuple[set[str], Node]] = msgspec.field(default_factory=list)

    @property
    def last(self) -> Node | None:
        return self.nodes[-1][1] if self.nodes else None


class Talk:
    """Grows the conversations of one run."""

    def __init__(self, family: str | None = None, outcome: Outcome | None = None) -> None:
        self.family = family
        self.outcome = outcome
        self.offer: Context | None = None
        self.sub_agent = False
        self._roots: list[Node] = []
        self._views = [_View()]
        self._by_response: dict[str, Node] = {}
        self._marks: dict[str, tuple[_View, int]] = {}
        self._latest = ""

    @property
    def within(self) -> bool:
        """Whether a delegate is speaking."""
        return len(self._views) > 1

    def say(self, message: Message, event: str) -> Node:
        """Add a message at the end."""
        view = self._views[-1]
        if message.role == "assistant" and (self.within or self.sub_agent):
            message = replace(message, actor="sub-agent")
        node = plant(message, view.last)
        if message.role == "assistant":
            node.context = self.offer
            if node.up is not None:
                node.up.asked = True
        if node.up is None:
            self._roots.append(node)
        view.nodes.append(({event}, node))
        return node

    def answer(self, message: Message, event: str, response: str | None) -> Node:
        """Add an answer, or what one more event tells of an answer that is there."""
        known = self._by_response.get(response) if response else None
        if known is None:
            node = self.say(message, event)
            if response:
                self._by_response[response] = node
        else:
            node = known
            for view in self._views:
                for events, other in view.nodes:
                    if other is known:
                        events.add(event)
            merged = _merged(known.message, message)
            known.message = merged
        return node

    def mark(self, event: str) -> None:
        """Remember where the conversation stands after this event."""
        view = self._views[-1]
        self._marks[event] = (view, len(view.nodes))
        self._latest = event

    def rewind(self, event: str) -> None:
        """Go back to where the conversation stood after `event`, if it went on from there."""
        if event == self._latest or event not in self._marks:
            return
        view, length = self._marks[event]
        self._views[-1] = _View(view.nodes[:length])

    def condense(self, forgotten: Collection[str], summary: Message | None, offset: int) -> None:
        """Go on with what is left, and a summary in the place of the rest."""
        old = self._views[-1]
        kept = [(ids, node) for ids, node in old.nodes if not ids & set(forgotten)]
        if len(kept) == len(old.nodes):
            return
        self._views[-1] = _View()
        for index, (ids, node) in enumerate(kept):
            if index == offset and summary is not None:
                self.say(summary, "")
            copied = self.say(node.message, "")
            self._views[-1].nodes[-1] = (ids, copied)
            copied.context = node.context
            copied.echo = (node.echo or node) if node.message.role == "assistant" else None
        if summary is not None and not 0 <= offset < len(kept):
            self.say(summary, "")
        root = self._views[-1].nodes[0][1] if self._views[-1].nodes else None
        if root is not None and root.start is None:
            root.start = old.last

    def delegate(self) -> None:
        """What follows is said by another agent, in a conversation of its own."""
        self._views.append(_View())

    def done(self) -> None:
        """The delegate has finished."""
        if self.within:
            ended = self._views.pop()
            if ended.nodes:
                ended.nodes[0][1].start = self._views[-1].last

    def made(self, name: str, offer: Context | None = None) -> list[Session]:
        """All conversations so far; `offer` stands where nothing else is known."""
        while self.within:
            self.done()
        if self._views[0].last is not None and self.outcome is not None:
            self._views[0].last.outcome = self.outcome
        sessions = Sessions(name)
        family = self.family or _task(self._roots)
        for root in self._roots:
            root.family = family
            stack = [root]
            while stack:
                node = stack.pop()
                if node.message.role == "assistant" and node.context is None:
                    node.context = offer
                stack.extend(node.down)
            sessions.add(root)
        return list(sessions.made())


def _task(roots: Sequence[Node]) -> str:
    """A name for what the human first asked for; a run without an id goes by it."""
    at: Node | None = roots[0] if roots else None
    while at is not None and at.message.role != "user":
        at = at.down[0] if at.down else None
    return content_id(at.message.text) if at is not None else ""


def _merged(known: Message, more: Message) -> Message:
    """An answer with the calls that it did not have yet, numbered on."""
    have = {call.id for call in known.calls if call.id is not None}
    parts = list(known.parts)
    for part in more.parts:
        call: ToolCall | None = part.call
        if call is None or call.id in have:
            continue
        count = sum(p.call is not None for p in parts)
        parts.append(replace(part, call=replace(call, index=count)))
    return replace(known, parts=tuple(parts))
