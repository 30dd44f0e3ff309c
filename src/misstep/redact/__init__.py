"""Secrets and people out of texts, before anything is written for training or sharing.

In: text that a log kept. Out: the same text with each secret replaced by `[REDACTED:kind]`, and, by
a `Cleaner`, each e-mail address and each user's name in a path by a stand-in of the same form. A
replacement holds no quote, backslash or bracket that JSON would trip over, so JSON text stays JSON
text. Time is linear in the length of the text. Nothing here looks a secret up or keeps one.

What counts: `secrets` (with the rules of detect-secrets behind `vendors`) and `personal`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from misstep.redact.cleaner import Cleaner
from misstep.redact.marks import has_placeholder
from misstep.redact.personal import email_spans, home_spans
from misstep.redact.secrets import SECRETS, Span, merged, secret_spans

__all__ = [
    "SECRETS",
    "Cleaner",
    "Redacted",
    "clip",
    "has_placeholder",
    "has_secret",
    "redact",
    "redact_at",
    "switch",
    "switched",
]

_ACTIVE = ContextVar("redact", default=True)
_LONGEST = 600
"""Characters behind a cut in which a secret that begins before it may end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """A text without its secrets."""

    text: str
    count: int
    """How many were replaced."""


def switch(active: bool) -> None:
    """Whether `redact`, `redact_at` and `clip` replace anything from here on in this process.

    For examples and evidence, which come from many places; what is written for training has a
    `Cleaner` of its own, and `has_secret` always looks.
    """
    _ACTIVE.set(active)


@contextmanager
def switched(active: bool) -> Iterator[None]:
    """`switch` for a while."""
    before = _ACTIVE.set(active)
    try:
        yield
    finally:
        _ACTIVE.reset(before)


def redact(text: str, *, personal: bool = False) -> Redacted:
    """The text with `[REDACTED:kind]` in place of each secret, and of each person on demand."""
    found = _found(text, personal)
    if not found:
        return Redacted(text=text, count=0)
    pieces, end = [], 0
    for start, stop, kind in found:
        pieces += [text[end:start], _mark(kind)]
        end = stop
    return Redacted(text="".join([*pieces, text[end:]]), count=len(found))


def redact_at(
    text: str, spans: Sequence[tuple[int, int]], *, personal: bool = False
) -> tuple[str, list[tuple[int, int]]]:
    """As `redact`, and where the given stretches of the text lie in what comes out.

    An edge that lies inside a secret moves to the edge of its placeholder.
    """
    found = _found(text, personal)
    moved = [(_moved(start, found, 0), _moved(end, found, 1)) for start, end in spans]
    return redact(text, personal=personal).text if found else text, moved


def _moved(at: int, found: Sequence[Span], edge: int) -> int:
    """Where a place lies once everything was replaced; `edge` 1 is the end of a placeholder."""
    shift = 0
    for start, stop, kind in found:
        if at <= start:
            break
        size = len(_mark(kind))
        if at < stop:
            return start + shift + edge * size
        shift += size - (stop - start)
    return at + shift


def clip(text: str, length: int) -> str:
    """The first `length` characters, secrets taken out before the cut: a cut one is no pattern."""
    return redact(text[: length + _LONGEST]).text[:length]


def has_secret(text: str) -> bool:
    """Whether `redact` would replace anything (people aside)."""
    return bool(secret_spans(text))


def _found(text: str, personal: bool) -> list[Span]:
    if not _ACTIVE.get():
        return []
    found = secret_spans(text)
    return merged([*found, *email_spans(text), *home_spans(text)]) if personal else found


def _mark(kind: str) -> str:
    return f"[REDACTED:{kind}]"
