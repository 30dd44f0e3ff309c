"""A scan that reads again only what is new, grown or changed since the last one.

In: paths, settings and the folder of the last scan's state. Out: a `Gathered` that equals a fresh
scan of the same files. A file counts as unchanged by its size, times and inode, unless it was
written shortly before it was looked at; else its pieces are hashed and the look goes on behind the
last equal one. Records are read again with all that belongs to them: a line that is added to a
transcript costs that session once more, and nothing else.
"""

from __future__ import annotations

import hashlib
import os
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

import misstep
from misstep import ingest, store, validate
from misstep.config import RunConfig
from misstep.engine import Crash, Works
from misstep.ingest import Found, Share, Surveyed, Unit, numbers
from misstep.pipeline import gather
from misstep.pipeline.away import engine_of, unspread
from misstep.pipeline.gather import Gathered, Run, with_schema
from misstep.pipeline.job import Progress, silent
from misstep.pipeline.outputs import refuse_inside
from misstep.pipeline.pieces import name_of, one_kind, pages_below, seen_now
from misstep.pipeline.remembered import (
    Memory,
    Parts,
    Piece,
    Seen,
    State,
    held,
    kept_of,
    part_of,
    spools_in,
)
from misstep.pipeline.tally import summary_of
from misstep.pipeline.unit import Apart, Given, Look, Part, prepare
from misstep.redact import switched

_FORM = 3
_PLAIN = ingest.plain_name(0).rstrip("0")
_BESIDE = ("imagefolder", "page-table")
"""Formats whose rows name files beside their own; of others the image has the file's name."""
SINCE = ("rows", "digest", "marks")
"""What a scan with a state keeps of each session, whatever is asked for this time."""
SAVE = 20.0
"""Seconds after which a long scan saves what it has read so far."""
_SURVEYED = msgspec.msgpack.Decoder(Surveyed)
_PARTS = msgspec.msgpack.Decoder(list[Part])


def key_of(config: RunConfig, wants: Sequence[str]) -> str:
    """Of everything but the logs that a scan depends on."""
    pages, check = config.ingest.pages, config.validate
    given = [config.ingest.tools, check.schema, check.documents, pages.schema]
    return store.key_of(
        [misstep.__version__, _FORM, list(wants)],
        [unspread(config.ingest), config.validate],
        [store.file_digest(Path(name)) for name in given if name and Path(name).exists()],
        validate.own_identity(config.validate),
    )


