"""Measuring: every arm answers the held-out prompts, the validators judge, scores.json is written.

In: a corpus, its split, the arms with their adapters. Out: `heldout.parquet`, `answers/*.parquet`,
`scores.json`. Prompts that an adapter was trained on are refused (`LeakError`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from misstep import evaluate, mine, models, store, validate
from misstep.errors import LeakError
from misstep.pipeline.answers import Ask, ask
from misstep.pipeline.golds import golds_of
from misstep.pipeline.job import Job
from misstep.pipeline.timing import write_timing
from misstep.types import Prompt

TRAINED = "trained_prompts.json"
"""Beside an adapter: content hashes of the prompts that it was trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSpec:
    """One model to measure."""

    name: str
    """`base`, `sft`, `dpo`, or the name of a control."""
    adapter: Path | None = None
    adapter_key: str = ""


def held_prompts(job: Job, corpus: mine.Corpus, split: mine.Split) -> tuple[evaluate.Held, ...]:
    """The held-out prompts of the run, written to `heldout.parquet` with their logged verdicts."""
    held = evaluate.held_out(corpus, split, job.config.eval)
    golds = golds_of(corpus, held, job.config)
    rows = [
        {
            "session": each.prompt.session,
            "step": each.prompt.step,
            "family": each.family,
            "hash": each.hash,
            "demand_call": each.demand_call,
            "logged": each.logged.state,
            "codes": ",".join(each.logged.codes),
            "gold": golds.get(each.prompt),
        }
        for each in held
    ]
    store.write_rows(
        job.folder / "heldout.parquet", rows, columns=("session", "family", "hash", "logged")
    )
    return held


def measure(
    job: Job,
    corpus: mine.Corpus,
    held: Sequence[evaluate.Held],
    arms: Sequence[ArmSpec],
    *,
    final: str | None = None,
) -> dict[str, Any]:
    """Sample every arm, judge, and write `scores.json`; gives what it holds.

    Args:
        final: the arm that is judged; the last stage without it.

    Raises:
        LeakError: a held-out prompt was trained on.
    """
    for arm in arms:
        _refuse_leak(job, held, arm)
    answers = _shared(job, {arm.name: _answers(job, corpus, held, arm) for arm in arms})
    how: dict[str, Any] = {
        "settings": validate.settings(job.config.validate),
        "config": job.config.eval,
        "seed": job.config.seed,
        "final": final,
    }
    result = evaluate.evaluate(corpus, held, answers, **how)
    golds = golds_of(corpus, held, job.config)
    measured = evaluate.quality(corpus, held, answers, golds=golds, **how)
    write_timing(job, corpus, [arm.name for arm in arms])
    keys = {arm.name: arm.adapter_key for arm in arms}
    adapter = keys.get(result.after or "") or None
    scores = {**result.to_json(), **measured.to_json(), "adapter": adapter}
    scores = evaluate.with_effect(scores, corpus, held)
    store.write_json(job.folder / "scores.json", scores)
    return scores


def _shared(
    job: Job, answers: Mapping[str, Mapping[Prompt, evaluate.ArmAnswers]]
) -> dict[str, dict[Prompt, evaluate.ArmAnswers]]:
    """The answers to prompts that every arm has answered: arms are compared on the same ones."""
    noted = [job.folder.noted(f"answers {arm}") for arm in answers]
    if not any(facts.get("lost", 0) for facts in noted):
        return {arm: dict(given) for arm, given in answers.items()}
    shared = set.intersection(*(set(given) for given in answers.values()))
    asked = max(facts.get("prompts", 0) + facts.get("lost", 0) for facts in noted)
    job.say(
        f"{len(shared)} held-out prompts are compared, those that every arm has answered; "
        f"{asked - len(shared)} are not among the answers of an arm"
    )
    return {arm: {p: each[p] for p in each if p in shared} for arm, each in answers.items()}


def _answers(
    job: Job, corpus: mine.Corpus, held: Sequence[evaluate.Held], arm: ArmSpec
) -> Mapping[Any, evaluate.ArmAnswers]:
    return ask(
        job,
        corpus.sessions,
        Ask(
            stage=arm.name,
            model=job.config.model,
            adapter=arm.adapter,
            adapter_key=arm.adapter_key,
            prompts=tuple(each.prompt for each in held),
            greedy=True,
            num_generations=job.config.eval.num_generations,
            sample=job.config.sample,
            seed=job.config.seed,
        ),
    )


def _refuse_leak(job: Job, held: Sequence[evaluate.Held], arm: ArmSpec) -> None:
    if arm.adapter is None:
        return
    path = arm.adapter / TRAINED
    if path.exists():
        evaluate.check_leak([each.hash for each in held], store.read_json(path)["prompts"])
    elif (arm.adapter / models.ADAPTER_NOTE).exists():
        raise LeakError(
            f"{path}: missing, so it cannot be told whether the held-out prompts were trained on; "
            f"run the training command again, it writes the file"
        )
    else:
        job.say(
            f"{arm.adapter}: not trained by misstep; whether it has seen the prompts is unknown"
        )
