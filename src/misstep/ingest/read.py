"""The ingest room's one job: log paths to sessions, with every record accounted for.

In: paths and an `IngestConfig`. Out: an `Ingested`. For each format and in total
records = used + ignored by kind + set aside. Only a wrong set-up raises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from misstep.config import IngestConfig
from misstep.errors import UnknownName
from misstep.ingest.decode import Fault
from misstep.ingest.discover import Found, discover
from misstep.ingest.format import Format, Reader, Record, Tally
from misstep.ingest.item import Item
from misstep.ingest.recognise import OTHER, Known, Plan, Routed, Wrapper, recognise, routed
from misstep.ingest.records import BLANK
from misstep.ingest.source import Damaged
from misstep.ingest.tools import read_tools, with_tools
from misstep.types import Origin, Session, SetAside

UNKNOWN = "unknown"
"""The name under which files of no known format are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatCount:
    """The books of one format: records == used + ignored + set_aside."""

    files: int
    records: int
    used: int
    ignored: int
    set_aside: int
    sessions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The books of one run; `records` is the sum over the formats."""

    files: int
    bytes: int
    """Bytes on disk, compressed where the files are."""
    records: int
    used: int
    ignored: dict[str, int]
    """By kind of record."""
    set_aside: dict[str, int]
    """By reason."""
    formats: dict[str, FormatCount]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What was read, and what was not."""

    sessions: tuple[Session, ...]
    set_aside: tuple[SetAside, ...]
    counts: Counts


@dataclass(slots=True)
class _Book:
    """One format at work."""

    reader: Reader | None
    tally: Tally = field(default_factory=Tally)
    files: int = 0
    records: int = 0


def ingest(
    paths: Sequence[Path],
    *,
    formats: Sequence[Format],
    wrappers: Sequence[Wrapper] = (),
    config: IngestConfig,
    progress: Callable[[int, int], None] | None = None,
) -> Ingested:
    """Read all logs under `paths`.

    Args:
        formats: the known formats; earlier ones win a tie.
        progress: called with bytes done and bytes in all.

    Raises:
        InputError: a path does not exist, or the tools file cannot be used.
        UnknownName: `config.format` is no format.
    """
    forced = _forced(formats, config.format)
    known = Known(
        formats=forced or formats, wrappers=() if forced else wrappers, forced=bool(forced)
    )
    tools = read_tools(Path(config.tools)) if config.tools else ()
    found = list(discover(paths, config.exclude))
    total = sum(file.size for file in found)
    books: dict[str, _Book] = {}
    done = 0
    for file in found:
        within = partial(_within, progress, done, total) if progress else None
        _read_file(file, books, known=known, config=config, progress=within)
        done += file.size
        if progress is not None:
            progress(done, total)
    kinds = {f.name: f for f in formats}
    by_format = {
        name: with_tools(book.reader.finish(), tools, kinds[name].keeps_tools)
        for name, book in books.items()
        if book.reader is not None
    }
    sessions = _distinct(session for group in by_format.values() for session in group)
    return Ingested(
        sessions=sessions,
        set_aside=tuple(entry for book in books.values() for entry in book.tally.set_aside),
        counts=_counts(found, books, sessions),
    )


def _within(progress: Callable[[int, int], None], base: int, total: int, at: int) -> None:
    progress(min(base + at, total), total)


def _forced(formats: Sequence[Format], name: str | None) -> tuple[Format, ...]:
    if name is None:
        return ()
    chosen = tuple(f for f in formats if f.name == name)
    if not chosen:
        raise UnknownName("format", name, [f.name for f in formats])
    return chosen


def _read_file(
    file: Found,
    books: dict[str, _Book],
    *,
    known: Known,
    config: IngestConfig,
    progress: Callable[[int], None] | None,
) -> None:
    kind = "excluded" if file.left_out else "journal" if file.beside else None
    fault = None if kind else file.fault
    if kind is None and fault is None:
        try:
            plan = recognise(file, known, config)
            if isinstance(plan, Plan):
                _read_items(file, plan, books, routed(file, plan, known, config, progress))
                return
            fault = plan
        except OSError as error:
            fault = Fault("unreadable", f"cannot be read ({error.strerror})")
        except Damaged as error:
            fault = Fault("broken-archive", f"a member that cannot be read: {error}")
    book = books.setdefault(UNKNOWN, _Book(None))
    book.files += 1
    book.records += 1
    if fault is None:
        book.tally.ignore(kind or "excluded")
    else:
        origin = Origin(file=file.name, member=file.member, format=UNKNOWN)
        book.tally.aside(origin, fault.reason, fault.said)


def _read_items(
    file: Found, plan: Plan, books: dict[str, _Book], records: Iterator[Routed]
) -> None:
    own = plan.name or UNKNOWN
    _book(books, own, plan.format).files += 1
    touched: dict[str, Reader] = {}
    for entry in records:
        name = own if entry.format is None else entry.format.name
        book = _book(books, name, entry.format)
        book.records += 1
        _take(entry.item, file, name, book)
        if book.reader is not None:
            touched[name] = book.reader
    for reader in touched.values():
        reader.close_file()


def _book(books: dict[str, _Book], name: str, known: Format | None) -> _Book:
    book = books.get(name)
    if book is None or (book.reader is None and known is not None):
        tally = book.tally if book else Tally()
        files, records = (book.files, book.records) if book else (0, 0)
        book = _Book(known.reader(tally) if known else None, tally, files, records)
        books[name] = book
    return book


def _take(item: Item, file: Found, name: str, book: _Book) -> None:
    origin = Origin(
        file=file.name,
        format=name,
        line=item.line,
        offset=item.offset,
        member=file.member,
        row=item.row,
        pointer=item.pointer,
    )
    if item.value is BLANK:
        book.tally.ignore("blank")
    elif item.value is OTHER:
        book.tally.ignore("other-traffic")
    elif isinstance(item.value, Fault):
        book.tally.aside(origin, item.value.reason, item.value.said)
    elif book.reader is None:
        book.tally.aside(origin, "unknown-format", "JSON, but of no known format")
    else:
        book.reader.read(Record(value=item.value, origin=origin))


def _distinct(sessions: Iterator[Session]) -> tuple[Session, ...]:
    """Each conversation once; what stands in the logs again raises `copies`."""
    by_id: dict[str, Session] = {}
    for session in sessions:
        known = by_id.get(session.id)
        by_id[session.id] = (
            session if known is None else replace(known, copies=known.copies + session.copies)
        )
    return tuple(by_id.values())


def _counts(found: Sequence[Found], books: dict[str, _Book], sessions: Sequence[Session]) -> Counts:
    held = Counter(session.format for session in sessions)
    ignored: Counter[str] = Counter()
    for book in books.values():
        ignored.update(book.tally.ignored)
    aside = Counter(entry.reason for book in books.values() for entry in book.tally.set_aside)
    return Counts(
        files=len(found),
        bytes=sum(file.size for file in found),
        records=sum(book.records + book.tally.unfolded for book in books.values()),
        used=sum(book.tally.used for book in books.values()),
        ignored=dict(sorted(ignored.items())),
        set_aside=dict(sorted(aside.items())),
        formats={
            name: FormatCount(
                files=book.files,
                records=book.records + book.tally.unfolded,
                used=book.tally.used,
                ignored=book.tally.ignored.total(),
                set_aside=len(book.tally.set_aside),
                sessions=held[name],
            )
            for name, book in sorted(books.items())
        },
    )
