"""A folder of logs that agents write to, kept scanned: what fails is told when it is logged.

In: paths, settings, and a folder for the state between two looks. Out: an `Update` after each
change. Each look is a scan since the last one, so what stands at the end is what a fresh scan would
find; between two looks nothing is held but a number for each failure that was told. Where files
change is told by the system if watchfiles is installed, else by walking the folders; what is behind
URLs is always listed again.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from misstep import ingest, store
from misstep.config import RunConfig
from misstep.errors import InputError, InUse
from misstep.pipeline.ledger import Ledger
from misstep.pipeline.outputs import refuse_inside
from misstep.pipeline.remembered import Memory, held
from misstep.pipeline.rows import MARK
from misstep.pipeline.since import SINCE, gathered_since, key_of

REST = 30.0
"""Seconds after which the folders are walked even where the system told of no change."""
_SPARE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What a look found."""

    summary: dict[str, Any]
    """What `misstep scan --json` prints, but for the seconds."""
    new: tuple[dict[str, Any], ...]
    """Rows of defects that no earlier look had told (schemas/finding.json)."""
    first: bool
    """Whether this is a look at what stood there before, and nothing was known of it."""


class Watch:
    """Looks at logs again and again."""

    def __init__(
        self,
        paths: Sequence[Path],
        config: RunConfig,
        state: Path,
        *,
        findings: Path | None = None,
    ) -> None:
        """`findings`: a file that always holds every finding of the logs as they are.

        Raises:
            SetupError: `state` or `findings` lies inside the logs.
        """
        refuse_inside(state, paths, "--state")
        if findings is not None:
            refuse_inside(findings, paths, "--findings")
        self._paths = paths
        self._config = config
        self._state = state
        self._findings = findings
        self._told: set[int] = set()
        self._first = True
        self._mark = b""

    def look(self) -> Update | None:
        """What changed since the last look; None where nothing did.

        Raises:
            InputError: at the first look, that a path does not exist or cannot be read.
            InUse: at the first look, that another process has the state; later it is waited for.
        """
        mark = _mark(self._paths, self._config)
        if mark == self._mark:
            return None
        try:
            update = self._looked()
        except (InputError, InUse):
            if self._first:
                raise
            return None  # the logs are being moved, or a scan reads them: the next look tells
        self._mark, self._first = mark, False
        return update

    def _looked(self) -> Update:
        known = not self._first or self._recall()
        with gathered_since(self._paths, self._config, self._state, wants=SINCE) as found:
            ledger = found.ledger
            if self._findings is not None:
                store.write_pieces(self._findings, (rows for rows, _ in ledger.kept("rows")))
            new = []
            for row, mark in _defects(_both(ledger, found.fresh)):
                if mark not in self._told:
                    self._told.add(mark)
                    new.append(row)
            standing = sum(levels["defect"] for levels in found.summary["codes"].values())
            if len(self._told) > 2 * standing + _SPARE:
                self._told = {mark for _, mark in _defects(_both(ledger, None))}
            return Update(summary=found.summary, new=tuple(new), first=not known)

    def _recall(self) -> bool:
        """Whether an earlier watch or scan left a state; what it has told is not told again."""
        with held(self._state):
            memory = Memory(self._state, key_of(self._config, SINCE))
            rows, marks = (memory.kept(SINCE.index(want)) for want in ("rows", "marks"))
            told = _defects(zip(rows, marks, strict=True))
            self._told.update(mark for _, mark in told)
            return bool(memory.state.files)


def _both(ledger: Ledger, parts: Container[int] | None) -> Iterator[tuple[bytes, bytes]]:
    """Rows and marks of each session."""
    rows, marks = ledger.kept("rows", parts), ledger.kept("marks", parts)
    return ((row, mark) for (row, _), (mark, _) in zip(rows, marks, strict=True))


def _defects(kept: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[dict[str, Any], int]]:
    for rows, marks in kept:
        if b'"level":"defect"' not in rows:
            continue
        for at, row in enumerate(map(orjson.loads, rows.splitlines())):
            if row["level"] == "defect":
                yield row, int.from_bytes(marks[at * MARK : (at + 1) * MARK])


def _mark(paths: Sequence[Path], config: RunConfig) -> bytes:
    """Changes when a file does, as far as its size and times tell."""
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        if path.is_dir():
            for at, folders, files in os.walk(path):
                folders.sort()
                for name in sorted(files):
                    _add(digest, os.path.join(at, name))
        elif path.exists():
            _add(digest, path)
        else:
            with suppress(InputError):
                web = config.ingest.allow_https
                digest.update(ingest.digest_of(path, web=web).encode())
    return digest.digest()


def _add(digest: Any, path: str | Path) -> None:
    with suppress(OSError):
        status = os.stat(path)
        told = (os.fspath(path), status.st_size, status.st_mtime_ns, status.st_ino)
        digest.update(repr((*told, status.st_ctime_ns)).encode("utf-8", "surrogateescape"))


def updates(
    watch: Watch, paths: Sequence[Path], *, every: float, stop: threading.Event
) -> Iterator[Update]:
    """Updates as they come, until `stop` is set; the last look is taken after that.

    Args:
        every: seconds between two looks at least.
    """
    wait = _waiting(paths, stop)
    while not stop.is_set():
        began = time.monotonic()
        update = watch.look()
        if update is not None:
            yield update
        stop.wait(max(0.0, every - (time.monotonic() - began)))
        if update is None and not stop.is_set():
            wait()
    update = watch.look()
    if update is not None:
        yield update


def _waiting(paths: Sequence[Path], stop: threading.Event) -> Callable[[], None]:
    """Something that comes back when the logs may have changed."""
    try:
        from watchfiles import watch
    except ImportError:
        return lambda: None
    folders = {path if path.is_dir() else path.parent for path in paths if path.exists()}
    if not folders or any(not path.exists() for path in paths):
        return lambda: None
    begun, changed = threading.Event(), threading.Event()

    def listen() -> None:
        told = watch(
            *folders,
            watch_filter=None,
            debounce=50,
            rust_timeout=200,
            yield_on_timeout=True,
            stop_event=stop,
        )
        # a folder is gone, or a name is no UTF-8: from here on the folders are walked
        with suppress(OSError, RuntimeError, UnicodeError):
            for changes in told:
                begun.set()
                if changes:
                    changed.set()
        begun.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    begun.wait(5)

    def wait() -> None:
        end = time.monotonic() + REST
        while listener.is_alive() and not stop.is_set() and time.monotonic() < end:
            if changed.wait(0.2):
                break
        changed.clear()

    return wait
