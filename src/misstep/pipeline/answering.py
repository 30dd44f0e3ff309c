"""Answers of a local model, by as many workers as the settings ask for: here, or on Ray.

In: prompts as token ids, the ways in which each is answered. Out: the answers, those that one
process would give: the batches are the same whoever answers them. A batch that is answered is kept
at once, so that an interrupted stage goes on; one that ends its worker twice is left, and its
prompts have no answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from misstep import models, store
from misstep.config import RunConfig
from misstep.engine import Crash, Engine, Needs, RayActors, RayEngine, Works, cores
from misstep.engine import Job as Spread
from misstep.errors import ModelError
from misstep.pipeline.halfway import Halfway, halfway
from misstep.pipeline.job import Job

_HOPELESS = 3
"""Batches lost before any was answered: the fault is not theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What is asked of a model."""

    ref: models.ModelRef
    base_hash: str
    settings: str
    """Fingerprint of what the base says beside its weights."""
    adapter: Path | None
    adapter_key: str
    prompts: Sequence[Sequence[int]]
    ways: Mapping[str, models.Way]
    """By kind of answer: `greedy`, `sampled`; `stop_loops` is about all prompts."""
    seed: int


@dataclass(slots=True)
class Given:
    """What came back."""

    fitting: list[int]
    """Places of the prompts that the model has room for."""
    answers: dict[str, dict[int, list[models.Answer]]] = field(default_factory=dict)
    """By kind and place."""
    lost: dict[int, str] = field(default_factory=dict)
    """Places of the prompts whose batch could not be answered, and why."""


def answered(
    job: Job, asking: Asking, output: Path, *, asked: Callable[[Sequence[int]], None]
) -> Given:
    """The answers to all prompts that fit.

    Args:
        output: the file that the stage makes of them; finished batches are kept beside it.
        asked: called with the places of the prompts that fit, before they are answered.

    Raises:
        ModelError: the model cannot be loaded where it is to answer, or answers nothing.
        SetupError: the Ray cluster cannot be reached, or has no room for it.
    """
    with _engine(job.config, asking) as engine, halfway(output) as kept:
        work = Spread(models.prepare, _where(job, asking), models.work, did="answered")
        survey = _surveyed(engine, work, asking)
        asked(survey.fitting)
        if survey.note:
            job.say(f"{output.stem}: {survey.note}")
        given = Given(survey.fitting, {kind: {} for kind in asking.ways})
        desk = _Desk(job, asking, given, kept, output.stem)
        for number, result in engine.run(work, desk.open(list(_batches(asking, survey)))):
            desk.take(number, result)
        desk.close()
    return given


def _engine(config: RunConfig, asking: Asking) -> Works:
    sample, ingest = config.sample, config.ingest
    if ingest.engine != "ray":
        return Engine(sample.workers or 1)
    needs = Needs(workers=sample.workers, cpus=sample.worker_cpus, gpus=sample.worker_gpus)
    many = (way["batch_size"] // way["num_generations"] or 1 for way in asking.ways.values())
    expected = sum(-(-len(asking.prompts) // each) for each in many)
    return RayActors(RayEngine(ingest.ray_address, ingest.workers), needs, expected=expected)


def _where(job: Job, asking: Asking) -> models.Where:
    """How a worker comes by the model."""
    config, ref = job.config, asking.ref
    away, workers = config.ingest.engine == "ray", config.sample.workers
    apart = away or workers > 1
    on_disk = ref.path is not None and ref.kind in ("folder", "gguf")
    return models.Where(
        model=str(ref.path.resolve()) if apart and on_disk and ref.path else ref.name,
        base_hash=asking.base_hash,
        dtype=config.dtype,
        adapter=asking.adapter if asking.adapter is None else asking.adapter.resolve(),
        parcel=models.parcel_of(asking.adapter) if away else None,
        images=job.gallery,
        away=away,
        threads=0 if away or not apart else config.sample.worker_cpus or cores() // workers or 1,
        sharing=_sharing(config),
    )


def _sharing(config: RunConfig) -> int:
    """Workers on one GPU: all of this machine take the first, Ray deals out parts of one."""
    if config.ingest.engine != "ray":
        return max(1, config.sample.workers)
    part = config.sample.worker_gpus
    return max(1, int(1 / part)) if part else 1


def _surveyed(engine: Works, work: Spread, asking: Asking) -> models.Surveyed:
    ways = [models.Way(**{**way, "stop_loops": None}) for way in asking.ways.values()]
    piece = models.Survey(prompts=asking.prompts, ways=ways)
    ((_, found),) = engine.run(work, [piece])
    if isinstance(found, Crash):
        raise _hopeless(asking, found.said)
    survey: models.Surveyed = found
    return survey


def _batches(asking: Asking, survey: models.Surveyed) -> Iterator[tuple[str, models.Batch]]:
    prompts = [asking.prompts[i] for i in survey.fitting]
    for (kind, way), places in zip(asking.ways.items(), survey.divided, strict=True):
        own, stop = way.copy(), way.get("stop_loops")
        if stop is not None:
            own["stop_loops"] = replace(stop, asked=[stop.asked[i] for i in survey.fitting])
        for batch in models.batches(prompts, places, seed=asking.seed, **own):
            yield kind, batch


@dataclass(slots=True)
class _Desk:
    """Batches out, answers in."""

    job: Job
    asking: Asking
    given: Given
    kept: Halfway
    stage: str
    _out: list[tuple[str, str, models.Batch]] = field(default_factory=list)
    """Kind, key and batch, by number of the piece."""
    _taken: int = 0
    _lost: int = 0

    def open(self, batches: Sequence[tuple[str, models.Batch]]) -> Iterator[models.Sheet]:
        """Take what was kept; the rest is to be answered."""
        for kind, batch in batches:
            key = self._key(batch)
            known = self.kept.found.get(key)
            if known is None:
                self._out.append((kind, key, batch))
            else:
                self._taken += 1
                self._put(kind, batch, store.decode(known, list[list[models.Answer]]))
        away = self.job.images if self.job.config.ingest.engine == "ray" else None
        for _, _, batch in self._out:
            yield models.sheet_of(batch, away)

    def take(self, number: int, result: list[list[models.Answer]] | Crash) -> None:
        """What one batch came to."""
        kind, key, batch = self._out[number]
        if isinstance(result, Crash):
            self.given.lost.update((self.given.fitting[i], result.said) for i in batch.at)
            self._lost += 1
            if not self._taken and self._lost == _HOPELESS:
                raise _hopeless(self.asking, result.said)
            return
        self._taken += 1
        self.kept.add(key, store.encode(result))
        self._put(kind, batch, result)

    def close(self) -> None:
        """A prompt with a batch that was lost has no answers; raise where none has any."""
        lost = self.given.lost
        if lost and not any(self.given.answers.values()):
            raise _hopeless(self.asking, next(iter(lost.values())))
        for found in self.given.answers.values():
            for place in lost:
                found.pop(place, None)

    def _key(self, batch: models.Batch) -> str:
        """Of all that its answers depend on."""
        config, how = self.job.config, {**batch.how, "batch_size": 0}
        asking, keys = self.asking, [key.hex() for key in batch.keys]
        model = [asking.base_hash, asking.settings, asking.adapter_key, config.dtype, config.images]
        return store.key_of("batch", model, how, batch.prompts, keys)

    def _put(self, kind: str, batch: models.Batch, answers: Sequence[list[models.Answer]]) -> None:
        found = self.given.answers[kind]
        for i, each in zip(batch.at, answers, strict=True):
            found[self.given.fitting[i]] = each
        label = f"{self.stage}: {kind} answers"
        self.job.progress(label, len(found), len(self.given.fitting))


def _hopeless(asking: Asking, said: str) -> ModelError:
    return ModelError(
        f"{asking.ref.name}: no prompt could be answered ({said}); see that there is memory for "
        f"the model and a batch (sample.batch_size, sample.workers), then run the same command "
        f"again"
    )


def told_lost(given: Given) -> str:
    """One sentence about the prompts that have no answers."""
    why: Any = next(iter(given.lost.values()))
    return f"{len(given.lost)} of {len(given.fitting)} prompts are not answered: {why}"
