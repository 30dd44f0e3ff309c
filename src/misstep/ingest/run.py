"""All logs under some paths, read in this process and held in memory.

In: paths and an `IngestConfig`. Out: an `Ingested`, sessions in the order of their first records.
Only a wrong set-up raises; nothing here catches what a reader throws.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from misstep.config import IngestConfig
from misstep.errors import UnknownName
from misstep.ingest.discover import Found, discover
from misstep.ingest.format import Format
from misstep.ingest.order import Places, distinct
from misstep.ingest.pages import schema_text
from misstep.ingest.read import Book, UnitReader
from misstep.ingest.recognise import Known, Wrapper
from misstep.ingest.tools import read_tools
from misstep.ingest.units import Share
from misstep.types import Session, SetAside


class FormatCount(msgspec.Struct, frozen=True, kw_only=True):
    """The books of one format: records == used + ignored + set_aside."""

    files: int
    records: int
    used: int
    ignored: int
    set_aside: int
    sessions: int


class Counts(msgspec.Struct, frozen=True, kw_only=True):
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
    images: int = 0
    """Images whose bytes stood in the logs, each time that one was met."""
    broken_images: int = 0
    """Of these, those that could not be decoded."""


class Ingested(msgspec.Struct, frozen=True, kw_only=True):
    """What was read, and what was not."""

    sessions: tuple[Session, ...]
    set_aside: tuple[SetAside, ...]
    counts: Counts


def known_of(formats: Sequence[Format], wrappers: Sequence[Wrapper], config: IngestConfig) -> Known:
    """What can be recognised, given the user's `--format`.

    Raises:
        UnknownName: `config.format` is no format.
    """
    schema_text(config.pages)  # a wrong one is told before any work begins
    if config.format is None:
        return Known(formats=formats, wrappers=wrappers)
    chosen = tuple(f for f in formats if f.name == config.format)
    if not chosen:
        raise UnknownName("format", config.format, [f.name for f in formats])
    return Known(formats=chosen, forced=True)


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
    known = known_of(formats, wrappers, config)
    found = list(discover(paths, config.exclude, web=config.allow_https))
    return ingest_found(found, known=known, config=config, progress=progress)


def ingest_found(
    found: Sequence[Found],
    *,
    known: Known,
    config: IngestConfig,
    progress: Callable[[int, int], None] | None = None,
) -> Ingested:
    """Read files that were found, or members of archives.

    Raises:
        InputError: the tools file cannot be used.
    """
    tools = read_tools(Path(config.tools)) if config.tools else ()
    reader = UnitReader(found, known=known, config=config, tools=tools)
    total = sum(file.size for file in found)
    done = 0
    for number, file in enumerate(found):
        within = partial(_within, progress, done, total) if progress else None
        reader.take(Share(number), within)
        done += file.size
        if progress is not None:
            progress(done, total)
    batch = reader.finish()
    places = Places(found)
    sessions = distinct(sorted(batch.sessions, key=places.of_session))
    held = Counter(session.format for session in sessions)
    for name, book in batch.books.items():
        book.sessions = held[name]
    aside = sorted(batch.set_aside, key=lambda entry: places.of(entry.origin))
    return Ingested(sessions=sessions, set_aside=tuple(aside), counts=counted(found, batch.books))


def _within(progress: Callable[[int, int], None], base: int, total: int, at: int) -> None:
    progress(min(base + at, total), total)


def counted(found: Iterable[Found], books: Mapping[str, Book]) -> Counts:
    """The books of all formats as one."""
    files = list(found)
    ignored: Counter[str] = Counter()
    aside: Counter[str] = Counter()
    for book in books.values():
        ignored.update(book.ignored)
        aside.update(book.set_aside)
    return Counts(
        files=len(files),
        bytes=sum(file.size for file in files),
        records=sum(book.records for book in books.values()),
        used=sum(book.used for book in books.values()),
        ignored=dict(sorted(ignored.items())),
        set_aside=dict(sorted(aside.items())),
        images=sum(book.images for book in books.values()),
        broken_images=sum(book.broken_images for book in books.values()),
        formats={
            name: FormatCount(
                files=book.files,
                records=book.records,
                used=book.used,
                ignored=sum(book.ignored.values()),
                set_aside=sum(book.set_aside.values()),
                sessions=book.sessions,
            )
            for name, book in sorted(books.items())
        },
    )
