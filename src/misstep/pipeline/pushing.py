"""Sending what a finished run left to the Hub: whether it may go, and what goes.

In: a run folder with its verdict. Out: the address of the repository.
"""

from __future__ import annotations

from pathlib import Path

from misstep import models, store, train
from misstep.config import RunConfig
from misstep.errors import InputError


def push(folder: Path, config: RunConfig, *, repo: str, public: bool, anyway: bool) -> list[str]:
    """Upload the adapter, its tokenizer and its card; gives what was sent, in lines.

    Raises:
        InputError: the run is not finished or trained nothing; or its verdict is do-not-ship, or of
            another adapter, and nobody said `anyway`.
        StageError: the Hub did not take it.
    """
    path = folder / "scores.json"
    scores = store.read_json(path) if path.exists() else {}
    verdict = scores.get("verdict")
    if verdict is None:
        raise InputError(f"{folder}: no scores.json, so nothing was measured; finish the run first")
    if verdict == "nothing-to-train":
        raise InputError(f"{folder}: nothing was trained, so there is nothing to push")
    if verdict == "do-not-ship" and not anyway:
        raise InputError(
            f"{folder}: the verdict is do-not-ship, so nothing was pushed; "
            f"--anyway pushes all the same"
        )
    if not anyway:
        _refuse_unmeasured(folder, scores.get("adapter"))
    planned = train.plan_upload(
        folder / "adapter", models.load_words(config.model), repo=repo, public=public
    )
    return [*planned.lines(), train.upload(planned)]


def _refuse_unmeasured(folder: Path, measured: str | None) -> None:
    """The verdict must be of the adapter that would go."""
    path = folder / "adapter"
    here = store.weights_digest(path)
    if not here or measured == here:
        return  # a folder without an adapter is refused where the upload is planned
    why = (
        f"is of an adapter with SHA-256 {measured[:12]}…, and this one has {here[:12]}…"
        if measured
        else "does not say which adapter was measured"
    )
    raise InputError(
        f"{path}: the verdict in scores.json {why}, so nothing was pushed; measure this adapter "
        f"with `misstep eval {folder}`, or push it all the same with --anyway"
    )
