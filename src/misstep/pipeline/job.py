"""One job: a run folder, its settings, and how it speaks to the person who waits.

A stage has a key made of everything that it depends on. `stage` skips it when the run folder says
that it finished with the same key and its outputs still stand; that is all there is to resuming,
beside the trainer's own checkpoints. A stage that is done anew first forgets itself and all that
depends on it, so that nothing of an earlier run is taken for this one's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from misstep import store
from misstep.config import RunConfig, dump_config
from misstep.errors import InputError
from misstep.models import Gallery
from misstep.pipeline.outputs import covers
from misstep.store import RunFolder

Progress = Callable[[str, int, int], None]
"""`progress(label, done, total)`; a label names the work and may end in ` · note`."""
Say = Callable[[str], None]


_TUNED = ("train adapter", "answers dpo", "answers kto", "train control", "answers control")
_MINED = ("mine", *_TUNED)
_SFT = ("train sft", "answers sft", "answers rft", "answers resample", *_MINED)
DEPENDENTS: dict[str, tuple[str, ...]] = {
    "scan": ("sft rows", "answers base", *_SFT),
    "sft rows": _SFT,
    "train sft": _SFT,
    "answers resample": _MINED,
    "mine": _TUNED,
    "train adapter": _TUNED,
    "answers base": (),
    "answers sft": (),
    "answers rft": (),
    "answers dpo": (),
    "answers kto": (),
    "train control": ("answers control",),
    "answers control": (),
}
"""Each stage, and what falls with it when it is done anew."""
IMAGES = "images"
"""Below a run folder: the images of the logs, each under the hash of its bytes."""
ROUNDS = "rounds"
"""Below a run folder: one folder for each round, where there are several."""
RFT = "rft"
"""Below a run folder: that of the round whose chosen sides are learned by SFT."""
_APART = 100_000
"""More than there are rounds: seeds of rounds never meet that of `rft`."""


def silent(label: str, done: int, total: int) -> None:
    """Show nothing."""


def mute(text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Job:
    """What every stage gets."""

    folder: RunFolder
    config: RunConfig
    progress: Progress = silent
    say: Say = mute
    keep: frozenset[str] = frozenset()
    """Stages that stand whatever is done anew before them."""
    home: RunFolder | None = None
    """Of a round: the folder of the run."""
    round: int = 1
    """Which round this is; 0 is the one of `rft`."""

    @property
    def run(self) -> RunFolder:
        """The folder of the whole run: scan, accepted rows and decisions lie there."""
        return self.folder if self.home is None else self.home

    @property
    def draw(self) -> int:
        """Seed of the answers of this round."""
        return self.config.seed + (self.round - 1 if self.round else _APART)

    @property
    def images(self) -> Path:
        """Folder of the images of the logs; there only where the logs hold any."""
        return self.run / IMAGES

    @property
    def gallery(self) -> Gallery:
        """The images as a model is to see them."""
        return Gallery(folder=self.images, max_pixels=self.config.images.max_pixels)

    def part(self, number: int) -> Job:
        """One of several rounds, in a folder of its own; 0 is that of `rft`."""
        folder = RunFolder(self.folder / (f"{ROUNDS}/{number}" if number else RFT))
        words = f"round {number}: " if number else "rft: "

        def progress(label: str, done: int, total: int) -> None:
            self.progress(words + label, done, total)

        return replace(
            self,
            folder=folder,
            progress=progress,
            say=lambda text: self.say(words + text),
            home=self.folder,
            round=number,
        )

    def counting(self, label: str) -> Callable[[int, int], None]:
        """A two-argument progress callback under a fixed label."""
        return lambda done, total: self.progress(label, done, total)


def check_folder(folder: Path, paths: Sequence[Path]) -> None:
    """Refuse a run folder that is none, before anything is written to it.

    Raises:
        InputError: it lies inside the logs, or holds files that are not misstep's.
    """
    place = folder.resolve()
    for path in paths:
        if covers(path, place):
            raise InputError(
                f"{folder}: lies inside the logs ({path}), so its own files would be read "
                f"as logs; choose a run folder beside them"
            )
    other = RunFolder(folder).foreign()
    if other is not None and not (folder / "verdicts.parquet").exists():  # its state was lost
        raise InputError(
            f"{folder}: holds {other} and no {store.STAGES} of misstep, so it is no run folder and "
            f"files in it could be overwritten; choose a new or empty folder"
        )


def begin(folder: Path, config: RunConfig, progress: Progress, say: Say) -> Job:
    """A job in its run folder, with its settings beside it.

    The state comes first, so that the folder is known as a run's wherever this ends.
    """
    run = RunFolder(folder)
    run.open()
    store.write_text(folder / "config.yaml", dump_config(config))
    return Job(run, config, progress, say)


def stage(
    job: Job,
    name: str,
    *,
    key: str,
    outputs: Sequence[str],
    work: Callable[[], Mapping[str, Any]],
) -> dict[str, Any]:
    """Do `work` unless it is done already; gives the facts that it noted.

    Args:
        key: content key of all that the stage depends on.
        outputs: names in the run folder that must exist for the stage to count as finished.
        work: writes the outputs and returns what later stages and the report need to know.
    """
    known = job.folder.facts(name, key)
    if known is not None:
        job.say(f"{name}: unchanged, kept")
        return known
    job.folder.forget((name, *(each for each in DEPENDENTS[name] if each not in job.keep)))
    job.say(f"{name} …")
    begun = time.monotonic()
    facts = dict(work())
    seconds = time.monotonic() - begun
    job.folder.finish(name, key, outputs=outputs, facts=facts, seconds=seconds)
    return facts
