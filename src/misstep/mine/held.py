"""Held-out text: what no training prompt may hold.

In: a corpus and its split. Out: a `HeldText` that knows a held-out prompt when it sees one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from misstep.mine.facts import text_digest
from misstep.mine.index import Index
from misstep.mine.split import Split, user_text
from misstep.types import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldText:
    """The held-out part, by content."""

    prompts: frozenset[int]
    """Content keys of all held-out prompts."""
    tasks: frozenset[int]
    """Digests of the task texts of `SHORT` characters or more; "continue" leaks nothing."""

    @classmethod
    def of(cls, index: Index, split: Split) -> HeldText:
        """The held-out text of a corpus."""
        held = [name for name in index.names if split.part[name] == "heldout"]
        rows = (row for name in held for row in index.rows(name))
        return cls(
            prompts=frozenset(int(index.key(row), 16) for row in rows),
            tasks=frozenset(digest for name in held for digest in index.tasks(name)),
        )

    def held(self, messages: Sequence[Message], key: str) -> bool:
        """Whether a prompt equals a held-out one, or a user asks in it for a held-out task."""
        if int(key, 16) in self.prompts:
            return True
        users = (message for message in messages if message.role == "user")
        return bool(self.tasks) and any(
            text_digest(user_text(message)) in self.tasks for message in users
        )
