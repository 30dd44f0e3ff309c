"""The preference stage and what leads to it: resample, mine, train; in one round or in several.

In: a corpus and the adapter to start from. Out: `answers/`, `pairs/`, `adapter/` of the run folder.
Of several rounds each lies in `rounds/N` with a state of its own, begins with the adapter that the
round before it left (its reference, then) and samples its answers anew; the last one that trained
is copied into the run folder, where everything else looks. A round in which nothing is left to
pair ends them. With `rft.enabled` a round comes before them, in `rft/`, that learns the chosen
sides of its pairs by SFT; the preference stage begins with what it left. Where that round is asked
for and does not come, its demands are made of the pairs themselves.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from misstep import mine as mining_room
from misstep import store
from misstep import train as train_room
from misstep.config import RunConfig
from misstep.pipeline import advising, checks, mining, training
from misstep.pipeline.job import DEPENDENTS, ROUNDS, Job
from misstep.types import Message, Prompt

STAGES = ("answers resample", "mine", "train adapter")
"""Of one round, in their order."""
FEW = 100
"""Pairs, or labelled answers, below which training seldom changes more than chance does."""

_Answers = Mapping[Prompt, Sequence[Message]]
Until = Literal["sft", "sample", "mine", "train"]
"""A stage after which a run may be asked to stop."""


class Reached(Exception):
    """The stage after which the run was to stop is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferred:
    """What the preference stage left, over all rounds."""

    adapter: training.Adapter | None = None
    """None where nothing was trained."""
    rows: Sequence[train_room.Row] = ()
    """Rows that were given to training."""
    hashes: Sequence[str] = ()
    """Content hashes of the prompts that the adapter may have been trained on."""
    why: str = ""
    """Why nothing was trained."""
    start: training.Adapter | None = None
    """What the preference stage began with: the adapter of `rft`, else of SFT."""
    steps: int = 0
    left_out: Sequence[str] = field(default=())
    """Ids of rows that were not trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What every round is made of."""

    corpus: mining_room.Corpus
    split: mining_room.Split
    policy: mining.Policy
    until: Until | None


def preferred(
    job: Job,
    corpus: mining_room.Corpus,
    split: mining_room.Split,
    *,
    policy: mining.Policy,
    start: training.Adapter | None,
    until: Until | None = None,
) -> Preferred:
    """The round of `rft`, then all others. Pairs of the log are always the same: one round.

    Raises:
        Reached: the stage `until` of the first round is done.
    """
    given = _Given(corpus=corpus, split=split, policy=policy, until=until)
    job, begun = _led(job, given, start)
    count = job.config.rounds if policy.resample and several(job.config) else 1
    found = _round(job, given, begun) if count == 1 else _several(job, given, begun, count)
    return replace(found, start=begun)


def _several(job: Job, given: _Given, start: training.Adapter | None, count: int) -> Preferred:
    _adopt(job)
    done: list[Preferred] = []
    for number in range(1, count + 1):
        part = job.part(number)
        found = _round(part, given, start)
        if found.adapter is None:
            job.say(f"round {number} trained nothing: {found.why}")
            if done:
                break
            _take(part.folder, job)
            return found
        done.append(found)
        start = found.adapter
    _take(job.part(len(done)).folder, job)
    return _whole(job, done)


def _whole(job: Job, done: Sequence[Preferred]) -> Preferred:
    """The rounds together; the adapter is the last one's, in the run folder."""
    last = done[-1]
    if last.adapter is None:
        return last
    return Preferred(
        adapter=replace(last.adapter, path=job.folder / "adapter"),
        rows=[row for found in done for row in found.rows],
        hashes=last.hashes,
        steps=sum(found.steps for found in done),
        left_out=[name for found in done for name in found.left_out],
    )


def _led(
    job: Job, given: _Given, start: training.Adapter | None
) -> tuple[Job, training.Adapter | None]:
    """What the preference stage is asked and begins with: behind `rft`, or without it."""
    if not job.config.rft.enabled:
        return job, start
    why = checks.left_out(job.config)
    begun = _confirmed(job, given, start) if why is None else start
    if begun is not start:
        return job, begun
    if why is not None:
        job.say(why)
    held = checks.held_to(job.config)
    if held != job.config:
        job.say(checks.told_held(held))
    return replace(job, config=held), start


def _confirmed(job: Job, given: _Given, start: training.Adapter | None) -> training.Adapter | None:
    """What the round of `rft` makes of `start`; where it pairs nothing, `start`."""
    rft = job.config.rft
    mine = replace(job.config.mine, min_votes=rft.min_votes, supported_values=rft.supported_values)
    part = replace(job.part(0), config=replace(job.config, mine=mine))
    _mined(part, given, start)
    rows = mining.pair_rows(part)
    if not rows:
        part.say("no chosen side is confirmed by other answers, so this stage is left out")
        return start
    adapter = training.rft_stage(part, rows, start)
    training.note_trained(adapter, mining.trained_hashes(part, given.corpus))
    if not adapter.facts["steps"]:
        part.say(f"{adapter.facts['stopped']}; this stage is left out")
        return start
    return adapter


