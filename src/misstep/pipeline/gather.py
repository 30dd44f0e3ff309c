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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from misstep import ingest, store
from misstep.config import RunConfig
from misstep.engine import WORTH, Crash, Engine, Job, cores
from misstep.ingest import Book, Found, Share, Surveyed, Unit
from misstep.pipeline.job import Progress, silent
from misstep.pipeline.ledger import Ledger
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


@contextmanager
def gathered(
    paths: Sequence[Path],
    config: RunConfig,
    *,
    wants: tuple[str, ...] = (),
    set_aside: bool = False,
    unit: int | None = None,
    progress: Progress = silent,
) -> Iterator[Gathered]:
    """Read and judge all logs under `paths`.

    Args:
        wants: what to keep of each session (`unit.WANTS`).
        set_aside: whether to keep the set-aside records.
        unit: bytes of a unit of work; results do not depend on it.

    Raises:
        InputError: a path does not exist, or a tools or schema file cannot be used.
        UnknownName: `ingest.format` is not a format.
    """
    with (
        tempfile.TemporaryDirectory(prefix="misstep-") as folder,
        switched(config.validate.redact),
    ):
        found = list(ingest.discover(paths, config.ingest.exclude))
        given = Given(found, config, wants, set_aside, folder)
        prepare(given)  # a wrong set-up is told before any work begins
        run = _Run(given, progress)
        if unit is None and _bulk(found) < SMALL:
            run.small()
        else:
            run.large(unit)
        counts = ingest.counted(found, run.ledger.books)
        yield Gathered(run.ledger, summary_of(counts, run.ledger.tallies()))


def _unit(bulk: int, workers: int) -> int:
    """Bytes of a unit: so many that no worker waits long for the last one."""
    if workers == 1:
        return ingest.UNIT
    return max(min(ingest.UNIT, bulk // (_TURNS * workers)), LEAST)


def _bulk(found: Sequence[Found]) -> int:
    packed = sum(file.size for file in found if file.name.lower().endswith(_PACKED))
    return sum(file.size for file in found) + (_UNPACKS - 1) * packed


class _Run:
    """One run over all files."""

    def __init__(self, given: Given, progress: Progress) -> None:
        self._given = given
        self._progress = progress
        self._job = Job(prepare, given, work)
        self._next = 0
        self.ledger = Ledger(Path(given.folder), given.wants)

    def small(self) -> None:
        """Everything as one unit in this process; one by one where that fails."""
        everything = range(len(self._given.found))
        unit = Unit([[Share(number)] for number in everything], _bulk(self._given.found))
        if self._read(Engine(1), [unit]):
            self.large(None)

    def large(self, size: int | None) -> None:
        """A look at every file, then the units."""
        with Engine(self._given.config.ingest.workers or cores()) as engine:
            self._large(engine, size)

    def _large(self, engine: Engine, size: int | None) -> None:
        surveyed, unread = self._survey(engine)
        todo = [Unit([[Share(number)] for number in unread], 0)] if unread else []
        size = _unit(_bulk(self._given.found), engine.workers) if size is None else size
        todo += ingest.units(surveyed, size=size)
        self._files(surveyed)
        del surveyed
        for level in range(1, ingest.LEVELS + 1):
            todo = self._part(engine, todo, level)
        failed = self._read(engine, todo)
        single = [Unit([group], unit.size) for unit, _ in failed for group in unit.groups]
        for unit, crash in self._read(engine, single):
            for share in unit.groups[0]:
                self._crashed(share, crash)

    def _survey(self, engine: Engine) -> tuple[list[Surveyed], list[int]]:
        """What the files are, and those that are not read."""
        found = self._given.found
        unread = [n for n, f in enumerate(found) if f.left_out or f.beside or f.fault]
        skip = set(unread)
        looks = list(_looks([(n, f.size) for n, f in enumerate(found) if n not in skip]))
        surveyed: list[Surveyed] = []
        while looks:
            failed: list[Look] = []
            for number, result in engine.run(self._job, looks):
                if not isinstance(result, Crash):
                    surveyed.extend(_SURVEYED.decode(result))
                elif len(looks[number].files) > 1:
                    failed.extend(Look([file]) for file in looks[number].files)
                else:
                    self._crashed(Share(looks[number].files[0][0]), result)
                self._progress("looking", number + 1, len(looks))
            looks = failed
        unread += [one.file for one in surveyed if one.fault is not None]
        return [one for one in surveyed if one.fault is None], sorted(set(unread))

    def _part(self, engine: Engine, todo: list[Unit], level: int) -> list[Unit]:
        """The units with their too large groups in parts, where their formats can tell."""
        large = {at: u for at, u in enumerate(todo) if u.size > LARGE and len(u.groups) == 1}
        deepen = [Deepen(unit.groups[0], level) for unit in large.values()]
        places, parts = list(large), {}
        for number, result in engine.run(self._job, deepen):
            groups = None if isinstance(result, Crash) else _GROUPS.decode(result)
            if groups is not None and len(groups) > 1:
                parts[places[number]] = ingest.bundled((group, _bytes(group)) for group in groups)
        return [part for at, unit in enumerate(todo) for part in parts.get(at, [unit])]

    def _files(self, surveyed: Sequence[Surveyed]) -> None:
        """Count each file under what it is."""
        names = {one.file: one.format or one.wrapper or ingest.UNKNOWN for one in surveyed}
        for name in names.values():
            self.ledger.books.setdefault(name, Book()).files += 1

    def _read(self, engine: Engine, todo: Sequence[Unit]) -> list[tuple[Unit, Crash]]:
        """Read units; gives those that failed."""
        first = self._next
        self._next += len(todo)
        failed: list[tuple[Unit, Crash]] = []
        done, total = 0, sum(unit.size for unit in todo)
        pieces = ((first + at, unit) for at, unit in enumerate(todo))
        for at, result in engine.run(self._job, pieces):
            if isinstance(result, Crash):
                failed.append((todo[at], result))
            else:
                self.ledger.add(first + at, _PART.decode(result))
            done += todo[at].size
            self._progress("reading", done, total)
        return failed

    def _crashed(self, share: Share, crash: Crash) -> None:
        """Set a file aside, or its part of a group."""
        number, self._next = self._next, self._next + 1
        file = self._given.found[share.file]
        name = share.format or share.wrapper or ingest.UNKNOWN
        entry = SetAside(
            origin=Origin(file=file.name, member=file.member, format=name),
            reason="crashed",
            said=f"could not be read: {crash.said}",
        )
        line = store.row_line(entry, "set-aside")
        (Path(self._given.folder) / spool_name(number)).write_bytes(line)
        book = Book(files=share.kind is None, records=1, set_aside={"crashed": 1})
        asides = [Aside((share.file, 0, 0, ""), 0, len(line))]
        self.ledger.add(number, Part(rows=[], asides=asides, books={name: book}))


def _bytes(group: Sequence[Share]) -> int:
    flat = [ingest.numbers(share.spans) for share in group]
    return sum(sum(spans[1::3]) - sum(spans[::3]) for spans in flat)


def _looks(files: Sequence[tuple[int, int]]) -> Iterator[Look]:
    """Small files together, large ones in stretches."""
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
