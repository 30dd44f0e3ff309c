"""Secrets and people out of texts, before anything is written for training or sharing.

In: text that a log kept. Out: the same text with each secret replaced by `[REDACTED:kind]`, and, by
a `Cleaner`, each e-mail address and each user's name in a path by a stand-in of the same form. A
replacement holds no quote, backslash or bracket that JSON would trip over, so JSON text stays JSON
text. Time is linear in the length of the text. Nothing here looks a secret up or keeps one.

A secret that was cut is no pattern any more: who shows a piece of a text takes it with `cut` or
`clip`, and slices nothing before.

What counts: `secrets` (with the rules of detect-secrets behind `vendors`) and `personal`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from misstep.redact.cleaner import Cleaner
from misstep.redact.marks import has_placeholder
from misstep.redact.personal import email_spans, home_spans
from misstep.redact.secrets import SECRETS, Span, merged, secret_spans

__all__ = [
    "MARGIN",
    "SECRETS",
    "Cleaner",
    "Redacted",
    "clean",
    "clean_pointer",
    "clip",
    "cut",
    "has_placeholder",
    "has_secret",
    "redact",
    "redact_at",
    "switch",
    "switched",
]

_ACTIVE = ContextVar("redact", default=True)
MARGIN = 4_000
"""Characters around a cut that are searched for secrets; a private key is about 3,300."""
_LONGEST = 600
"""Characters behind a cut in which a secret of several words that begins before it shows itself; of
one word (a token), all of it is looked at."""
_WORD = re.compile(rf"\S{{0,{MARGIN}}}")
_LEAST = 15
"""Characters of the shortest secret that may look like a name in a program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """A text without its secrets."""

    text: str
    count: int
    """How many were replaced."""


def switch(active: bool) -> None:
    """Whether anything but a `Cleaner` replaces anything from here on in this process.

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
    return Redacted(text=_replaced(text, found), count=len(found))


def _replaced(text: str, found: Sequence[Span]) -> str:
    if not found:
        return text
    pieces, end = [], 0
    for start, stop, kind in found:
        pieces += [text[end:start], _mark(kind)]
        end = stop
    return "".join([*pieces, text[end:]])


def redact_at(
    text: str, spans: Sequence[tuple[int, int]], *, personal: bool = False
) -> tuple[str, list[tuple[int, int]]]:
    """As `redact`, and where the given stretches of the text lie in what comes out.

    An edge that lies inside a secret moves to the edge of its placeholder.
    """
    found = _found(text, personal)
    moved = [(_moved(start, found, 0), _moved(end, found, 1)) for start, end in spans]
    return _replaced(text, found), moved


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


def clean(text: str) -> str:
    """The whole text without secrets and people."""
    return redact(text, personal=True).text


def clean_pointer(pointer: str) -> str:
    """A JSON pointer (RFC 6901) whose names hold no secrets and no people."""
    if len(pointer) < _LEAST and pointer.replace("/", "_").isidentifier():
        return pointer
    tokens = (token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/"))
    return "/".join(clean(token).replace("~", "~0").replace("/", "~1") for token in tokens)


def cut(text: str, start: int, end: int) -> str:
    """`text[start:end]` without secrets and people; one that lies across an edge goes whole."""
    base = max(0, start - MARGIN)
    stop = end + _LONGEST
    found = _WORD.match(text, stop) if stop < len(text) else None
    stop = stop if found is None else found.end()
    span = (start - base, min(end, len(text)) - base)
    piece, ((left, right),) = redact_at(text[base:stop], [span], personal=True)
    return piece[left:right]


def clip(text: str, length: int, *, name: str = "") -> str:
    """At most `length` characters of the beginning, without secrets and people.

    Args:
        name: what the text is the value of; some values are secrets by their names alone.
    """
    if len(text) < _LEAST and text.isidentifier():
        return text[:length]
    head = f"{name}: " if name else ""
    return cut(f"{head}{text}", len(head), len(head) + length)[:length]


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
