"""Rows read back: what a row of `rows` teaches, without the logs.

In: rows as they come from Parquet or JSON. Out: `Sides`. `exact` is preferred to chat form, and the
null members that a table adds are left out. Argument text is what it was, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from misstep import store
from misstep.chat import from_chat, tool_from_chat
from misstep.mine.marks import from_json
from misstep.types import Context, Mark, Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """What a row teaches, rebuilt without the logs."""

    id: str
    prompt: tuple[Message, ...]
    context: Context
    chosen: Message
    rejected: Message | None
    """None for an accepted step, which has no partner."""
    cut: bool
    family: str
    source: str
    codes: tuple[str, ...]
    marks: tuple[Mark, ...] = ()
    """Where the sides fail; none in a row of an older version."""
    unplaced: tuple[str, ...] = ()
    """What is wrong with each mark of the row that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """The messages of a row, part by part; the answers in the order of the row's sides."""

    prompt: tuple[Message, ...]
    answers: tuple[Message, ...]


def row_to_sides(row: Mapping[str, Any]) -> Sides:
    """The two sides of a row of `pair_row`, as read back from Parquet or JSON."""
    exact = _exact(row, "chosen", "rejected")
    chosen, rejected = exact.answers
    marks, unplaced = from_json(row.get("places"), {"chosen": chosen, "rejected": rejected})
    return Sides(
        **_shared(row),
        prompt=exact.prompt,
        chosen=chosen,
        rejected=replace(rejected, end="cut") if row["cut"] else rejected,
        cut=bool(row["cut"]),
        source=row["source"],
        codes=tuple(row["codes"]),
        marks=marks,
        unplaced=unplaced,
    )


def accepted_to_sides(row: Mapping[str, Any]) -> Sides:
    """The chosen side of a row of `accepted_row`, as read back; there is no rejected one."""
    exact = _exact(row, "completion")
    return Sides(
        **_shared(row),
        prompt=exact.prompt,
        chosen=exact.answers[0],
        rejected=None,
        cut=False,
        source="accepted",
        codes=(),
    )


def labelled_to_sides(row: Mapping[str, Any]) -> Sides:
    """The completion of a row of `unpaired/` as the chosen side, whatever its label."""
    exact = _exact(row, "completion")
    return Sides(
        **_shared(row),
        prompt=exact.prompt,
        chosen=replace(exact.answers[0], end="cut") if row["cut"] else exact.answers[0],
        rejected=None,
        cut=bool(row["cut"]),
        source=row["source"],
        codes=tuple(row["codes"]),
    )


def _exact(row: Mapping[str, Any], *sides: str) -> Exact:
    if row["exact"] is not None:
        return store.decode(row["exact"], Exact)
    return Exact(
        prompt=tuple(map(_message, row["prompt"])),
        answers=tuple(_message(row[side][0]) for side in sides),
    )


def tidy(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as it was before a table added null members to its messages."""
    made = dict(row)
    if made.get("images") is None:
        made.pop("images", None)
    for name in ("prompt", "chosen", "rejected", "completion"):
        if name in made:
            made[name] = [_bare(message) for message in made[name]]
    return made


def _bare(message: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if value is not None}


def _message(row: Mapping[str, Any]) -> Message:
    """A chat message without the null members that a table adds."""
    return from_chat(_bare(row))


def _shared(row: Mapping[str, Any]) -> dict[str, Any]:
    tools = tuple(tool_from_chat(tool) for tool in json.loads(row["tools"]))
    return {
        "id": row["id"],
        "context": replace(store.decode(row["context"], Context), tools=tools),
        "family": row["family"],
    }
