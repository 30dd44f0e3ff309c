"""What a worker does: looks files through, or reads and judges a unit and keeps what was asked for.

In: a `Look` (files or stretches of them) or a `Unit`. Out: `Surveyed` values, or a `Part`: a row of
figures a session, and the books. Sessions, findings and
set-aside records never travel between processes: they are spooled to a file of the unit's own.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec

from misstep import ingest, store, validate
from misstep.config import RunConfig
from misstep.ingest import (
    Book,
    Found,
    Known,
    Place,
    Places,
    Share,
    Span,
    Surveyed,
    Unit,
    UnitReader,
)
from misstep.pipeline.digest import digest_of
from misstep.pipeline.partitions import Amend, Tables, amend
from misstep.pipeline.rows import aside_row, finding_row, marks_of
from misstep.pipeline.tally import Tally, tally_of
from misstep.redact import switch
from misstep.types import Session, SetAside
from misstep.validate import Judged

WANTS = ("rows", "session", "findings", "verdicts", "digest", "facts", "marks")
"""What can be kept of each session: finding rows, the session, its findings, its verdicts, what the
failure page needs, what mining asks of sessions that it does not open, and by what each finding is
known again."""


@dataclass(frozen=True, slots=True)
class Given:
    """What every worker gets once."""

    found: list[Found]
    config: RunConfig
    wants: tuple[str, ...]
    set_aside: bool
    folder: str
    """Where parts are written."""
    parquet: str | None = None
    """Folder or URL for tables of sessions and findings (`partitions`)."""
    away: bool = False
    """Whether other workers cannot see that folder; nothing is then unpacked for them."""


class Look(msgspec.Struct):
    """Files to be looked through, each whole or a stretch from one byte to another."""

    files: list[tuple[int, int, int | None]]


class Deepen(msgspec.Struct):
    """A group that is too large, to be parted by so many messages behind the first."""

    group: list[Share]
    level: int


class Apart(msgspec.Struct):
    """A unit of whose groups each is to come back as a part of its own."""

    number: int
    unit: Unit


class Row(msgspec.Struct, array_like=True):
    """The figures of one session and where the rest of it stands."""

    id: str
    place: Place
    format: str
    copies: int
    tally: Tally
    at: int
    sizes: list[int]
    """Bytes of each piece of `Given.wants`, one after the other from `at` on."""


class Aside(msgspec.Struct, array_like=True):
    """Where a set-aside record stands."""

    place: Place
    at: int
    size: int


class Part(msgspec.Struct):
    """What a unit came to."""

    rows: list[Row]
    asides: list[Aside]
    books: dict[str, Book]


@dataclass(slots=True)
class Kit:
    """What a worker has at hand."""

    given: Given
    known: Known
    looking: ingest.Looking
    tools: tuple[ingest.ToolSpec, ...]
    settings: validate.Settings
    places: Places
    made: int = field(default=0)


def spool_name(number: int) -> str:
    """The file that holds what was kept of a unit."""
    return f"part-{number:06}"


def prepare(given: Given) -> Kit:
    """Once in each process."""
    switch(given.config.validate.redact)
    known = ingest.known(given.config.ingest)
    return Kit(
        given=given,
        known=known,
        looking=ingest.Looking(known, given.config.ingest),
        tools=ingest.given_tools(given.config.ingest),
        settings=validate.settings(given.config.validate),
        places=Places(given.found),
    )


def work(kit: Kit, piece: Look | Deepen | Apart | Amend | tuple[int, Unit]) -> bytes:
    """One piece; the answer is packed."""
    if isinstance(piece, Amend):
        amend(kit.given.parquet or "", piece)
        return b""
    with _one_sweep():
        if isinstance(piece, Look):
            return msgspec.msgpack.encode([*_look(kit, piece)])
        if isinstance(piece, Deepen):
            return msgspec.msgpack.encode(_parted(kit, piece))
        if isinstance(piece, Apart):
            unit = piece.unit
            groups = [Unit([group], 0) for group in unit.groups]
            return msgspec.msgpack.encode(_read(kit, piece.number, groups))
        number, unit = piece
        return msgspec.msgpack.encode(_read(kit, number, [unit])[0])


@contextmanager
def _one_sweep() -> Iterator[None]:
    """Look for garbage once, at the end, and only at what is new: a unit makes many objects."""
    used = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        if used:
            gc.enable()
            gc.collect()
        gc.unfreeze()


def _look(kit: Kit, look: Look) -> Iterator[Surveyed]:
    folder = None if kit.given.away else Path(kit.given.folder)
    for number, start, end in look.files:
        span = Span(start, end, 1)
        found = kit.given.found[number]
        yield ingest.survey(found, number, kit.looking, span=span, folder=folder)


def _parted(kit: Kit, piece: Deepen) -> list[list[Share]]:
    given = kit.given
    config, folder = given.config.ingest, Path(given.folder)
    parting = ingest.Parting(given.found, known=kit.known, config=config, folder=folder)
    return parting.parted(piece.group, piece.level)


def _read(kit: Kit, number: int, units: list[Unit]) -> list[Part]:
    given, redact = kit.given, kit.given.config.validate.redact
    tables = Tables(redact=redact) if given.parquet is not None else None
    if not given.wants and not given.set_aside:
        parts = [_part(kit, unit, None, tables) for unit in units]
    else:
        path = Path(given.folder) / spool_name(number)
        with store.telling(path), path.open("wb") as out:
            parts = [_part(kit, unit, out, tables) for unit in units]
    if tables is not None and given.parquet is not None:
        tables.write(given.parquet, number)
    return parts


def _part(kit: Kit, unit: Unit, out: BinaryIO | None, tables: Tables | None) -> Part:
    given = kit.given
    reader = UnitReader(
        given.found,
        known=kit.known,
        config=given.config.ingest,
        tools=kit.tools,
        folder=Path(given.folder),
    )
    batch = reader.read(unit)
    part = Part(rows=[], asides=[], books=batch.books)
    part.rows = [_row(kit, session, out, tables) for session in _drained(batch.sessions)]
    if given.set_aside and out is not None:
        part.asides = [_aside(kit, entry, out) for entry in batch.set_aside]
    return part


def _drained(sessions: list[Session]) -> Iterator[Session]:
    """Each session once; it is let go as soon as it was judged."""
    sessions.reverse()
    while sessions:
        yield sessions.pop()


def _row(kit: Kit, session: Session, out: BinaryIO | None, tables: Tables | None) -> Row:
    judged = validate.validate(session, kit.settings)
    if tables is not None:
        tables.add(session, judged)
    at = 0 if out is None else out.tell()
    sizes = [] if out is None else [out.write(_kept(w, session, judged)) for w in kit.given.wants]
    return Row(
        id=session.id,
        place=kit.places.of_session(session),
        format=session.format,
        copies=session.copies,
        tally=tally_of(session, judged),
        at=at,
        sizes=sizes,
    )


def _kept(want: str, session: Session, judged: Judged) -> bytes:
    if want == "rows":
        rows = (finding_row(finding, session) for finding in judged.findings)
        return b"".join(store.row_line(row, "finding") for row in rows)
    if want == "session":
        return store.encode(session)
    if want == "marks":
        return marks_of(session, judged.findings)
    if want == "digest":
        return msgspec.msgpack.encode(digest_of(session, judged))
    if want == "facts":
        from misstep import mine  # a scan does without it

        return msgspec.msgpack.encode(mine.fact_of(session))
    return store.encode(judged.findings if want == "findings" else judged.verdicts)


def _aside(kit: Kit, entry: SetAside, out: BinaryIO) -> Aside:
    at = out.tell()
    size = out.write(store.row_line(aside_row(entry), "set-aside"))
    return Aside(kit.places.of(entry.origin), at, size)
