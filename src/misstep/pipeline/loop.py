"""The whole loop in its order: scan, split, SFT, rounds of pairs and DPO (or KTO), measure.

In: paths, a run folder, settings. Out: the run folder of the design, and a verdict. Every stage is
resumed or skipped by its key (`job.stage`); this file only says what follows what.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from misstep import evaluate as evaluation
from misstep import mine as mining_room
from misstep import models, store
from misstep.config import RunConfig
from misstep.errors import InputError, SetupError
from misstep.evaluate.effect import CONTROL, PREFERENCE
from misstep.pipeline import checks, mining, parts, rounds, training
from misstep.pipeline.job import RFT, ROUNDS, Job, Progress, Say, begin, check_folder, mute, silent
from misstep.pipeline.kept import corpus_of, scan_stage, why_nothing
from misstep.pipeline.measuring import ArmSpec, held_prompts, measure
from misstep.pipeline.view import write_reports
from misstep.report.words import count_of

STOPPED = "stopped"
"""In the place of a verdict: the stage after which the run was to stop is done."""
NOTHING = "nothing-to-train"
"""The verdict of a run whose preference stage had nothing to train on."""


def run(
    paths: Sequence[Path],
    folder: Path,
    config: RunConfig,
    *,
    until: rounds.Until | None = None,
    progress: Progress = silent,
    say: Say = mute,
) -> str:
    """Everything, from logs to a verdict; gives `ship`, `do-not-ship` or `nothing-to-train`.

    With `until` it ends after that stage and gives `stopped`; `sample` and `mine` are those of the
    first round. The same call without it goes on from there.

    Raises:
        SetupError: logs, settings, model or adapter cannot be used, or another process works there.
        StageError: a stage could not finish; the same call resumes.
    """
    checks.check_run(config)
    check_folder(folder, paths)
    with store.working(folder, new=True):
        return _run(begin(folder, config, progress, say), paths, until)


def _run(job: Job, paths: Sequence[Path], until: rounds.Until | None) -> str:
    config = job.config
    mining.check_references(job)
    corpus, split = _read(job, paths)
    held = held_prompts(job, corpus, split)
    why = why_nothing(corpus, config, job.folder.noted("scan").get("set_aside"))
    if why is not None:
        return _nothing(job, why)
    checks.check_sight(config, corpus)
    policy = mining.policy(job, corpus)
    sft = _sft(job, corpus, split)
    if until == "sft":
        return STOPPED
    try:
        last = rounds.preferred(job, corpus, split, policy=policy, start=sft, until=until)
    except rounds.Reached:
        return STOPPED
    if last.why and (sft is None or until == "train"):
        return _nothing(job, last.why)
    if until == "train":
        return STOPPED
    arms = [ArmSpec(name="base"), *_arm("sft", sft), *_arm(_last(job), last.adapter)]
    if last.start is not sft:
        arms.extend(_arm(RFT, last.start))
    if config.eval.control and last.adapter is not None:
        control = training.control_stage(job, last, last.start)
        training.note_trained(control, last.hashes)
        arms.extend(_arm(CONTROL, control))
    scores = measure(job, corpus, held, arms)
    if last.why:  # what came before the preference stage is measured all the same
        scores |= {"verdict": NOTHING, "why": last.why}
        store.write_json(job.folder / "scores.json", scores)
    write_reports(job)
    return str(scores["verdict"])


def mine(
    paths: Sequence[Path],
    folder: Path,
    config: RunConfig,
    *,
    resample: bool,
    progress: Progress = silent,
    say: Say = mute,
) -> dict[str, Any]:
    """Pairs from logs; with `resample` also from the answers of `config.model`.

    Raises:
        SetupError: logs, settings, model or folder cannot be used, or another process works there.
    """
    checks.check_alone("mine")
    check_folder(folder, paths)
    with store.working(folder, new=True):
        job = begin(folder, config, progress, say)
        mining.check_references(job)
        corpus, split = _read(job, paths)
        held_prompts(job, corpus, split)
        if resample and config.endpoint.url is None:
            checks.check_sight(config, corpus)
        policy = mining.all_sources(job, resample=resample)
        mining.sft_rows(job, corpus, split)
        answers = mining.resample(job, corpus, split, None) if resample else None
        return mining.mine_stage(job, corpus, split, policy=policy, answers=answers)


def train(
    folder: Path, config: RunConfig, *, progress: Progress = silent, say: Say = mute
) -> dict[str, Any]:
    """SFT and DPO on what `mine` wrote to the folder; gives the facts of the last stage.

    Raises:
        SetupError: the folder holds no pairs or those of another adapter than SFT's, settings or
            model cannot be used, or another process works there. The folder then keeps the settings
            that it had: later commands begin with them.
    """
    with store.working(parts.home_of(folder)):
        kept = folder / "config.yaml"
        before = kept.read_text(encoding="utf-8") if kept.is_file() else None
        try:
            return _train(folder, config, progress, say)
        except SetupError:
            if before is not None:
                store.write_text(kept, before)
            raise


def _train(folder: Path, config: RunConfig, progress: Progress, say: Say) -> dict[str, Any]:
    parts.check_pairs(folder)
    checks.check_bits(config)
    corpus = corpus_of(store.RunFolder(folder))
    # the pairs of the folder are what is trained on, whatever adapter comes before the pairs' stage
    pairs = frozenset({"mine", "answers resample"})
    job = replace(begin(folder, config, progress, say), keep=pairs)
    rows = rounds.rows_of(job)
    if not rows:
        return {"said": f"{folder}: no pairs, nothing to train", "steps": 0}
    sft = None
    if config.sft.enabled:
        sft = training.sft_stage(job, mining.accepted_rows(job))
        training.note_trained(sft, mining.trained_hashes(job, corpus))
    if config.rft.enabled:
        job.say(checks.NO_RFT)
    dpo = rounds.preference(job, rows, sft, mining.trained_hashes(job, corpus))
    if dpo is None or not dpo.facts["steps"]:
        why = rounds.untrained(dpo, "stages.json") or "dpo and kto are off"
        left = f"; SFT left {sft.path}" if sft is not None and sft.path is not None else ""
        return {"said": f"{folder}: the preference stage trained nothing: {why}{left}", "steps": 0}
    steps, trained = dpo.facts["steps"], dpo.facts["rows"]
    what = "labelled answer" if config.kto.enabled else "pair"
    said = f"{dpo.path}: {count_of(trained, what)}, {count_of(steps, 'step')}"
    return {"said": said, "steps": steps}


def evaluate(
    folder: Path,
    config: RunConfig,
    adapter: Path | None = None,
    *,
    progress: Progress = silent,
    say: Say = mute,
) -> dict[str, Any]:
    """Before and after on the held-out families of the folder; gives what scores.json holds.

    An adapter of SFT or of `rft` is measured under the name of its stage.

    Raises:
        SetupError: there is no adapter, or no scan; another process works there.
    """
    checks.check_alone("eval")
    with store.working(parts.home_of(folder)):
        return _evaluate(folder, config, adapter, progress=progress, say=say)


def _evaluate(
    folder: Path, config: RunConfig, adapter: Path | None, *, progress: Progress, say: Say
) -> dict[str, Any]:
    path = folder / "adapter" if adapter is None else adapter
    tuned = training.adapter_at(path)
    if tuned is None:
        raise InputError(
            f"{path}: holds no adapter_model.safetensors; train an adapter first, or give --adapter"
        )
    corpus = corpus_of(store.RunFolder(folder))
    ref = models.resolve(config.model)
    models.check_adapter(path, ref, models.unpacked(ref)[1])
    job = begin(folder, config, progress, say)
    split = mining.families(job, corpus)
    held = held_prompts(job, corpus, split)
    before = _before(folder, path)
    arms = [ArmSpec(name="base")]
    for name, stage in before.items():
        arms.extend(_arm(name, stage))
    name = _name(folder, tuned, before)
    control = training.adapter_at(folder / CONTROL)
    start = next(iter(before.values())).key if before else ""
    if name in PREFERENCE and control is not None and training.continued(folder / CONTROL) == start:
        arms.extend(_arm(CONTROL, control))
    arms.extend(_arm(name, tuned))
    scores = measure(job, corpus, held, arms, final=name)
    write_reports(job, measured=path)
    return scores


def _name(folder: Path, tuned: training.Adapter, before: Collection[str]) -> str:
    """The arm of an adapter: SFT, `rft`, the control, else the preference stage."""
    places = {"sft": folder / "sft", RFT: folder / RFT / "adapter", CONTROL: folder / CONTROL}
    for name, place in places.items():
        if name not in before and store.weights_digest(place) == tuned.key:
            return name
    stage = training.stage_of(tuned.path) if tuned.path is not None else ""
    if stage == "sft":  # from elsewhere
        return RFT if before else stage
    return "kto" if stage == "kto" else "dpo"


def _before(folder: Path, path: Path) -> dict[str, training.Adapter]:
    """What the rounds behind an adapter began with, latest first: `rft`, `sft`."""
    places = [(RFT, folder / RFT / "adapter"), ("sft", folder / "sft")]
    places += [("", each) for each in (folder / ROUNDS).glob("*/adapter")]
    known = {
        found.key: (name, found)
        for name, place in places
        if (found := training.adapter_at(place)) is not None
    }
    stages: dict[str, training.Adapter] = {}
    at: Path | None = path
    while at is not None and (key := training.continued(at)) in known:
        name, found = known.pop(key)
        stages |= {name: found} if name else {}
        at = found.path
    return stages


def _read(job: Job, paths: Sequence[Path]) -> tuple[mining_room.Corpus, mining_room.Split]:
    corpus = scan_stage(job, paths)
    return corpus, mining.families(job, corpus)


def _sft(job: Job, corpus: mining_room.Corpus, split: mining_room.Split) -> training.Adapter | None:
    if not job.config.sft.enabled:
        job.folder.forget(["sft rows", "train sft"])
        return None
    rows = mining.sft_rows(job, corpus, split)
    adapter = training.sft_stage(job, rows)
    training.note_trained(adapter, mining.trained_hashes(job, corpus))
    return adapter if adapter.path is not None else None


def _last(job: Job) -> str:
    """The name of the preference stage."""
    return "kto" if job.config.kto.enabled else "dpo"


def _arm(name: str, adapter: training.Adapter | None) -> list[ArmSpec]:
    if adapter is None or adapter.path is None:
        return []
    return [ArmSpec(name=name, adapter=adapter.path, adapter_key=adapter.key)]


def _nothing(job: Job, why: str) -> str:
    result = evaluation.nothing_to_train(why)
    store.write_json(job.folder / "scores.json", result.to_json())
    write_reports(job)
    return result.verdict
