"""Where in a JSON text the value stands that a JSON pointer names.

In: text as a model wrote it, valid or not, and a pointer (RFC 6901) into its value. Out: character
offsets. One pass over the text, without recursion; broken text is followed as far as it can be
read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_SHORT = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
MAX_TEXT = 1_000_000
"""Characters that are looked through; a text takes about a second per ten million."""


@dataclass(frozen=True, slots=True)
class Place:
    """A value in a text."""

    start: int
    end: int
    key: int
    """Where its key begins; `start` for what has none."""


@dataclass(slots=True)
class _Open:
    """An object or a list that is being read."""

    kind: str
    at: int = 0
    name: str = ""
    """Key, or the item's number as text."""
    key: int = -1
    value: bool = False
    """Whether a value, and not a key, comes next."""


def locate(text: str, pointer: str) -> Place | None:
    """The value at `pointer`; None where the text holds none that can be told."""
    wanted = [_unescaped(token) for token in pointer.split("/")[1:]]
    stack: list[_Open] = []
    deep = 0  # how many containers, from the outermost on, lie on the way
    found: tuple[int, int, int] | None = None  # start, key, and depth of the value
    for token in _TOKEN.finditer(text, 0, MAX_TEXT):
        said = token[0]
        if said in "]}":
            if stack:
                stack.pop()
            deep = min(deep, len(stack))
            if found is not None and len(stack) <= found[2]:
                return Place(found[0], token.end(), found[1])
            continue
        if said in ",:":
            _go_on(stack, said)
            continue
        if stack and stack[-1].kind == "{" and not stack[-1].value:
            stack[-1].name, stack[-1].key = _key(said), token.start()
            continue
        if found is None and deep == len(stack) and _on_the_way(stack, wanted):
            if len(stack) == len(wanted):
                key = stack[-1].key if stack and stack[-1].kind == "{" else token.start()
                found = (token.start(), key, len(stack))
                if said not in "[{":
                    return Place(token.start(), token.end(), key)
            else:
                deep += said in "[{"
        if said in "[{":
            stack.append(_Open(said, name="0", value=said == "["))
    return None if found is None else Place(found[0], min(len(text), MAX_TEXT), found[1])


def _go_on(stack: list[_Open], said: str) -> None:
    if not stack:
        return
    top = stack[-1]
    if top.kind == "[":
        top.at += said == ","
        top.name = str(top.at)
    else:
        top.value = said == ":"


def _on_the_way(stack: list[_Open], wanted: list[str]) -> bool:
    """Whether the value that comes next lies on the pointer's way; its parents do."""
    return len(stack) <= len(wanted) and (not stack or stack[-1].name == wanted[len(stack) - 1])


def _unescaped(token: str) -> str:
    return token.replace("~1", "/").replace("~0", "~")


def _key(said: str) -> str:
    if not said.startswith('"'):
        return said.strip("'")
    key = _ESCAPE.sub(_character, said[1:-1])
    # escapes spell what lies beyond the first plane as two halves
    return key.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _character(escape: re.Match[str]) -> str:
    if escape[1]:
        return chr(int(escape[1], 16))
    return _SHORT.get(escape[2], escape[2])
