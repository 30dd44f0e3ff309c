"""What a worker does of mining: look for pairs, or make rows, in a parcel of sessions.

In: a `Look` or a `Make`, packed. Out: what was found or made, packed. A worker sees no folder but
that of the images; what it needs of the logs comes with the piece.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from misstep import mine, validate
from misstep.config import MineConfig, ValidateConfig
from misstep.pipeline.boxes import Parcel, corpus_of
from misstep.redact import switched
from misstep.types import Message, Pair, Prompt

Entered = tuple[mine.Entry, bytes]
"""An entry, and the `Judged` that belongs to it, packed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What every worker gets once."""

    config: MineConfig
    validate: ValidateConfig
    references: tuple[mine.Reference, ...]
    decisions: Mapping[str, mine.Decision]
    torn: frozenset[str]
    """Families on both sides of the split."""
    tasks: bytes
    """Digests of the held-out tasks, as 64-bit numbers."""
    images: Path | Collection[str] | None


class Look(msgspec.Struct, array_like=True, tag="look"):
    """Failures to be paired."""

    parcel: Parcel
    own: list[str]
    """Sessions whose failures they are; the others have a prompt in common with them."""
    answers: list[tuple[Prompt, list[Message]]]


class Order(msgspec.Struct, array_like=True):
    """A row to be made: of a pair, of a failure, or of an accepted step."""

    at: int
    """Its place among all rows."""
    part: str
    kind: str
    pair: Pair | None = None
    unpaired: mine.Unpaired | None = None
    accepted: Prompt | None = None
    home: str | None = None


class Make(msgspec.Struct, array_like=True, tag="make"):
    """Rows to be made, in the order of their places."""

    parcel: Parcel
    orders: list[Order]


class Looked(msgspec.Struct, array_like=True):
    """What came of a `Look`; the bytes are `Judged` and `Unpaired` values, packed."""

    first: list[Entered]
    last: list[tuple[str, mine.Entry, bytes]]
    """Of a fallback source: its name, an entry and the rest."""
    asked: list[Prompt]
    """Failures that the fallback sources were asked about."""
    logged: list[tuple[Prompt, bytes | None]]
    """Failures of the log that no candidate of `first` pairs."""
    sampled: list[tuple[Prompt, str, bytes | None]]


class Made(msgspec.Struct, array_like=True):
    """What came of a `Make`."""

    rows: list[tuple[int, bytes]]
    redacted: dict[str, int]


@dataclass(frozen=True, slots=True)
class Kit:
    """What a worker has at hand."""

    given: Given
    settings: validate.Settings
    tasks: frozenset[int]


_PIECE = msgspec.msgpack.Decoder(Look | Make)
_encode = msgspec.msgpack.encode


def prepare(given: Given) -> Kit:
    """Once in each process."""
    tasks = array("Q")
    tasks.frombytes(given.tasks)
    return Kit(given, validate.settings(given.validate), frozenset(tasks))


def work(kit: Kit, piece: bytes) -> bytes:
    """One piece; evidence is cut and cleaned as it is where mining is not spread."""
    with switched(True):
        todo = _PIECE.decode(piece)
        return _encode(_look(kit, todo) if isinstance(todo, Look) else _make(kit, todo))


def _look(kit: Kit, look: Look) -> Looked:
    desk = _desk(kit, look)
    chosen = mine.chosen_sources(kit.given.config)
    first = [*mine.entries(desk, [source for source in chosen if not source.fallback])]
    paired = {entry.rejected for entry, _ in first if entry.passes}
    open_ = [prompt for prompt in desk.failed() if desk.logged_id(prompt) not in paired]
    rest = desk.narrowed(open_)
    last = [
        (source.name, entry, _encode(judged))
        for source in chosen
        if source.fallback
        for entry, judged in mine.entries(rest, [source])
    ]
    logged = [(prompt, _packed(mine.loose_logged(desk, prompt))) for prompt in open_]
    known = mine.loose_sampled(desk) if look.answers else ()
    sampled = [(prompt, name, _packed(found)) for prompt, name, found in known]
    return Looked(
        first=[(entry, _encode(judged)) for entry, judged in first],
        last=last,
        asked=open_,
        logged=logged,
        sampled=sampled,
    )


def _packed(found: mine.Unpaired | None) -> bytes | None:
    return None if found is None else _encode(found)


def _desk(kit: Kit, look: Look) -> mine.Desk:
    given = kit.given
    corpus, split = corpus_of(look.parcel, decisions=given.decisions, images=given.images)
    held = mine.HeldText(prompts=frozenset(look.parcel.heldout), tasks=kit.tasks)
    return mine.Desk(
        corpus=corpus,
        split=split,
        config=given.config,
        settings=kit.settings,
        references=given.references,
        answers=dict(look.answers),
        only=frozenset(look.own),
        memo={"torn": given.torn, "heldout": held},
    )


def _make(kit: Kit, make: Make) -> Made:
    given = kit.given
    corpus, split = corpus_of(make.parcel, decisions={}, images=given.images)
    maker = mine.Maker(corpus, split, given.config.redact)
    rows = [(order.at, _encode(maker.row(wanted_of(order)))) for order in make.orders]
    return Made(rows=rows, redacted=dict(maker.counts))


def order_of(at: int, wanted: mine.Wanted) -> Order:
    """A row that is wanted, as it travels."""
    value = wanted.value
    return Order(
        at=at,
        part=wanted.part,
        kind=wanted.kind,
        pair=value if isinstance(value, Pair) else None,
        unpaired=value if isinstance(value, mine.Unpaired) else None,
        accepted=value if isinstance(value, Prompt) else None,
        home=wanted.home,
    )


def wanted_of(order: Order) -> mine.Wanted:
    """The same, where it has arrived."""
    value = order.pair or order.unpaired or order.accepted
    if value is None:
        raise ValueError("an order without a value")
    return mine.Wanted(part=order.part, kind=order.kind, value=value, home=order.home)
