"""All logs under some paths, read and judged by as many workers as there are; nothing held.

In: paths, settings, and what to keep of each session. Out: a `Gathered` whose figures are ready and
whose sessions, findings and set-aside records can be read one by one while it is open. The results
are the same for any number of workers. Small inputs are read in this process as one unit. A file on
which a worker dies twice is set aside as `crashed`; the rest goes on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from misstep import ingest, store
from misstep.config import RunConfig
from misstep.engine import WORTH, Crash, Engine, Job, Works
from misstep.errors import StageError
from misstep.ingest import Book, Found, Share, Surveyed, Unit
from misstep.pipeline.away import engine_of
from misstep.pipeline.job import Progress, silent
from misstep.pipeline.ledger import Ledger
from misstep.pipeline.partitions import Amend, tidy
from misstep.pipeline.rows import aside_row
from misstep.pipeline.tally import summary_of
from misstep.pipeline.unit import Aside, Deepen, Given, Look, Part, prepare, spool_name, work
from misstep.redact import switched
from misstep.types import Origin, SetAside

SMALL = WORTH
"""Bytes that are read in this process."""
STRETCH = 16_000_000
"""Bytes of a large file that are looked through at a time."""
LOOK = 4_000_000
"""Bytes of small files that are looked through at a time."""
LARGE = 64_000_000
"""Bytes of a group above which it is parted, if its format can tell how."""
LEAST = 2_000_000
"""Bytes of a unit for many workers on few logs."""
_TURNS = 12
"""Units that each worker reads at least, unless they were smaller than `LEAST`."""
_FILES = 256
_PACKED = (".gz", ".zst", ".zstd", ".tgz")
_UNPACKS = 10
"""How much larger compressed logs are taken to be."""
_SURVEYED = msgspec.msgpack.Decoder(list[Surveyed])
_GROUPS = msgspec.msgpack.Decoder(list[list[Share]])
_PART = msgspec.msgpack.Decoder(Part)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was found; good while its files are."""

    ledger: Ledger
    summary: dict[str, Any]
    """What `misstep scan --json` prints, but for the seconds."""
    fresh: frozenset[int] = frozenset()
    """Numbers of the parts that were read now, where others were remembered."""


@contextmanager
def gathered(
    paths: Sequence[Path],
    config: RunConfig,
    *,
    wants: tuple[str, ...] = (),
    set_aside: bool = False,
    unit: int | None = None,
    parquet: str | None = None,
    progress: Progress = silent,
) -> Iterator[Gathered]:
    """Read and judge all logs under `paths`.

    Args:
        wants: what to keep of each session (`unit.WANTS`).
        set_aside: whether to keep the set-aside records.
        unit: bytes of a unit of work; results do not depend on it.
        parquet: an empty folder or URL where workers write sessions and findings.

    Raises:
        InputError: a path does not exist, or a tools or schema file cannot be used.
        UnknownName: `ingest.format` is not a format.
    """
    with (
        tempfile.TemporaryDirectory(prefix="misstep-") as folder,
        switched(config.validate.redact),
    ):
        config = with_schema(config)
        chosen = config.ingest
        found = list(ingest.discover(paths, chosen.exclude, web=chosen.allow_https))
        given = Given(found, config, wants, set_aside, folder, parquet=parquet)
        prepare(given)  # a wrong set-up is told before any work begins
        run = Run(given, progress)
        if unit is None and chosen.engine == "local" and bulk_of(found) < SMALL:
            run.small()
        else:
            run.large(unit)
        counts = ingest.counted(found, run.ledger.books)
        yield Gathered(run.ledger, summary_of(counts, run.ledger.tallies()))


def with_schema(config: RunConfig) -> RunConfig:
    """The schema that every answer must meet is also that of the gold of pages."""
    pages = config.ingest.pages
    if pages.schema is not None or config.validate.schema is None:
        return config
    pages = replace(pages, schema=config.validate.schema)
    return replace(config, ingest=replace(config.ingest, pages=pages))


