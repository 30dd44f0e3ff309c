"""The ingest room's one job: log paths to sessions, with every record accounted for.

In: paths and an `IngestConfig`. Out: an `Ingested`. For each format and in total
records = used + ignored by kind + set aside. Only a wrong set-up raises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path

from misstep.config import IngestConfig
from misstep.errors import UnknownName
from misstep.ingest.decode import Fault
from misstep.ingest.discover import Found, discover
from misstep.ingest.format import Format, Peek, Reader, Record, Tally
from misstep.ingest.item import Item
from misstep.ingest.lines import Limits
from misstep.ingest.records import BLANK, items
from misstep.ingest.tools import read_tools, with_tools
from misstep.types import Origin, Session, SetAside

UNKNOWN = "unknown"
"""The name under which files of no known format are counted."""
_SNIFFED = 24
_LOOKED_AT = 400
_SURE = 0.25


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
    tools = read_tools(Path(config.tools)) if config.tools else ()
    found = list(discover(paths, config.exclude))
    total = sum(file.size for file in found)
    books: dict[str, _Book] = {}
    done = 0
    for file in found:
        within = partial(_within, progress, done, total) if progress else None
        _read_file(file, books, formats=forced or formats, config=config, progress=within)
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
    formats: Sequence[Format],
    config: IngestConfig,
    progress: Callable[[int], None] | None,
) -> None:
    if file.left_out:
        book = books.setdefault(UNKNOWN, _Book(None))
        book.files += 1
        book.records += 1
        book.tally.ignore("excluded")
        return
    fault = file.fault
    chosen: Format | None = None
    if fault is None:
        try:
            chosen, fault = _recognise(file, formats, config)
            if fault is None:
                _read_items(file, books, chosen, _items(file, config, progress))
                return
        except OSError as error:
            fault = Fault("unreadable", f"cannot be read ({error.strerror})")
    book = books.setdefault(UNKNOWN, _Book(None))
    book.files += 1
    book.records += 1
    book.tally.aside(Origin(file=file.name, format=UNKNOWN), fault.reason, fault.said)


def _items(
    file: Found, config: IngestConfig, progress: Callable[[int], None] | None
) -> Iterator[Item]:
    limits = Limits(
        max_bytes=config.max_record_bytes,
        max_depth=config.max_depth,
        max_file=config.max_file_bytes,
    )
    return items(file.path, limits, progress)


def _recognise(
    file: Found, formats: Sequence[Format], config: IngestConfig
) -> tuple[Format | None, Fault | None]:
    """The file's format; None with a fault for a file of none, None alone for broken JSON lines."""
    if len(formats) == 1:
        return formats[0], None
    seen, values = _first(_items(file, config, None))
    peek = Peek(values=tuple(values), name=file.name)
    sure, best = max(
        ((known.sniff(peek), -rank) for rank, known in enumerate(formats)), default=(0.0, 0)
    )
    if sure >= _SURE:
        return formats[-best], None
    if not values and _meant_as_json(file, seen):
        return None, None
    if not values and seen and isinstance(seen[-1].value, Fault) and _container(seen[-1].value):
        return None, seen[-1].value
    said = "none of the known formats; `misstep formats` lists them, --format forces one"
    return None, Fault("unknown-format", said if seen else "an empty file")


def _container(fault: Fault) -> bool:
    return fault.reason in ("broken-archive", "too-large")


def _first(records: Iterator[Item]) -> tuple[list[Item], list[object]]:
    """The first items of a file, and the values among them that formats look at."""
    seen: list[Item] = []
    values: list[object] = []
    for item in islice(records, _LOOKED_AT):
        seen.append(item)
        if not isinstance(item.value, Fault):
            values.append(item.value)
        if len(values) == _SNIFFED:
            break
    return seen, values


def _meant_as_json(file: Found, seen: Sequence[Item]) -> bool:
    suffixes = {suffix.lower() for suffix in file.path.suffixes}
    broken = any(isinstance(i.value, Fault) and i.value is not BLANK for i in seen)
    return broken and bool(suffixes & {".jsonl", ".json", ".ndjson"})


def _read_items(
    file: Found, books: dict[str, _Book], chosen: Format | None, records: Iterator[Item]
) -> None:
    name = chosen.name if chosen else UNKNOWN
    if name not in books:
        tally = Tally()
        books[name] = _Book(chosen.reader(tally) if chosen else None, tally)
    book = books[name]
    book.files += 1
    for item in records:
        book.records += 1
        origin = Origin(
            file=file.name,
            format=name,
            line=item.line,
            offset=item.offset,
            pointer=item.pointer,
        )
        if item.value is BLANK:
            book.tally.ignore("blank")
        elif isinstance(item.value, Fault):
            book.tally.aside(origin, item.value.reason, item.value.said)
        elif book.reader is None:
            book.tally.aside(origin, "unknown-format", "JSON, but of no known format")
        else:
            book.reader.read(Record(value=item.value, origin=origin))
    if book.reader is not None:
        book.reader.close_file()


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
