"""Reference log-probabilities, measured once for all trainings that begin alike.

In: a job, its rows, and what measures them. Out: the numbers, from the working folder (a resumed
stage), from the cache (an earlier training with the same base, start and rows, whatever its beta,
loss or learning rate), or measured now. A file of the cache holds numbers alone, under a digest of
everything that decides them; the `_MOST` that were used last are kept. Where the cache cannot be
written, the next training measures again.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from misstep.models.cache import cache_dir
from misstep.models.images import gallery
from misstep.train import ranks
from misstep.train.disk import file_sha, keep
from misstep.train.reading import Reading
from misstep.train.rows import Ids, digest, row_key
from misstep.train.stage import Job, products, start_sha, versions

Numbers = list[list[float]]
"""A list for each row, or for each couple of rows; what is in it is the stage's affair."""
_VERSION = 2
"""Part of the digest; raise it when the same inputs are measured in another way."""
_MOST = 64
"""Files of the cache; each takes about 60 bytes a row."""


def measured(
    job: Job,
    ids: Sequence[Ids],
    *,
    reading: Reading,
    how: Sequence[object],
    measure: Callable[[], Numbers],
) -> Numbers:
    """The numbers of `measure`, which all processes call together, or none.

    Args:
        how: what decides them beside the model, the rows and the reading: batches, weights of
            tokens.
    """
    beside = job.work / "reference.json"
    cached = cache_dir() / "references" / f"{_key(job, ids, reading, how)}.json"
    # the main process decides for all: each machine has a cache of its own
    known = ranks.gathered({0: _first(beside, cached)} if ranks.is_main() else {})[0]
    found: Numbers = measure() if known is None else known
    keep(beside, found)  # by all processes, whatever each sees there: they wait in it
    if ranks.is_main():
        _put(cached, found)
    return found


def _key(job: Job, ids: Sequence[Ids], reading: Reading, how: Sequence[object]) -> str:
    """SHA-256 of everything that the numbers depend on, to the last bit."""
    return digest(
        [
            _VERSION,
            job.name,
            job.loaded.base_hash,
            _settings(job),
            start_sha(job),
            _settings_of_start(job),
            asdict(job.lora),
            job.run.seed,
            (products(job), os.environ.get("ACCELERATE_MIXED_PRECISION")),
            _machine(job),
            ranks.count(),
            sorted(versions().items()),
            gallery(job.run.images)[1],
            (reading.own_head, reading.shared, reading.budget),
            *how,
            *map(row_key, ids),
        ]
    )


def _settings(job: Job) -> str:
    """The configuration of the base; its weights' fingerprint does not hold it."""
    settings = {**job.loaded.network.config.to_dict(), "_name_or_path": ""}
    return json.dumps(settings, sort_keys=True, default=str)


def _settings_of_start(job: Job) -> list[str]:
    """The same of what is continued, an adapter or a model."""
    names = ("adapter_config.json", "config.json")
    paths = [] if job.adapter is None else [job.adapter / name for name in names]
    return [file_sha(path) for path in paths if path.is_file()]


def _machine(job: Job) -> tuple[object, ...]:
    """What decides the order of a sum."""
    import torch

    device = job.loaded.network.device
    if device.type == "cuda":
        return ("cuda", torch.cuda.get_device_name(device))
    return (device.type, torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())


def _first(*paths: Path) -> Numbers | None:
    """What the first of these files holds that is there and whole."""
    for path in paths:
        with contextlib.suppress(OSError, ValueError):
            return json.loads(path.read_text(encoding="utf-8"))
    return None


def _put(path: Path, found: Numbers) -> None:
    """Keep the numbers in the cache, or mark them as used; the oldest of too many are removed."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            path.touch()
            return
        handle, fresh = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(found, file)
        Path(fresh).replace(path)
        known = sorted(path.parent.glob("*.json"), key=lambda each: each.stat().st_mtime)
        for old in known[:-_MOST]:
            old.unlink(missing_ok=True)
