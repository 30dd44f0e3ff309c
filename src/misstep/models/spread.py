"""Answering as pieces of work: what an engine's workers do, each with the model loaded once.

In: where the model is, then pieces: a `Survey` of all prompts, or a batch of them. Out: how the
prompts are divided, and answers; those that `sample` gives, since the batches are the same. A
worker may be on another machine: the base model is looked for there, under the same name, and must
have the same weights; adapters and images come with the work.
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from misstep import store
from misstep.errors import ModelError
from misstep.models.eye import know, shown_in
from misstep.models.generate import Answer, Batch, Sampling, answered, divided, squeezed
from misstep.models.images import Gallery
from misstep.models.load import Loaded, load

_ADAPTER = ("adapter_config.json", "adapter_model.safetensors", "misstep_adapter.json")
"""What `load` reads of an adapter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which model a worker loads."""

    model: str
    base_hash: str
    """Fingerprint that the weights must have there."""
    dtype: str
    adapter: Path | None = None
    parcel: Mapping[str, bytes] | None = None
    """The files of the adapter, for workers on other machines."""
    images: Gallery | None = None
    """As a model is to see them; on another machine the folder is not read."""
    away: bool = False
    """The worker is on another machine, perhaps."""
    threads: int = 0
    """Of a worker; 0 leaves them as they are."""
    sharing: int = 1
    """Workers that take the same GPU, where they take one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All prompts, and each way in which they are answered."""

    prompts: Sequence[Sequence[int]]
    ways: Sequence[Sampling]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """Which prompts the model has room for, and how they are divided."""

    fitting: list[int]
    """Places among all prompts; those that leave no room for an answer are not there."""
    divided: list[list[list[int]]]
    """By way of answering: the batches, as places in `fitting`."""
    note: str = ""
    """What the user should know of the batches; mostly nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A batch on its way to a worker."""

    batch: Batch
    names: tuple[str, ...] = ()
    """Of the images in its prompts."""
    images: Mapping[str, bytes] = field(default_factory=dict)
    """Those of them that the worker cannot read itself."""


@dataclass(slots=True)
class _Kit:
    loaded: Loaded
    folder: Any
    """Of images that come with the work; removed with the process."""


def parcel_of(adapter: Path | None) -> dict[str, bytes] | None:
    """The files of an adapter that a worker on another machine needs."""
    if adapter is None:
        return None
    files = (adapter / name for name in _ADAPTER)
    return {file.name: file.read_bytes() for file in files if file.is_file()}


def sheet_of(batch: Batch, images: Path | None) -> Sheet:
    """A batch with its images, read from that folder; None where workers read it themselves."""
    names = shown_in(batch.prompts)
    if images is None:
        return Sheet(batch=batch, names=names)
    kept = {n: store.image_path(images, n) for n in names if store.is_image_name(n)}
    read = {name: path.read_bytes() for name, path in kept.items() if path.is_file()}
    return Sheet(batch=batch, names=names, images=read)


def prepare(where: Where) -> _Kit:
    """Load the model, in a worker.

    Raises:
        ModelError: it is not there, or is another one.
    """
    if where.threads:
        import torch

        torch.set_num_threads(where.threads)
    folder = tempfile.TemporaryDirectory(prefix="misstep-")
    images = where.images
    if images is not None and where.away:
        images = replace(images, folder=Path(folder.name))
    try:
        loaded = _loaded(where, images)
    except ModelError as error:
        if not where.away:
            raise
        raise ModelError(f"on {platform.node()}: {error}") from None
    return _Kit(replace(loaded, sharing=where.sharing), folder)


def _loaded(where: Where, images: Gallery | None) -> Loaded:
    """The model, seen to be the one that is meant."""
    with tempfile.TemporaryDirectory(prefix="misstep-") as scratch:
        adapter = where.adapter
        if where.parcel is not None:
            adapter = Path(scratch)
            for name, data in where.parcel.items():
                (adapter / name).write_bytes(data)
        loaded = load(where.model, adapter=adapter, dtype=where.dtype, images=images)
    if loaded.base_hash != where.base_hash:
        raise ModelError(
            f"{where.model} has other weights ({loaded.base_hash}) than where the command was "
            f"given ({where.base_hash}); put the same model there"
        )
    return loaded


def work(kit: _Kit, piece: Survey | Sheet) -> Surveyed | list[list[Answer]]:
    """What a survey or a batch comes to."""
    if isinstance(piece, Survey):
        return _survey(kit.loaded, piece)
    know(piece.names)
    shown = Path(kit.folder.name)
    for name, data in piece.images.items():
        store.image_path(shown, name).write_bytes(data)
    try:
        return answered(kit.loaded, piece.batch)
    finally:
        for name in piece.images:
            store.image_path(shown, name).unlink()


def _survey(loaded: Loaded, survey: Survey) -> Surveyed:
    longest = max((way["max_new_tokens"] for way in survey.ways), default=0)
    room = loaded.window - longest
    fitting = [i for i, prompt in enumerate(survey.prompts) if len(prompt) <= room]
    prompts = [survey.prompts[i] for i in fitting]
    notes = (squeezed(loaded, prompts, **way) for way in survey.ways)
    return Surveyed(
        fitting=fitting,
        divided=[divided(loaded, prompts, **way) for way in survey.ways],
        note=next(filter(None, notes), ""),
    )
