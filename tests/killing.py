"""Runs that are killed somewhere and go on: what the tests of whole runs ask of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from misstep import api
from misstep.config import RunConfig


class Killed(BaseException):
    """Stands for a signal in the middle of a stage."""


def weights(folder: Path) -> bytes:
    """What an adapter folder holds."""
    return (folder / "adapter_model.safetensors").read_bytes()


def killed_along(log: Path, folder: Path, config: RunConfig, places: Sequence[str]) -> None:
    """One run that dies at each place in turn, where progress under that label first shows.

    Each attempt goes on from what the one before it left; the places are in the order of the run.
    """
    left = list(places)

    def progress(label: str, done: int, total: int) -> None:
        if left and label.startswith(left[0]) and (done >= 2 or done >= total):
            raise Killed(left.pop(0))

    for place in places:
        with pytest.raises(Killed, match=re.escape(place)):
            api.run([log], folder, config, progress=progress)
    api.run([log], folder, config)


def ends_alike(folder: Path, other: Path) -> bool:
    """Whether two runs left the same adapter and the same scores."""
    same = weights(folder / "adapter") == weights(other / "adapter")
    return same and (folder / "scores.json").read_text() == (other / "scores.json").read_text()


def stages_said(log: Path, run: Path, config: RunConfig) -> list[str]:
    """What a run says of its stages when it is asked for again."""
    said: list[str] = []
    api.run([log], run, config, say=said.append)
    return [line for line in said if line.endswith(("…", "kept"))]
