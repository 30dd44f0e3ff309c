"""The engine of a run, and the way home for what its workers keep.

In: what every worker gets. Out: something that runs pieces of work. Workers on other machines have
folders of their own: what they keep of sessions travels with the answer, through the engine, and is
put where a worker on this machine would have put it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from misstep import store
from misstep.config import IngestConfig
from misstep.engine import Crash, Engine, Job, RayEngine, Works, cores
from misstep.pipeline import unit
from misstep.pipeline.unit import Apart, Given, Kit


def engine_of(given: Given, *, alone: bool = False) -> Works:
    """What the settings ask for; `alone`: there is so little to do that this process does it.

    Raises:
        ExtraMissing: Ray is asked for and not installed.
    """
    config = given.config.ingest
    if config.engine == "ray":
        return _Away(RayEngine(config.ray_address, config.workers), given)
    return Engine(1 if alone else config.workers or cores())


def unspread(config: IngestConfig) -> IngestConfig:
    """The settings without those that change nothing in what is found."""
    return replace(config, workers=0, engine="local", ray_address=None, images=None)


@dataclass(slots=True)
class _Kit:
    own: Kit
    folder: Any
    """Removed with the process."""


class _Away:
    """Ray, with the answers unpacked."""

    def __init__(self, engine: RayEngine, given: Given) -> None:
        self._engine = engine
        self._given = given
        self._job: tuple[Job, Job] | None = None
        self.workers = engine.workers

    def __enter__(self) -> _Away:
        self._engine.__enter__()
        self.workers = self._engine.workers
        return self

    def __exit__(self, kind: Any, *rest: Any) -> None:
        self._engine.__exit__(kind, *rest)

    def run(self, job: Job, pieces: Iterable[Any]) -> Iterator[tuple[int, Any | Crash]]:
        """The result of each piece with its number; spools are in the folder of the run by then."""
        if self._job is None or self._job[0] is not job:
            self._job = job, Job(_prepare, job.given, _work)
        for number, result in self._engine.run(self._job[1], pieces):
            if isinstance(result, Crash):
                yield number, result
                continue
            packed, name, data = result
            if name is not None:
                path = Path(self._given.folder) / name
                with store.telling(path):
                    path.write_bytes(data)
            yield number, packed


def _prepare(given: Given) -> _Kit:
    folder = tempfile.TemporaryDirectory(prefix="misstep-")
    return _Kit(unit.prepare(replace(given, folder=folder.name, away=True)), folder)


def _work(kit: _Kit, piece: Any) -> tuple[bytes, str | None, bytes]:
    packed = unit.work(kit.own, piece)
    number = piece.number if isinstance(piece, Apart) else piece[0] if type(piece) is tuple else -1
    path = Path(kit.own.given.folder) / unit.spool_name(number)
    if number < 0 or not path.exists():
        return packed, None, b""
    data = path.read_bytes()
    path.unlink()
    return packed, path.name, data
