"""The parts of a run folder: the round of `rft`, and each of several rounds, in their own folders.

In: a run folder, or a folder in it. Out: which parts there are, whose a part is, where a stage left
what it made, and which adapter the pairs of the folder are for.
"""

from __future__ import annotations

from pathlib import Path

from misstep import store
from misstep.config import RunConfig, load_config
from misstep.errors import InputError
from misstep.pipeline import checks, training
from misstep.pipeline.job import RFT, ROUNDS
from misstep.pipeline.mining import AS_SET, PAIRS
from misstep.store import RunFolder

_MADE = {
    "sft": "sft",
    "sample": "answers/resample.parquet",
    "mine": "pairs",
    "train": "adapter",
}
"""What each stage leaves that a run can be asked to stop after."""


def parts_in(folder: Path) -> list[RunFolder]:
    """The parts that a run has begun, in their order."""
    rounds = [each for each in (folder / ROUNDS).glob("*") if each.name.isdigit()]
    places = [folder / RFT, *sorted(rounds, key=lambda each: int(each.name))]
    return [run for place in places if (run := RunFolder(place)).begun]


def home_of(folder: Path) -> Path:
    """The run folder that a part lies in; of any other folder the folder itself."""
    place = folder.resolve()
    above = place.parent
    if place.name.isdigit() and above.name == ROUNDS:
        above = above.parent
    elif place.name != RFT:
        return folder
    return above if RunFolder(above).begun else folder


def left_by(folder: Path, config: RunConfig, until: str) -> Path:
    """Where a run that was asked to stop after a stage has put what that stage made."""
    places = [folder]
    if until in ("sample", "mine"):
        rft = config.rft.enabled and checks.left_out(config) is None
        first = [RFT] if rft else [f"{ROUNDS}/1"] if config.rounds > 1 else []
        places = [*(folder / name for name in first), folder]
    made = [place / _MADE[until] for place in places]
    return next((each for each in made if each.exists()), folder)


def check_pairs(folder: Path) -> None:
    """Refuse to train on a folder without pairs, or on pairs that were not mined for SFT's adapter.

    Raises:
        InputError: there are none, they lie in a part, or they were mined for a later adapter.
    """
    lying = [part for part in parts_in(folder) if (part / PAIRS).exists()]
    if lying and not (folder / PAIRS).exists():
        raise InputError(
            f"{folder}: its pairs lie in {lying[-1].path / 'pairs'}, in the middle of a run; the "
            f"same `misstep run` goes on there"
        )
    if not (folder / PAIRS).exists():
        raise InputError(
            f"{folder / PAIRS}: no such file; `misstep train` takes a folder that `misstep mine` "
            f"wrote; make one of logs, or of preference rows of your own, with `misstep mine LOGS "
            f"-o DIR`"
        )
    start = mined_for(RunFolder(folder))
    if start is not None:
        raise InputError(
            f"{folder}: its pairs were mined for the adapter {start}, and `misstep train` would "
            f"begin with SFT anew; the same `misstep run` goes on there, and `misstep mine` makes "
            f"pairs to train on in another folder"
        )


def mined_for(run: RunFolder) -> Path | None:
    """The adapter behind SFT that a run mined its pairs for; None where there was none.

    Of pairs that were trained on, the adapter says what it went on from; of others the state does.
    """
    mined = run.entry("mine")
    if mined is None or mined["facts"].get("policy") == AS_SET:
        return None
    parts = parts_in(run.path)
    for part in (run, *parts):
        same = (part.entry("mine") or {}).get("key") == mined["key"]
        if same and part.entry("train adapter") is not None:
            start = training.continued(part / "adapter")
            known = (each / "adapter" for each in parts)
            return next((each for each in known if store.weights_digest(each) == start), None)
    kept = run / "config.yaml"
    confirmed = RunFolder(run / RFT).noted("train adapter").get("steps")
    asked = kept.exists() and load_config(kept).rft.enabled
    return run / RFT / "adapter" if confirmed and asked else None
