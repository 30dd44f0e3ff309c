"""Why nothing was paired, and what could help.

In: the counts of mining, and the answers that were sampled for it. Out: one sentence each, for
scores.json, the report and the plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from misstep import mine, validate
from misstep.mine import hard, kinds
from misstep.pipeline.job import Job
from misstep.types import Message, Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of answers that were sampled."""

    answers: int
    failed: int
    looped: int
    """Of those that failed."""


def tried(
    job: Job,
    known: mine.Corpus,
    split: mine.Split,
    answers: Mapping[Prompt, Sequence[Message]],
) -> Tried:
    """How many answers failed, and how many of these in a loop, as mining judges them."""
    desk = mine.Desk(
        corpus=known,
        split=split,
        config=job.config.mine,
        settings=validate.settings(job.config.validate),
        answers=answers,
    )
    failed = looped = 0
    for prompt, given in answers.items():
        demand = desk.demands_call(prompt)
        for answer in given:
            if desk.judge(prompt, answer, demand_call=demand)[1].state == "fail":
                failed += 1
                looped += kinds.kind_of(answer, hard.defects_of(desk, prompt, answer)) == "loops"
    return Tried(answers=sum(map(len, answers.values())), failed=failed, looped=looped)


def of_loops(facts: Mapping[str, Any], found: Tried, rejected: Sequence[str]) -> str:
    """Of sampled answers where `mine.rejected` leaves failures without a loop out."""
    return (
        f"of {found.answers} sampled answers {found.failed} failed and {found.looped} looped, none "
        f"of which made a pair to train on; mine.rejected is {', '.join(rejected)}"
        f"{_refused(facts)}; a higher sample.max_new_tokens or resample.temperature, more pages or "
        f"prompts, or `failures` in mine.rejected could help"
    )


def of_failures(facts: Mapping[str, Any]) -> str:
    """Of failures none of which was paired."""
    return (
        f"{facts['failed_steps']} steps failed but none has anything better to choose"
        f"{_refused(facts)}; --references with gold answers, logs "
        f"with several samples of a task (sibling) or with retries, or resampling with a model "
        f"that sometimes succeeds could help"
    )


def _refused(facts: Mapping[str, Any]) -> str:
    refused = ", ".join(f"{code} {n}" for code, n in sorted(facts["refused"].items()))
    return f" (refused: {refused})" if refused else ""
