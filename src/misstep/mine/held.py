"""Held-out text: what no training prompt may hold.

In: a corpus and its split. Out: a `HeldText` that knows a held-out prompt when it sees one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from misstep.mine.source import Corpus
from misstep.mine.split import SHORT, Split, task_text, user_text
from misstep.types import Message, Session


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldText:
    """The held-out part, by content."""

    prompts: frozenset[str]
    """Content keys of all held-out prompts."""
    tasks: frozenset[str]
    """Normalised task texts of `SHORT` characters or more; "continue" leaks nothing."""

    @classmethod
    def of(cls, corpus: Corpus, split: Split, keys: Mapping[str, Mapping[int, str]]) -> HeldText:
        """The held-out text of a corpus; `keys` are its `prompt_keys` per session id."""
        held = [s for name, s in corpus.sessions.items() if split.part[name] == "heldout"]
        tasks = (text for session in held for text in _tasks(session))
        return cls(
            prompts=frozenset(key for session in held for key in keys[session.id].values()),
            tasks=frozenset(text for text in tasks if len(text) >= SHORT),
        )

    def held(self, messages: Sequence[Message], key: str) -> bool:
        """Whether a prompt equals a held-out one, or a user asks in it for a held-out task."""
        if key in self.prompts:
            return True
        users = (message for message in messages if message.role == "user")
        return bool(self.tasks) and any(user_text(message) in self.tasks for message in users)


def _tasks(session: Session) -> tuple[str, ...]:
    """The task text, and its last message alone where it is made of several."""
    users = []
    for message in session.messages:
        if message.role == "assistant":
            break
        if message.role == "user":
            users.append(user_text(message))
    return (task_text(session), users[-1]) if users else ()
