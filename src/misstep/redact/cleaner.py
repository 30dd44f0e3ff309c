"""One session's secrets and people, each replaced by the same words wherever it stands.

In: the texts of one session, one after the other. Out: the texts as they may leave. Two keys stay
two keys (`[REDACTED:aws-key]`, `[REDACTED:aws-key:2]`), and an address that the user gave is the
one that the agent then looks up: `user1@example.com` keeps to `"format": "email"`, `/home/user1` is
a path, so a chosen side that repeats them stays right and teaches nothing about marks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from misstep.redact.personal import email_spans, home_spans
from misstep.redact.secrets import merged, secret_spans

_KEPT = 4_000_000
"""Characters of cleaned texts that are remembered; the same prompt is cleaned once a session."""


class Cleaner:
    """Cleans texts and counts by kind; with `active` off it only passes them on."""

    def __init__(self, *, active: bool = True) -> None:
        self.active = active
        self.counts: Counter[str] = Counter()
        """Replacements by kind of secret, `email` and `home`, as often as they were written."""
        self._sessions: dict[str, dict[tuple[str, str], str]] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._done: dict[str, tuple[str, Counter[str]]] = {}
        self._size = 0
        self._session: str | None = None

    def begin(self, session: str) -> bool:
        """What follows belongs to this session; whether it is a new one."""
        if session == self._session:
            return False
        new = session not in self._sessions
        self._session = session
        self._names = self._sessions.setdefault(session, {})
        self._done.clear()
        self._size = 0
        return new

    def learn(self, texts: Iterable[str]) -> None:
        """Number the values of texts in their order, without writing any."""
        for text in texts if self.active else ():
            if text and text not in self._done:
                self._remember(text, self._clean(text))

    def __call__(self, text: str) -> str:
        """The text as it may leave."""
        if not self.active or not text:
            return text
        if text not in self._done:
            self._remember(text, self._clean(text))
        clean, counts = self._done[text]
        if counts:
            self.counts.update(counts)
        return clean

    def _remember(self, text: str, clean: tuple[str, Counter[str]]) -> None:
        if self._size > _KEPT:
            self._done.clear()
            self._size = 0
        self._done[text] = clean
        self._size += len(text)

    def _clean(self, text: str) -> tuple[str, Counter[str]]:
        found = merged([*secret_spans(text), *email_spans(text), *home_spans(text)])
        pieces, end = [], 0
        for start, stop, kind in found:
            pieces += [text[end:start], self._name(kind, text[start:stop])]
            end = stop
        counts = Counter(kind for _, _, kind in found)
        return "".join([*pieces, text[end:]]) if found else text, counts

    def _name(self, kind: str, value: str) -> str:
        key = (kind, value.casefold() if kind == "email" else value)
        if key not in self._names:
            number = 1 + sum(known == kind for known, _ in self._names)
            self._names[key] = _stand_in(kind, number)
        return self._names[key]


def _stand_in(kind: str, number: int) -> str:
    if kind == "email":
        return f"user{number}@example.com"
    if kind == "home":
        return f"user{number}"
    return f"[REDACTED:{kind}]" if number == 1 else f"[REDACTED:{kind}:{number}]"
