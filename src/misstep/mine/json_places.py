"""Where the members of a JSON text stand, so that one of them can be edited and the rest kept.

In: a text that a strict parser takes, and a JSON pointer. Out: a `Place`: the spans of the value,
of its key, and of the whole member. `replaced`, `renamed` and `dropped` change these characters
and no others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.S)
_SCALAR = re.compile(r"[^\s,\]}]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One value in a text; spans are character offsets, end excluded."""

    pointer: str
    value: tuple[int, int]
    key: tuple[int, int] | None = None
    """Span of the key with its quotes; None for a list's element and for the whole."""
    first: bool = True
    """True where no sibling stands before it."""
    last: bool = True
    """True where none follows."""
    before: int = 0
    """End of what stands before the member: the bracket or the comma."""
    after: int = 0
    """Start of what follows it: the comma or the bracket."""


def places(text: str) -> dict[str, list[Place]]:
    """Every value of a JSON text by its pointer; a key that stands twice has two places."""
    found: dict[str, list[Place]] = {}
    for place in _value(text, _skip(text, 0), ""):
        found.setdefault(place.pointer, []).append(place)
    return found


def place_of(text: str, pointer: str) -> Place | None:
    """The place of a pointer; None where there is none, or more than one."""
    found = places(text).get(pointer, [])
    return found[0] if len(found) == 1 else None


def replaced(text: str, place: Place, value: str) -> str:
    """The text with other characters in the place of the value."""
    return text[: place.value[0]] + value + text[place.value[1] :]


def renamed(text: str, place: Place, key: str) -> str:
    """The text with another key for the member."""
    if place.key is None:
        return text
    return text[: place.key[0]] + json.dumps(key, ensure_ascii=False) + text[place.key[1] :]


def dropped(text: str, place: Place) -> str:
    """The text without the member, and without the comma that set it apart."""
    if place.first and place.last:
        return text[: place.before] + text[place.after :]
    if place.first:
        start = place.value[0] if place.key is None else place.key[0]
        return text[:start] + text[_skip(text, place.after + 1) :]
    return text[: place.before - 1] + text[place.after :]


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _end(text: str, at: int) -> int:
    """End of the scalar that begins at `at`."""
    found = (_STRING if text[at : at + 1] == '"' else _SCALAR).match(text, at)
    return found.end() if found else len(text)


@dataclass(slots=True)
class _Open:
    """An object or list whose end was not seen yet."""

    place: Place
    listed: bool
    made: list[Place]
    before: int


def _value(text: str, at: int, pointer: str) -> Iterator[Place]:
    """Places in the order in which their values end; without recursion, however deep they lie."""
    stack: list[_Open] = []
    key: tuple[int, int] | None = None
    while True:
        place = Place(pointer=pointer, value=(at, at), key=key)
        if text[at : at + 1] in ("{", "["):
            stack.append(_Open(place, text[at] == "[", [], at + 1))
            at = _skip(text, at + 1)
        else:
            end = _end(text, at)
            done = _ended(place, end)
            at = _skip(text, end)
            if not stack:
                yield done
                return
            at = _close(text, at, stack[-1], done)
        while stack and text[at : at + 1] in ("}", "]", ""):
            top = stack.pop()
            yield from _siblings(top.made)
            done = _ended(top.place, min(at + 1, len(text)))
            at = _skip(text, at + 1)
            if not stack:
                yield done
                return
            at = _close(text, at, stack[-1], done)
        top = stack[-1]
        key = None
        token = str(len(top.made))
        if not top.listed:
            end = _end(text, at)
            key = (at, end)
            token = str(json.loads(text[at:end]))
            at = _skip(text, _skip(text, end) + 1)
        pointer = f"{top.place.pointer}/{token.replace('~', '~0').replace('/', '~1')}"


def _ended(place: Place, end: int) -> Place:
    return Place(pointer=place.pointer, value=(place.value[0], end), key=place.key)


def _close(text: str, at: int, top: _Open, done: Place) -> int:
    """Note a member of the innermost open value; gives where the next one, or its end, stands."""
    top.made.append(
        Place(pointer=done.pointer, value=done.value, key=done.key, before=top.before, after=at)
    )
    if text[at : at + 1] != ",":
        return at
    top.before = at + 1
    return _skip(text, at + 1)


def _siblings(made: list[Place]) -> Iterator[Place]:
    for i, place in enumerate(made):
        yield Place(
            pointer=place.pointer,
            value=place.value,
            key=place.key,
            first=i == 0,
            last=i == len(made) - 1,
            before=place.before,
            after=place.after,
        )
