"""What the formats share: the shape of one, and questions about a row.

In: rows of `rows.pair_row` and `unpaired_row`. Out: an `Aside` where a format cannot carry one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from misstep import store

Row = dict[str, Any]
Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Aside:
    """Why a format cannot carry a row."""

    reason: str
    said: str


def _nothing_beside(_: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return iter(())


def content(digests: Iterable[str]) -> str:
    """A word that changes with the files of these digests.

    `datasets` keeps what it loaded under the name of the folder and the front matter of its card,
    whatever the files hold; with this word there, files that were written anew are read anew.
    """
    return f"content {store.key_of('content', list(digests))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One format."""

    name: str
    about: str
    described: str
    """Where its owner describes it."""
    path: str
    """Of its files, with `{kind}` and `{part}`."""
    kinds: tuple[str, ...]
    """Which of `pairs` and `unpaired` it can hold."""
    convert: Callable[[str, Row], Row | Aside]
    """The line of a row of this kind, or why there is none."""
    beside: Callable[[Mapping[str, str]], Iterator[tuple[str, str]]] = _nothing_beside
    """Names and texts of what else its reader wants, given the digest of each file."""

    def file(self, kind: str, part: str) -> str:
        """Path of a file below the folder of the export."""
        return self.path.format(kind=kind, part=part)

    @property
    def aside(self) -> str:
        """Path of what could not be written."""
        return f"{self.name}/set_aside.jsonl"


SIDES = {"pairs": ("chosen", "rejected"), "unpaired": ("completion",)}


def sides_of(kind: str, row: Row) -> list[Message]:
    """The answers of a row."""
    return [row[side][0] for side in SIDES[kind]]


def calls_of(message: Message) -> list[Mapping[str, Any]]:
    """Functions that a message calls: `name` and `arguments`."""
    return [call["function"] for call in message.get("tool_calls") or ()]


def unsayable(kind: str, row: Row) -> Aside | None:
    """What no format but our own can say of a row.

    A side that never ended its turn gets an end from every other trainer, and would teach that
    ending is bad; an image is a file in `images/`, and these formats hold text.
    """
    if row["cut"]:
        return Aside("cut-side", "the failed side carries no end of turn, and this format adds one")
    if row.get("images"):
        return Aside("image", "the prompt holds an image")
    for side in sides_of(kind, row):
        if not side.get("content") and not side.get("tool_calls"):
            return Aside("empty-side", "a side holds neither text nor a call")
    return None


def fault_of(arguments: str) -> Aside | None:
    """Why argument text cannot become an object and keep its meaning; None if it can."""
    try:
        value = json.loads(
            arguments,
            object_pairs_hook=_object,
            parse_float=_float,
            parse_int=_int,
            parse_constant=_constant,
        )
        json.dumps(value, ensure_ascii=False).encode()
    except _Inexact as fault:
        return Aside("inexact-arguments", f"the arguments lose {fault} as an object")
    except UnicodeEncodeError:
        return Aside("inexact-arguments", "the arguments hold half a character")
    except (ValueError, RecursionError):
        return Aside("broken-arguments", "the arguments of a call are not JSON")
    if not isinstance(value, dict):
        return Aside("broken-arguments", "the arguments of a call are no object")
    return None


class _Inexact(Exception):
    """A value that a reader would change."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _Inexact("a key that stands twice")
    return made


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or Decimal(text) != Decimal(repr(value)):
        raise _Inexact(f"the number {text[:40]}")
    return value


def _int(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
        raise _Inexact(f"the number {text[:40]}")
    return int(text)


def _constant(text: str) -> float:
    raise ValueError(text)
