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
        InputError: the run is not finished, trained nothing, or its verdict is do-not-ship and
            nobody said `anyway`.
        StageError: the Hub did not take it.
    """
    path = folder / "scores.json"
    verdict = store.read_json(path)["verdict"] if path.exists() else None
    if verdict is None:
        raise InputError(f"{folder}: no scores.json, so nothing was measured; finish the run first")
    if verdict == "nothing-to-train":
        raise InputError(f"{folder}: nothing was trained, so there is nothing to push")
    if verdict == "do-not-ship" and not anyway:
        raise InputError(
            f"{folder}: the verdict is do-not-ship, so nothing was pushed; "
            f"--anyway pushes all the same"
        )
    planned = train.plan_upload(
        folder / "adapter", models.load_words(config.model), repo=repo, public=public
    )
    return [*planned.lines(), train.upload(planned)]
