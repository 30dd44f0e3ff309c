"""Log records to sessions: what one worker, or the only one, does with a unit of them.

In: a `Unit` of the survey, or whole files that were not surveyed. Out: a `Batch`: sessions, and the
books of each format, in which records = used + ignored by kind + set aside. A unit is read by one
reader a format, group after group, each in the order of its files and of the records in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from misstep.config import IngestConfig
from misstep.ingest.decode import ENCODER_LIMIT, Fault
from misstep.ingest.discover import Found
from misstep.ingest.format import Format, Reader, Record, Tally
from misstep.ingest.images import work_of, working
from misstep.ingest.item import Item
from misstep.ingest.lines import Progress, fault_of
from misstep.ingest.pages.beside import listing
from misstep.ingest.recognise import (
    OTHER,
    Known,
    Plan,
    Routed,
    limits,
    recognise,
    route,
    routed,
)
from misstep.ingest.records import BLANK, item_of
from misstep.ingest.source import DAMAGED, Source
from misstep.ingest.stretches import LastFile, Span, spans_of
from misstep.ingest.survey import numbers, plain_name
from misstep.ingest.tools import with_tools
from misstep.ingest.units import Share, Unit
from misstep.types import Origin, Session, SetAside, ToolSpec

UNKNOWN = "unknown"
"""The name under which files of no known format are counted."""
Decoder = Callable[[bytes], Any]


class Book(msgspec.Struct):
    """One format's books: records == used + ignored + set_aside."""

    files: int = 0
    """Files that were recognised while they were read, not before."""
    records: int = 0
    used: int = 0
    ignored: dict[str, int] = msgspec.field(default_factory=dict)
    """By kind."""
    set_aside: dict[str, int] = msgspec.field(default_factory=dict)
    """By reason."""
    sessions: int = 0
    images: int = 0
    """Images whose bytes stood in the records."""
    broken_images: int = 0
    """Of these, those that could not be decoded."""

    def add(self, other: Book) -> None:
        """Take in the books of another batch."""
        self.files += other.files
        self.records += other.records
        self.used += other.used
        self.sessions += other.sessions
        self.images += other.images
        self.broken_images += other.broken_images
        for into, counts in ((self.ignored, other.ignored), (self.set_aside, other.set_aside)):
            for name, count in counts.items():
                into[name] = into.get(name, 0) + count


class Batch(msgspec.Struct, frozen=True):
    """What was read, and what was not."""

    sessions: list[Session]
    set_aside: list[SetAside]
    books: dict[str, Book]


class _Desk(msgspec.Struct):
    """One format at work."""

    format: Format | None
    reader: Reader | None
    tally: Tally
    files: int = 0
    records: int = 0
    images: int = 0
    broken_images: int = 0


