"""Whether mining is spread, and over what.

In: a job, its corpus, and what mining is given. Out: a `Spread`, or None where one process does it:
little to mine, one worker, or a model whose chat template the gate asks.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from misstep import mine, store
from misstep.config import ValidateConfig
from misstep.engine import Engine, Job, RayEngine, Works, cores
from misstep.pipeline import job as jobs
from misstep.pipeline.spread import Spread
from misstep.pipeline.spreadwork import Given, prepare, work

WORTH = 3_000
"""Failed steps below which starting workers costs more than they save."""


@contextmanager
def spread_over(job: jobs.Job, desk: mine.Desk) -> Iterator[Spread | None]:
    """The engine of the settings, ready to mine; None where this process does it alone.

    Raises:
        ExtraMissing: Ray is asked for and not installed.
        SetupError: the Ray cluster cannot be reached.
    """
    chosen = job.config.ingest
    away = chosen.engine == "ray"
    alone = not away and (chosen.workers or cores()) == 1
    if alone or desk.template is not None or len(desk.failed()) < WORTH:
        yield None
        return
    work_on = Job(prepare, given_of(desk, job.config.validate, away=away), work)
    engine: Works = Engine(chosen.workers or cores())
    if away:
        engine = RayEngine(chosen.ray_address, chosen.workers)
    with engine:
        yield Spread(engine, work_on, job.run.path, job.counting("mining"))


def given_of(desk: mine.Desk, settings: ValidateConfig, *, away: bool) -> Given:
    """What every worker gets; `away`: it may not see the folder of the images."""
    images = desk.corpus.images
    return Given(
        config=desk.config,
        validate=settings,
        references=desk.references,
        decisions=desk.corpus.decisions,
        torn=mine.torn(desk.split),
        tasks=array("Q", sorted(desk.heldout.tasks)).tobytes(),
        images=_names(images) if away else images,
    )


def _names(images: Path | Collection[str] | None) -> Collection[str] | None:
    """The images of a folder, for those who cannot see it."""
    if not isinstance(images, Path):
        return images
    names = (f"sha256:{path.name}" for path in images.iterdir())
    return frozenset(filter(store.is_image_name, names))