def state_folder(paths: Sequence[Path]) -> Path:
    """Where the state of scans of these paths is kept unless the user says otherwise."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    places = [ingest.spelled(os.path.abspath(path)) for path in paths]
    return Path(cache) / "misstep" / store.key_of(places)[:16]


@contextmanager
def gathered_since(
    paths: Sequence[Path],
    config: RunConfig,
    folder: Path,
    *,
    wants: tuple[str, ...],
    progress: Progress = silent,
) -> Iterator[Gathered]:
    """As `gathered`, with the state of the last scan in `folder`; set-aside records are kept.

    Raises:
        InputError: a path does not exist, or a tools or schema file cannot be used.
        SetupError: another process uses `folder`, or it holds something else, or lies in the logs.
        UnknownName: `ingest.format` is not a format.
    """
    refuse_inside(folder, paths, "--state")
    with switched(config.validate.redact), held(folder):
        config = with_schema(config)
        memory = Memory(folder, key_of(config, wants))
        chosen = config.ingest
        found = list(ingest.discover(paths, chosen.exclude, web=chosen.allow_https))
        given = Given(found, config, wants, True, str(folder))
        prepare(given)  # a wrong set-up is told before any work begins
        since = _Since(Run(given, progress), memory)
        since.scan()
        run = since.run
        counts = ingest.counted(found, run.ledger.books)
        for path in spools_in(folder):
            if path.name.startswith(_PLAIN):
                path.unlink()
        yield Gathered(run.ledger, summary_of(counts, run.ledger.tallies()), since.fresh)


class _Since:
    """One run over what changed."""

    def __init__(self, run: Run, memory: Memory) -> None:
        self.run = run
        self.fresh: frozenset[int] = frozenset()
        """Numbers of the spools that this run wrote."""
        self._memory = memory
        self._was = memory.state
        self._now = State(key=memory.state.key, files={}, groups={}, parted={})
        self._found = run.given.found
        self._names = [name_of(file) for file in self._found]
        self._numbers = {name: n for n, name in reversed(list(enumerate(self._names)))}
        self._seen: dict[int, Seen] = {}
        self._out = frozenset(file.path for file in self._found if file.left_out)
        self._bare = {path.with_suffix("") for path in self._out if path.suffix}
        self._pages: dict[Path, bytes] = {}
        """By folder: the state of the images below it."""
        self._passing: set[int] = set()
        """Files of which nothing is remembered."""
        self._saved = time.monotonic()
        run.next = memory.state.next

    def scan(self) -> None:
        """Look, read and remember."""
        first = self.run.next
        unread = gather.unread_of(self._found)
        for number, file in enumerate(self._found):
            if number not in unread:
                self._seen[number] = self._see(number, file)
        new = sum(p.end - p.start for s in self._seen.values() for p in s.pieces if not p.surveyed)
        with engine_of(self.run.given, alone=new < gather.SMALL) as engine:
            surveyed = self._survey(engine, unread)
            self.run.count_files(surveyed)
            self._read(engine, self._groups(engine, surveyed), unread)
        self._remember()
        self.fresh = frozenset(range(first, self.run.next))

    def _see(self, number: int, file: Found) -> Seen:
        """A file as it is; one that cannot be read now is looked at, which says why, and no more
        than that."""
        try:
            return seen_now(file, self._was.files.get(self._names[number]))
        except (OSError, *ingest.DAMAGED):
            self._passing.add(number)
            return Seen(file.size, 0, "", 0, [Piece(0, file.size, b"", False)])

    def _remember(self) -> None:
        """Save what is known by now; a scan that is killed is gone on with from there."""
        self._now.files = {
            self._names[number]: seen
            for number, seen in self._seen.items()
            if number not in self._passing
            and all(piece.surveyed for piece in seen.pieces)
            and one_kind(seen)
        }
        self._now.next = self.run.next
        self._memory.save(self._now)
        self._saved = time.monotonic()

    def _survey(self, engine: Works, unread: set[int]) -> list[Surveyed]:
        """What the files are, new and remembered. A file that turned into one of another kind is
        looked through anew."""
        self._look(engine, list(self._seen), unread)
        odd = [n for n, seen in self._seen.items() if n not in unread and not one_kind(seen)]
        for number in odd:
            self._forget(number)
        self._look(engine, odd, unread)
        out = []
        for number in set(self._seen) - unread:
            pieces = self._seen[number].pieces
            for one in (_SURVEYED.decode(piece.surveyed) for piece in pieces if piece.surveyed):
                one.file = number
                out.append(one)
        return out

    def _forget(self, number: int) -> None:
        for piece in self._seen[number].pieces:
            piece.surveyed = b""

    def _look(self, engine: Works, files: Iterable[int], unread: set[int]) -> None:
        """Look through what is not remembered."""
        places = {
            (number, piece.start): piece
            for number in files
            for piece in self._seen[number].pieces
            if not piece.surveyed
        }
        looks, size = [Look([])], 0
        for (number, _), piece in places.items():
            looks[-1].files.append((number, piece.start, piece.end))
            size += piece.end - piece.start
            if size >= gather.LOOK:
                looks.append(Look([]))
                size = 0
        for one in self.run.survey(engine, [look for look in looks if look.files], unread):
            at = places.get((one.file, one.start))
            if at is not None:  # else the file was changed at this moment; the next scan sees it
                at.surveyed = msgspec.msgpack.encode(one)

    def _groups(self, engine: Works, surveyed: list[Surveyed]) -> Iterator[list[Share]]:
        """What belongs together; a group that is too large in its parts, as remembered."""
        for unit in ingest.units(surveyed, size=0):
            for group in unit.groups:
                key = self._key(group) if unit.size > gather.LARGE else None
                if key is None:
                    yield group
                    continue
                known = self._was.parted.get(key)
                parted = None if known is None else self._renumbered(known)
                if parted is None:
                    todo = [Unit([group], unit.size)]
                    for level in range(1, ingest.LEVELS + 1):
                        todo = self.run.part(engine, todo, level)
                    parted = [each for part in todo for each in part.groups]
                files = {s.file: self._names[s.file] for each in parted for s in each}
                self._now.parted[key] = Parts(files, parted)
                yield from parted

    def _renumbered(self, known: Parts) -> list[list[Share]] | None:
        if any(name not in self._numbers for name in known.files.values()):
            return None
        for group in known.groups:
            for share in group:
                share.file = self._numbers[known.files[share.file]]
        return known.groups

    def _key(self, group: Sequence[Share]) -> bytes | None:
        """A key of all that a group's part depends on; None where a file is not known."""
        digest = hashlib.blake2b(digest_size=16)
        for share in group:
            seen, file = self._seen.get(share.file), self._found[share.file]
            if seen is None or share.file in self._passing:
                return None
            told = (self._names[share.file], file.name, share.kind, share.format, share.wrapper)
            digest.update(msgspec.msgpack.encode((told, share.plain, share.spans)))
            digest.update(b"".join(piece.digest for piece in _under(share, seen)))
            if share.format in _BESIDE and file.here is not None:
                folder = file.here.parent
                if folder not in self._pages:
                    self._pages[folder] = pages_below(folder, self._out)
                digest.update(self._pages[folder])
            elif file.path.with_suffix("") in self._bare:
                digest.update(b"out")
        return digest.digest()

    def _read(self, engine: Works, groups: Iterable[list[Share]], unread: set[int]) -> None:
        """Read the groups that are not remembered."""
        todo: list[tuple[list[Share], int]] = []
        keys: list[bytes | None] = []
        for group in groups:
            key = self._key(group)
            kept = None if key is None else self._was.groups.get(key)
            part = None if kept is None else part_of(kept, self._numbers)
            if key is None or kept is None or part is None:
                todo.append((group, sum(self._bytes(share) for share in group)))
                keys.append(key)
            else:
                self._now.groups[key] = kept
                self.run.ledger.add(kept.spool, part)
        self._unpack(engine, [group for group, _ in todo])
        size = gather.unit_size(sum(bulk for _, bulk in todo), engine.workers)
        units, at = ingest.bundled(todo, size=size), 0
        pieces: list[tuple[Unit, list[bytes | None]]] = []
        for unit in units:
            pieces.append((unit, keys[at : at + len(unit.groups)]))
            at += len(unit.groups)
        failed = self._taken(engine, pieces + [(u, []) for u in self.run.unread(unread)])
        single = [
            (Unit([group], 0), [key])
            for (unit, own), _ in failed
            for group, key in zip(unit.groups, own, strict=False)
        ]
        for (unit, _), crash in self._taken(engine, single):
            for share in unit.groups[0]:
                self.run.crashed(share, crash)

    def _taken(
        self, engine: Works, todo: Sequence[tuple[Unit, list[bytes | None]]]
    ) -> list[tuple[tuple[Unit, list[bytes | None]], Crash]]:
        """Read units and remember their groups; gives those that failed."""
        run, first = self.run, self.run.next
        run.next += len(todo)
        failed = []
        done, total = 0, sum(unit.size for unit, _ in todo)
        work = (Apart(first + at, unit) for at, (unit, _) in enumerate(todo))
        for at, result in engine.run(run.job, work):
            unit, keys = todo[at]
            if isinstance(result, Crash):
                failed.append((todo[at], result))
                continue
            for number, part in enumerate(_PARTS.decode(result)):
                run.ledger.add(first + at, part)
                key = keys[number] if keys else None
                if key is not None:
                    self._now.groups[key] = kept_of(part, first + at, self._names)
            if time.monotonic() - self._saved > SAVE:
                self._remember()
            done += unit.size
            run.progress("reading", done, total)
        return failed

    def _unpack(self, engine: Works, groups: Iterable[list[Share]]) -> None:
        """Unpack compressed files that are remembered and yet have to be read."""
        folder = Path(self.run.given.folder)
        packed = {s.file for group in groups for s in group if s.plain}
        missing = [n for n in packed if not (folder / ingest.plain_name(n)).exists()]
        self.run.survey(engine, [Look([(number, 0, None)]) for number in missing], set())

    def _bytes(self, share: Share) -> int:
        flat = numbers(share.spans)
        return sum(flat[1::3]) - sum(flat[::3]) if flat else self._found[share.file].size


def _under(share: Share, seen: Seen) -> Iterator[Piece]:
    """The pieces in which a share lies."""
    if not share.spans or share.plain:
        yield from seen.pieces
        return
    starts = [piece.start for piece in seen.pieces]
    flat = numbers(share.spans)
    last = -1
    for start, end in zip(flat[::3], flat[1::3], strict=True):
        at = max(bisect_right(starts, start) - 1, last + 1)
        last = max(bisect_left(starts, end) - 1, last)
        yield from seen.pieces[at : last + 1]