class UnitReader:
    """Reads one unit."""

    def __init__(
        self,
        found: Sequence[Found],
        *,
        known: Known,
        config: IngestConfig,
        tools: Sequence[ToolSpec] = (),
        folder: Path | None = None,
    ) -> None:
        self._folder = folder
        """Where the unpacked copies of compressed files are."""
        self._found = found
        self._known = known
        self._config = config
        self._tools = tools
        self._desks: dict[str, _Desk] = {}
        self._decoders: dict[Callable[[int], Decoder], Decoder] = {}
        self._plans: dict[tuple[str, str | None, str | None], Plan] = {}
        self._bounds = limits(config)
        self._work = work_of(config)
        self._work.left_out = listing(found, config.exclude)
        self._last = LastFile()

    def read(self, unit: Unit) -> Batch:
        """All records of a unit."""
        for group in unit.groups:
            for share in group:
                self.take(share)
        return self.finish()

    def take(self, share: Share, progress: Progress | None = None) -> None:
        """The records of one share."""
        file = self._found[share.file]
        kind = "excluded" if file.left_out else file.beside or None
        fault = None if kind else file.fault
        if kind is None and fault is None:
            fault = self._read(share, file, progress)
        if kind is None and fault is None:
            return
        desk = self._desk(UNKNOWN, None)
        desk.files += share.kind is None
        desk.records += 1
        if fault is None:
            desk.tally.ignore(kind or "excluded")
        else:
            origin = Origin(file=file.name, member=file.member, format=UNKNOWN)
            desk.tally.aside(origin, fault.reason, fault.said)

    def _read(self, share: Share, file: Found, progress: Progress | None) -> Fault | None:
        try:
            plan = self._plan(share, file)
            if isinstance(plan, Fault):
                return plan
            own = self._desk(plan.name or UNKNOWN, plan.format)
            own.files += share.kind is None
            touched: dict[str, Reader] = {}
            with self._working(own):
                if share.spans:
                    self._stretches(share, file, plan, touched)
                else:
                    for entry in routed(file, plan, self._known, self._config, progress):
                        self._take(entry, file, plan, touched)
                for reader in touched.values():
                    reader.close_file()
        except (OSError, *DAMAGED) as error:
            return fault_of(error)
        return None

    @contextmanager
    def _working(self, desk: _Desk) -> Iterator[None]:
        """Let readers work, and count the images that they meet."""
        met, broken = self._work.met, self._work.broken
        with working(self._work):
            yield
        desk.images += self._work.met - met
        desk.broken_images += self._work.broken - broken

    def _plan(self, share: Share, file: Found) -> Plan | Fault:
        if share.kind is None:
            return recognise(file, self._known, self._config)
        key = (share.kind, share.format, share.wrapper)
        if key not in self._plans:
            formats = {one.name: one for one in self._known.formats}
            wrappers = {one.name: one for one in self._known.wrappers}
            self._plans[key] = Plan(
                kind=share.kind,  # type: ignore[arg-type]  # written by the survey from a Plan
                format=formats.get(share.format or ""),
                wrapper=wrappers.get(share.wrapper or ""),
            )
        return self._plans[key]

    def _stretches(self, share: Share, file: Found, plan: Plan, touched: dict[str, Reader]) -> None:
        """The lines of a share, by the shortest way where a line is surely its file's format's."""
        bounds, decoder, name = self._bounds, self._decoder(plan), plan.name or UNKNOWN
        flat = numbers(share.spans)
        spans = [Span(*flat[i : i + 3]) for i in range(0, len(flat), 3)]
        source = file.source
        if share.plain and self._folder is not None:
            source = Source(self._folder / plain_name(share.file))
        desk = self._desk(name, plan.format)
        settled = self._settled(plan) if desk.reader is not None else None
        for line in spans_of(self._last.of(source), spans, bounds):
            item = item_of(line, bounds, decoder)
            if settled is not None and desk.reader is not None and settled(item.value):
                desk.records += 1
                origin = Origin(
                    file=file.name,
                    format=name,
                    line=item.line,
                    offset=item.offset,
                    member=file.member,
                )
                desk.reader.read(Record(value=item.value, origin=origin, file=file.here))
                touched[name] = desk.reader
            else:
                for entry in route(item, plan, self._known, file.label):
                    self._take(entry, file, plan, touched)

    def _settled(self, plan: Plan) -> Callable[[Any], bool] | None:
        """A quick test that a line is its file's format's; None where there is none."""
        if plan.format is None or plan.wrapper is not None:
            return None
        if plan.format.kin is None or self._known.forced:
            return _is_decoded
        return plan.format.sure

    def _decoder(self, plan: Plan) -> Decoder | None:
        make = plan.format.decoder if plan.format is not None else None
        if make is None:
            return None
        if make not in self._decoders:
            deepest = min(self._config.max_depth, ENCODER_LIMIT)
            self._decoders[make] = make(deepest)
        return self._decoders[make]

    def _take(self, entry: Routed, file: Found, plan: Plan, touched: dict[str, Reader]) -> None:
        name = (plan.name or UNKNOWN) if entry.format is None else entry.format.name
        desk = self._desks.get(name)
        if desk is None or desk.reader is None:
            desk = self._desk(name, entry.format)
        desk.records += 1
        _take(entry.item, file, name, desk)
        if desk.reader is not None:
            touched[name] = desk.reader

    def _desk(self, name: str, known: Format | None) -> _Desk:
        desk = self._desks.get(name)
        if desk is None:
            tally = Tally()
            desk = self._desks[name] = _Desk(known, known.reader(tally) if known else None, tally)
        elif desk.reader is None and known is not None:
            desk.format, desk.reader = known, known.reader(desk.tally)
        return desk

    def finish(self) -> Batch:
        """The sessions of all that was taken, and the books."""
        self._last.close()
        sessions: list[Session] = []
        aside: list[SetAside] = []
        books: dict[str, Book] = {}
        for name, desk in self._desks.items():
            if desk.reader is not None and desk.format is not None:
                with self._working(desk):
                    read = desk.reader.finish()
                sessions.extend(with_tools(read, self._tools, desk.format.keeps_tools))
            aside.extend(desk.tally.set_aside)
            books[name] = Book(
                files=desk.files,
                records=desk.records + desk.tally.unfolded,
                used=desk.tally.used,
                ignored=dict(desk.tally.ignored),
                set_aside=dict(Counter(entry.reason for entry in desk.tally.set_aside)),
                images=desk.images,
                broken_images=desk.broken_images,
            )
        return Batch(sessions, aside, books)


def _is_decoded(value: Any) -> bool:
    return type(value) is not Fault


def _take(item: Item, file: Found, name: str, desk: _Desk) -> None:
    value = item.value
    if value is BLANK:
        desk.tally.ignore("blank")
        return
    if value is OTHER:
        desk.tally.ignore("other-traffic")
        return
    origin = Origin(
        file=file.name,
        format=name,
        line=item.line,
        offset=item.offset,
        member=file.member,
        row=item.row,
        pointer=item.pointer,
    )
    if isinstance(value, Fault):
        desk.tally.aside(origin, value.reason, value.said)
    elif desk.reader is None:
        desk.tally.aside(origin, "unknown-format", "JSON, but of no known format")
    else:
        desk.reader.read(Record(value=value, origin=origin, file=file.here))