def unit_size(bulk: int, workers: int) -> int:
    """Bytes of a unit: so many that no worker waits long for the last one."""
    if workers == 1:
        return ingest.UNIT
    return max(min(ingest.UNIT, bulk // (_TURNS * workers)), LEAST)


def bulk_of(found: Sequence[Found]) -> int:
    """Bytes, unpacked, as far as that can be told from names."""
    packed = sum(file.size for file in found if file.name.lower().endswith(_PACKED))
    return sum(file.size for file in found) + (_UNPACKS - 1) * packed


class Run:
    """One run over all files."""

    def __init__(self, given: Given, progress: Progress) -> None:
        self.given = given
        self.progress = progress
        self.job = Job(prepare, given, work)
        self.next = 0
        self.ledger = Ledger(Path(given.folder), given.wants)

    def small(self) -> None:
        """Everything as one unit in this process; one by one where that fails."""
        everything = range(len(self.given.found))
        unit = Unit([[Share(number)] for number in everything], bulk_of(self.given.found))
        if self._read(Engine(1), [unit]):
            self.large(None)
        else:
            self._unify(Engine(1))

    def _unify(self, engine: Works) -> None:
        """Each session once in the tables that workers wrote."""
        if self.given.parquet is None:
            return
        tidy(self.given.parquet, self.ledger.parts())
        pieces = (Amend(number, copies) for number, copies in self.ledger.repeated())
        for _, result in engine.run(self.job, pieces):
            if isinstance(result, Crash):
                said = f"a table in {ingest.shown(self.given.parquet)} could not be written again"
                raise StageError(f"{said} ({result.said}); run the same command again")

    def large(self, size: int | None) -> None:
        """A look at every file, then the units."""
        with engine_of(self.given) as engine:
            self._large(engine, size)
            self._unify(engine)

    def _large(self, engine: Works, size: int | None) -> None:
        found = self.given.found
        unread = unread_of(found)
        files = [(n, f.size) for n, f in enumerate(found) if n not in unread]
        surveyed = self.survey(engine, list(looks(files)), unread)
        todo = self.unread(unread)
        size = unit_size(bulk_of(found), engine.workers) if size is None else size
        todo += ingest.units(surveyed, size=size)
        self.count_files(surveyed)
        del surveyed
        for level in range(1, ingest.LEVELS + 1):
            todo = self.part(engine, todo, level)
        failed = self._read(engine, todo)
        single = [Unit([group], unit.size) for unit, _ in failed for group in unit.groups]
        for unit, crash in self._read(engine, single):
            for share in unit.groups[0]:
                self.crashed(share, crash)

    def unread(self, files: set[int]) -> list[Unit]:
        """The unit of the files that are only counted."""
        return [Unit([[Share(number)] for number in sorted(files)], 0)] if files else []

    def survey(self, engine: Works, todo: list[Look], unread: set[int]) -> list[Surveyed]:
        """What the files are; to `unread` are added those that turn out not to be readable."""
        surveyed: list[Surveyed] = []
        while todo:
            failed: list[Look] = []
            for done, (number, result) in enumerate(engine.run(self.job, todo), start=1):
                if not isinstance(result, Crash):
                    surveyed.extend(_SURVEYED.decode(result))
                elif len(todo[number].files) > 1:
                    failed.extend(Look([file]) for file in todo[number].files)
                else:
                    self.crashed(Share(todo[number].files[0][0]), result)
                self.progress("looking", done, len(todo))
            todo = failed
        unread.update(one.file for one in surveyed if one.fault is not None)
        return [one for one in surveyed if one.fault is None]

    def part(self, engine: Works, todo: list[Unit], level: int) -> list[Unit]:
        """The units with their too large groups in parts, where their formats can tell."""
        large = {at: u for at, u in enumerate(todo) if u.size > LARGE and len(u.groups) == 1}
        deepen = [Deepen(unit.groups[0], level) for unit in large.values()]
        places, parts = list(large), {}
        for number, result in engine.run(self.job, deepen):
            groups = None if isinstance(result, Crash) else _GROUPS.decode(result)
            if groups is not None and len(groups) > 1:
                parts[places[number]] = ingest.bundled((group, _bytes(group)) for group in groups)
        return [part for at, unit in enumerate(todo) for part in parts.get(at, [unit])]

    def count_files(self, surveyed: Sequence[Surveyed]) -> None:
        """Count each file under what it is."""
        names = {one.file: one.format or one.wrapper or ingest.UNKNOWN for one in surveyed}
        for name in names.values():
            self.ledger.books.setdefault(name, Book()).files += 1

    def _read(self, engine: Works, todo: Sequence[Unit]) -> list[tuple[Unit, Crash]]:
        """Read units; gives those that failed."""
        first = self.next
        self.next += len(todo)
        failed: list[tuple[Unit, Crash]] = []
        done, total, read = 0, sum(unit.size for unit in todo), set[int]()
        pieces = ((first + at, unit) for at, unit in enumerate(todo))
        if total:
            self.progress("reading", 0, total)
        for at, result in engine.run(self.job, pieces):
            if isinstance(result, Crash):
                failed.append((todo[at], result))
            else:
                self.ledger.add(first + at, _PART.decode(result))
            done += todo[at].size
            read.update(share.file for group in todo[at].groups for share in group)
            files = "1 file" if len(read) == 1 else f"{len(read):,} files"
            self.progress(f"reading · {files}", done, total)
        return failed

    def crashed(self, share: Share, crash: Crash) -> None:
        """Set a file aside, or its part of a group."""
        number, self.next = self.next, self.next + 1
        file = self.given.found[share.file]
        name = share.format or share.wrapper or ingest.UNKNOWN
        entry = SetAside(
            origin=Origin(file=file.name, member=file.member, format=name),
            reason="crashed",
            said=f"could not be read: {crash.said}",
        )
        line = store.row_line(aside_row(entry), "set-aside")
        (Path(self.given.folder) / spool_name(number)).write_bytes(line)
        book = Book(files=share.kind is None, records=1, set_aside={"crashed": 1})
        asides = [Aside((share.file, 0, 0, ""), 0, len(line))]
        self.ledger.add(number, Part(rows=[], asides=asides, books={name: book}))


def unread_of(found: Sequence[Found]) -> set[int]:
    """The numbers of the files that are counted and not opened."""
    return {n for n, f in enumerate(found) if f.left_out or f.beside or f.fault}


def _bytes(group: Sequence[Share]) -> int:
    flat = [ingest.numbers(share.spans) for share in group]
    return sum(sum(spans[1::3]) - sum(spans[::3]) for spans in flat)


def looks(files: Sequence[tuple[int, int]]) -> Iterator[Look]:
    """Files by number and size: small ones together, large ones in stretches."""
    look, size = Look([]), 0
    for number, bytes_ in files:
        if bytes_ > STRETCH:
            for start in range(0, bytes_, STRETCH):
                end = start + STRETCH
                yield Look([(number, start, end if end < bytes_ else None)])
            continue
        look.files.append((number, 0, None))
        size += bytes_
        if size >= LOOK or len(look.files) >= _FILES:
            yield look
            look, size = Look([]), 0
    if look.files:
        yield look