def _round(job: Job, given: _Given, start: training.Adapter | None) -> Preferred:
    facts, answers = _mined(job, given, start)
    rows = rows_of(job)
    if not rows:
        return Preferred(why=_why(job, given, facts, answers))
    hashes = mining.trained_hashes(job, given.corpus)
    adapter = preference(job, rows, start, hashes)
    if adapter is None or not adapter.facts["steps"]:
        return Preferred(rows=rows, hashes=hashes, why=untrained(adapter))
    return Preferred(
        adapter=adapter,
        rows=rows,
        hashes=hashes,
        steps=int(adapter.facts["steps"]),
        left_out=adapter.facts["left_out"],
    )


def _why(job: Job, given: _Given, facts: Mapping[str, Any], answers: _Answers | None) -> str:
    """Why nothing was paired."""
    rejected = job.config.mine.rejected
    if answers is None or "failures" in rejected:
        return advising.of_failures(facts)
    found = advising.tried(job, given.corpus, given.split, answers)
    return advising.of_loops(facts, found, rejected)


def _mined(
    job: Job, given: _Given, start: training.Adapter | None
) -> tuple[dict[str, Any], _Answers | None]:
    """The counts of a round's pairs, and the fresh answers that they are of, if any."""
    corpus, split, policy = given.corpus, given.split, given.policy
    answers = mining.resample(job, corpus, split, start) if policy.resample else None
    if given.until == "sample":
        raise Reached(given.until)
    facts = mining.mine_stage(job, corpus, split, policy=policy, answers=answers)
    if given.until == "mine":
        raise Reached(given.until)
    return facts, answers


def rows_of(job: Job) -> list[train_room.Row]:
    """What the preference stage trains on."""
    return mining.labelled_rows(job) if job.config.kto.enabled else mining.pair_rows(job)


def preference(
    job: Job,
    rows: Sequence[train_room.Row],
    start: training.Adapter | None,
    hashes: Sequence[str],
) -> training.Adapter | None:
    """DPO, or KTO in its place, maybe of no steps; None where both are off."""
    if not _trains(job):
        job.folder.forget(["train adapter", "train control"])
        return None
    note = little(job, len(rows))
    if note is not None:
        job.say(note)
    stage = training.kto_stage if job.config.kto.enabled else training.dpo_stage
    adapter = stage(job, rows, start)
    training.note_trained(adapter, hashes)
    return adapter


def untrained(adapter: training.Adapter | None, told: str = "report.md") -> str:
    """Why a preference stage took no step; empty where it is off.

    `told` is the file that lists the rows set aside.
    """
    if adapter is None:
        return ""
    if not adapter.facts["rows"]:
        return f"no row could be trained on; see the rows set aside in {told}"
    return str(adapter.facts["stopped"])


def little(job: Job, rows: int) -> str | None:
    """What to say of so few rows; None where there are enough, or none at all."""
    if not 0 < rows < FEW:
        return None
    what = "labelled answers" if job.config.kto.enabled else "pairs"
    return (
        f"{rows} {what} are little data: below {FEW} an adapter seldom gets better by more than "
        f"chance (docs/footguns.md)"
    )


def several(config: RunConfig) -> bool:
    """Whether rounds follow each other, where answers are sampled for each."""
    return config.rounds > 1 and (config.dpo.enabled or config.kto.enabled)


def _trains(job: Job) -> bool:
    return job.config.dpo.enabled or job.config.kto.enabled


# --- one folder for all that look at a run -----------------------------------------------------


def _adopt(job: Job) -> None:
    """What a run of one round left is the first of several; keys decide whether it still holds."""
    first = job.part(1)
    trained = job.folder.entry("train adapter") is not None
    if trained and not (job.folder / ROUNDS).exists():
        _take(job.folder, first)


def _take(source: store.RunFolder, job: Job) -> None:
    """Copy what a round left, with its place in the state, unless the job has the same already."""
    if not store.is_writer():
        return
    for name in STAGES:
        entry = source.entry(name)
        if entry is not None and job.folder.facts(name, entry["key"]) is not None:
            continue
        job.folder.forget((name, *DEPENDENTS[name]))
        if entry is not None:
            for each in _files(name, entry):
                _copied(source / each, job.folder / each)
            job.folder.finish(name, **entry)


def _files(name: str, entry: dict[str, Any]) -> list[str]:
    """Files and folders of a stage, more than it names as its outputs."""
    mined = ["pairs", "unpaired", mining_room.FIGURES, *mining_room.every_file()]
    return [*entry["outputs"], *(mined if name == "mine" else ())]


def _copied(source: Path, target: Path) -> None:
    """A copy in the place of what stands there, all or nothing; without a source, nothing."""
    if not source.exists():
        if target.is_file():
            target.unlink()
        return
    with store.replacing(target) as temporary:
        if source.is_dir():
            shutil.copytree(source, temporary)
        else:
            shutil.copy2(source, temporary)
