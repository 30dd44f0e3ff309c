"""A forest of conversations: shared beginnings are held once; each branch becomes one session.

A reader plants messages below one another. A step that two conversations share is one node, so it
is counted once. At the end every leaf gives one `Session`, the first-planted leaf first; a later
leaf names the session that it branches from as its `parent`, and the shared length as its `prefix`.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from misstep.ingest.identity import session_id
from misstep.types import Context, Message, Outcome, Session


class Node(msgspec.Struct, eq=False):
    """One message in its place."""

    message: Message
    up: Node | None = None
    down: list[Node] = msgspec.field(default_factory=list)
    context: Context | None = None
    """What the request of this answer offered."""
    asked: bool = False
    """True where some logged request ended exactly here."""
    answered: bool = False
    """True where a logged answer, not only a later history, supplied this message."""
    copies: int = 1
    records: int = 0
    """Records that only this node accounts for."""
    echo: Node | None = None
    """The node that counts this step, where a changed system message gave the prompt a copy."""
    start: Node | None = None
    """The place in another conversation that started this one; on its root, or on its first own
    message where conversations share a root."""
    family: str = ""
    outcome: Outcome | None = None
    """How the conversation that ends here, or below, went."""


def plant(message: Message, up: Node | None) -> Node:
    """A new node below `up`."""
    node = Node(message=message, up=up)
    if up is not None:
        up.down.append(node)
    return node


def path_to(node: Node) -> list[Node]:
    """The nodes from the root to `node`."""
    path = []
    at: Node | None = node
    while at is not None:
        path.append(at)
        at = at.up
    path.reverse()
    return path


def _walk(root: Node) -> Iterator[Node]:
    """Every node below and with `root`, parents first, in planted order."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(node.down))


def prune(roots: list[Node]) -> int:
    """Cut off branches that no answer follows, where a sibling branch has one.

    Returns the number of records that went with them.
    """
    lost = 0
    for root in roots:
        nodes = list(_walk(root))
        alive: set[int] = set()
        for node in reversed(nodes):
            if node.message.role == "assistant" or any(id(d) in alive for d in node.down):
                alive.add(id(node))
        for node in nodes:
            if len(node.down) > 1:
                kept = [d for d in node.down if id(d) in alive] or node.down[:1]
                for cut in node.down:
                    if cut not in kept:
                        lost += sum(below.records for below in _walk(cut))
                node.down = kept
    return lost


class Sessions:
    """Turns a forest into sessions."""

    def __init__(self, format_name: str) -> None:
        self._format = format_name
        self._owner: dict[int, str] = {}
        """Node identity to the id of the first session that holds it."""
        self._starts: list[tuple[int, Node]] = []
        self._made: list[Session] = []

    def add(self, root: Node) -> None:
        """Take all branches of one tree."""
        for leaf in _walk(root):
            if not leaf.down:
                self._branch(path_to(leaf))

    def _branch(self, path: list[Node]) -> None:
        prefix, parent = self._shared(path)
        own = [node for node in path[prefix:] if node.message.role == "assistant"]
        if prefix and not own:
            return
        messages, contexts = _messages(path)
        made = Session(
            id=session_id(messages, contexts),
            format=self._format,
            messages=messages,
            contexts=contexts,
            parent=parent,
            prefix=prefix,
            copies=min((node.copies for node in own), default=1),
            outcome=next((n.outcome for n in reversed(path) if n.outcome is not None), None),
            family=next((node.family for node in path if node.family), ""),
        )
        start = next((node.start for node in path if node.start is not None), None)
        if parent is None and start is not None:
            self._starts.append((len(self._made), start))
        self._made.append(made)
        for node in path:
            self._owner.setdefault(id(node), made.id)

    def _shared(self, path: list[Node]) -> tuple[int, str | None]:
        """Leading messages that an earlier session counts, and that session."""
        at = 0
        for index, node in enumerate(path):
            if self._owner_of(node) is not None:
                at = index + 1
            elif node.message.role == "assistant":
                break
        told = any(n.message.role == "assistant" or n.asked for n in path[:at])
        return (at, self._owner_of(path[at - 1])) if told else (0, None)

    def _owner_of(self, node: Node) -> str | None:
        return self._owner.get(id(node)) or (
            self._owner.get(id(node.echo)) if node.echo is not None else None
        )

    def made(self) -> tuple[Session, ...]:
        """All sessions; conversations that another one started get their parent now."""
        for index, start in self._starts:
            owner = self._owner.get(id(start))
            if owner is not None and owner != self._made[index].id:
                self._made[index] = replace(self._made[index], parent=owner)
        return tuple(self._made)


def _messages(path: list[Node]) -> tuple[tuple[Message, ...], tuple[Context, ...]]:
    contexts: dict[Context, int] = {}
    messages = []
    for node in path:
        if node.context is None:
            messages.append(node.message)
        else:
            at = contexts.setdefault(node.context, len(contexts))
            known = node.message.context == at
            messages.append(node.message if known else replace(node.message, context=at))
    return tuple(messages), tuple(contexts)
