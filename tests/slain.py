"""Runs whose process is killed wherever something new begins or ends, again and again.

    python slain.py SETTINGS.yaml FOLDER LOGS…

Beside each other in FOLDER: `whole`, a run that nobody disturbed, and `slain`, one whose process
gets SIGKILL at each place that it reaches for the first time: each stage that is about to be noted
as finished, then, as it is done anew, each work of that stage that reports progress, near its
beginning. So what ends a stage at last has gone on from what a kill left of it. Every attempt is a
fresh process, forked from this one, which has imported what they need and nothing more. The places
are the lines of FOLDER/places.txt.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import peft
import PIL.Image
import torch
import transformers.models.llava.modeling_llava
import trl.trainer.dpo_trainer
import trl.trainer.sft_trainer

from misstep import api, store
from misstep.config import load_config

LOADED = (peft, PIL, torch, transformers, trl, api.run)
"""Imported once, for the attempts."""
MOST = 60
"""Attempts; a run that makes no headway would go on for ever."""


def run(folder: Path, settings: Path, logs: list[Path], places: Path | None) -> None:
    """One attempt; dies at the first place that is not in `places` yet."""

    known = places.read_text().splitlines() if places is not None and places.exists() else []

    def reached(place: str) -> None:
        if places is not None and place not in known:
            places.write_text("\n".join([*known, place]) + "\n")
            os.kill(os.getpid(), signal.SIGKILL)

    def progress(label: str, done: int, total: int) -> None:
        name = label.partition(" · ")[0]
        if done >= min(2, total) and f"end of {stage_of(name)}" in known:
            reached(f"in {name}")

    finish = store.RunFolder.finish

    def finishing(self, stage, key, **more):
        reached(f"end of {stage}")
        finish(self, stage, key, **more)

    store.RunFolder.finish = finishing
    api.run(logs, folder, load_config(settings), progress=progress)


def stage_of(label: str) -> str:
    """The stage that reports progress under this label."""
    if label.startswith("train "):
        return label
    return {"reading": "scan", "mining": "mine"}.get(label, f"answers {label.partition(':')[0]}")


def attempt(folder: Path, settings: Path, logs: list[Path], places: Path | None) -> int:
    """The signal that ended a process of its own; 0 where it came to its end."""
    child = os.fork()
    if child == 0:
        run(folder, settings, logs, places)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    if os.WEXITSTATUS(status):
        raise SystemExit(f"the run failed in {folder}")
    return 0


def main() -> None:
    settings, folder, *logs = map(Path, sys.argv[1:])
    folder.mkdir(exist_ok=True)
    places = folder / "places.txt"
    if attempt(folder / "whole", settings, logs, None):
        raise SystemExit("the undisturbed run was killed")
    for _ in range(MOST):
        if attempt(folder / "slain", settings, logs, places) != signal.SIGKILL:
            return
    raise SystemExit(f"no end after {MOST} attempts: {places.read_text()}")


if __name__ == "__main__":
    main()
