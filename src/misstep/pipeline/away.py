"""The engine of a run, and the way home for what its workers keep.

In: what every worker gets. Out: something that runs pieces of work. Workers on other machines have
folders of their own: what they keep of sessions, and the images that stood in the logs, travel with
the answer, through the engine, and are put where a worker on this machine would have put them.

Images go in packs of a bounded size: the first with the answer, each further one as an object of
the cluster that is fetched by itself. Neither a worker nor this process ever holds more than two
packs of a piece, however many pages a table names.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from misstep import store
from misstep.config import IngestConfig
from misstep.engine import Crash, Engine, Job, RayEngine, Works, cores
from misstep.pipeline import unit
from misstep.pipeline.unit import Apart, Given, Kit

PACK = 8_000_000
"""Bytes of images that travel together."""
_IMAGES = "images"
_LOST = 8
"""How often the packs of a piece may be lost."""


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
        """The result of each piece with its number; spools and images are at home by then."""
        if self._job is None or self._job[0] is not job:
            self._job = job, Job(_prepare, job.given, _work)
        away, open_ = self._job[1], dict[int, Any]()

        def handed() -> Iterator[Any]:
            for number, piece in enumerate(pieces):
                open_[number] = piece
                yield piece

        for number, result in self._engine.run(away, handed()):
            yield number, self._home(away, open_.pop(number), result)

    def _home(self, job: Job, piece: Any, result: Any | Crash) -> Any | Crash:
        """The answer, once what came with it is where it belongs.

        A pack that is lost with the process that held it costs its piece once more.
        """
        for _ in range(_LOST):
            if isinstance(result, Crash):
                return result
            packed, name, data, images = result
            if self._imaged(images):
                self._spooled(name, data)
                return packed
            ((_, result),) = self._engine.run(job, [piece])
        return Crash(f"the images that it read were lost {_LOST} times")

    def _spooled(self, name: str | None, data: bytes) -> None:
        if name is not None:
            path = Path(self._given.folder) / name
            with store.telling(path):
                path.write_bytes(data)

    def _imaged(self, packs: Sequence[Any]) -> bool:
        """Put images where the run keeps them; False where a pack cannot be had any more."""
        folder = self._given.config.ingest.images
        if folder is None or not packs:
            return True
        import ray

        for pack in packs:
            try:
                images = pack if isinstance(pack, list) else ray.get(pack)
            except ray.exceptions.ObjectLostError:
                return False
            for image in images:
                store.keep_image(Path(folder), image)  # named by its bytes, whoever sent them
        return True


def _prepare(given: Given) -> _Kit:
    folder = tempfile.TemporaryDirectory(prefix="misstep-")
    config = given.config
    if config.ingest.images is not None:
        images = str(Path(folder.name) / _IMAGES)
        config = replace(config, ingest=replace(config.ingest, images=images))
    own = replace(given, config=config, folder=folder.name, away=True)
    return _Kit(unit.prepare(own), folder)


def _work(kit: _Kit, piece: Any) -> tuple[bytes, str | None, bytes, list[Any]]:
    """The answer; name and bytes of a spool; packs of images, all but the first as references."""
    folder = Path(kit.own.given.folder)
    packed = unit.work(kit.own, piece)
    number = piece.number if isinstance(piece, Apart) else piece[0] if type(piece) is tuple else -1
    path, data = folder / unit.spool_name(number), b""
    kept = number >= 0 and path.exists()
    if kept:
        data = path.read_bytes()
        path.unlink()
    return packed, path.name if kept else None, data, _sent(folder / _IMAGES)


def _sent(folder: Path) -> list[Any]:
    """The images of a folder, which is empty then: the first pack, and where the others are."""
    sent: list[Any] = []
    for pack in _packs(folder):
        if sent:
            import ray

            sent.append(ray.put(pack))
        else:
            sent.append(pack)
    return sent


def _packs(folder: Path) -> Iterator[list[bytes]]:
    """Images together, up to `PACK` bytes or one that is larger."""
    pack, size = list[bytes](), 0
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        image = path.read_bytes()
        path.unlink()
        if pack and size + len(image) > PACK:
            yield pack
            pack, size = [], 0
        pack.append(image)
        size += len(image)
    if pack:
        yield pack
