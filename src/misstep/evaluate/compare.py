"""Before and after: every arm's answers to the same held-out prompts, judged, counted, decided.

In: a corpus, its held-out prompts (`held_out`) and each arm's answers. Out: an `Evaluation`.
Arms are `base`, `sft`, `dpo` (those that exist) and controls under other names. The last of the
three is the one that would ship; it is compared with the last arm before the preference stage.

How the number is made. Rates are over judged answers; an answer that no validator could judge
counts neither as clean nor as failed. Only codes that replaying one step can show are counted.
Intervals come from a bootstrap over families, their p from a sign-flip permutation over families;
greedy answers get Wilson's interval and McNemar's test instead where no family has two of them.

The verdict. `ship` if and only if all four hold:
  1. the total sampled failure rate of the final arm is below that of the arm before it, and the
     paired interval of the difference excludes zero;
  2. the permutation test over families gives p below 1 - confidence (0.05 unless configured);
  3. no guard is down beyond its interval: the rate of calls, of demanded calls that are made,
     of agreement with the accepted step (tools, arguments, JSON), and of answers that could be
     judged have not got worse with their whole interval;
  4. where a stage lies between the first arm and the final one, neither the total failure rate
     nor a guard (the rate of calls apart) is worse than in the first arm with its whole interval.
Otherwise `do-not-ship`, also where answers of one of the two arms alone could be judged;
`nothing-to-train` where there is no trained arm, no held-out prompt, or nothing to judge in either.
The reason ends with what rose all the same, codes (Holm's correction) and greedy answers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, pairwise
from typing import Any, Literal

from misstep.codes import CODES
from misstep.config import EvalConfig
from misstep.errors import StageError
from misstep.evaluate.figures import (
    FAILED,
    GUARDS,
    LOOPED,
    Arm,
    Collateral,
    Guard,
    Paired,
    clean_before,
    collateral,
    greedy_score,
    guard,
    of_code,
    paired,
    score,
)
from misstep.evaluate.held import CorpusLike, Held
from misstep.evaluate.marks import AnswersLike, Mark, mark
from misstep.evaluate.metrics import Bootstrap
from misstep.evaluate.verdict import Since, beside, blind, rule
from misstep.types import Prompt, Score

STAGES = ("base", "sft", "dpo", "kto")
"""Arms in the order of training; any other name is a control."""

Ruling = Literal["ship", "do-not-ship", "nothing-to-train"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The measured change, and what follows from it."""

    scores: tuple[Score, ...]
    paired: tuple[Paired, ...]
    guards: tuple[Guard, ...]
    collateral: tuple[Collateral, ...]
    verdict: Ruling
    why: str
    families: int = 0
    prompts: int = 0
    unanswered: int = 0
    """Held-out prompts that no arm answered, left out of every figure."""
    confidence: float = 0.95
    before: str | None = None
    """Arm that the verdict compares with."""
    after: str | None = None
    """Arm that the verdict is about."""

    def to_json(self) -> dict[str, Any]:
        """What `scores.json` holds, per `schemas/scores.json`."""
        return {
            "scores": [asdict(each) for each in self.scores],
            "paired": [_arrow(each) for each in self.paired],
            "guards": [_arrow(each) for each in self.guards],
            "collateral": [_arrow(each) for each in self.collateral],
            "verdict": self.verdict,
            "why": self.why,
            "families": self.families,
            "prompts": self.prompts,
            "unanswered": self.unanswered,
            "confidence": self.confidence,
            "before": self.before,
            "after": self.after,
        }


def _arrow(row: Paired | Guard | Collateral) -> dict[str, Any]:
    values = asdict(row)
    return {"from": values.pop("before"), "to": values.pop("after"), **values}


def nothing_to_train(why: str) -> Evaluation:
    """The evaluation of a run that trained nothing."""
    return Evaluation(
        scores=(), paired=(), guards=(), collateral=(), verdict="nothing-to-train", why=why
    )


def evaluate(
    corpus: CorpusLike,
    held: Sequence[Held],
    answers: Mapping[str, Mapping[Prompt, AnswersLike]],
    *,
    settings: Any,
    config: EvalConfig,
    seed: int,
    final: str | None = None,
) -> Evaluation:
    """Judge, count and decide.

    Args:
        answers: arm → prompt → answers. A prompt that no arm answered (too long for the model's
            window) is left out and counted in `unanswered`.
        settings: of the validators, from `validate.settings`.
        final: the arm that is judged; the last of `STAGES` without it.

    Raises:
        StageError: an arm lacks an answer to a prompt that another arm answered.
    """
    stages = stages_of(answers, final)
    if len(stages) < 2 or not held:
        missing = "no held-out prompt" if not held else "no trained model"
        return nothing_to_train(f"there is {missing} to compare with")
    asked = [each for each in held if any(each.prompt in given for given in answers.values())]
    if not asked:
        return nothing_to_train("no held-out prompt was answered")
    ordered = sorted(asked, key=lambda each: each.family)
    names = [*stages, *sorted(set(answers) - set(stages))]
    arms = {n: _arm(n, corpus, ordered, answers[n], settings=settings, seed=seed) for n in names}
    families = len({each.family for each in ordered})
    draws = Bootstrap(families, resamples=config.resamples, confidence=config.confidence, seed=seed)
    first, before, after = (arms[stages[at]] for at in (0, -2, -1))
    if not _judged(before) and not _judged(after):
        return nothing_to_train("no held-out answer could be judged")
    guards = tuple(_guards(before, after, draws))
    changes = tuple(_changes(arms, comparisons(names, final), draws, config.resamples))
    verdict, why = _ruled((first, before, after), guards, draws, config)
    ends = [row for row in changes if (row.before, row.after) == (before.name, after.name)]
    if ends:
        why += beside(ends[0], ends[1:], level=1 - config.confidence)
    return Evaluation(
        scores=tuple(_scores(arms, draws, config.confidence)),
        paired=changes,
        guards=guards,
        collateral=tuple(_collateral(before, after, ordered, draws)),
        verdict=verdict,
        why=why,
        families=families,
        prompts=len(ordered),
        unanswered=len(held) - len(ordered),
        confidence=config.confidence,
        before=before.name,
        after=after.name,
    )


def _ruled(
    arms: tuple[Arm, Arm, Arm], guards: Sequence[Guard], draws: Bootstrap, config: EvalConfig
) -> tuple[Ruling, str]:
    """The verdict on the last of the first arm, the one before and the one after."""
    first, before, after = arms
    if not _judged(before) or not _judged(after):
        return "do-not-ship", blind(before.name, after.name, (_judged(before), _judged(after)))
    tallies = before.tally(FAILED), after.tally(FAILED)
    both = sum(a > 0 < b for a, b in zip(*(each.n for each in tallies), strict=True))
    return rule(
        paired(before, after, FAILED, draws, config.resamples),
        guards,
        rates=(tallies[0].rate, tallies[1].rate),
        families=(both, len(after.sampled)),
        level=1 - config.confidence,
        since=None if first is before else _since(first, after, draws, config.resamples),
    )


def _since(first: Arm, after: Arm, draws: Bootstrap, resamples: int) -> Since | None:
    """The change from the first arm; None where it was not judged. To call less often can be what
    the stages were for: the other guards say whether calls that are due are made."""
    if not _judged(first):
        return None
    guards = _guards(first, after, draws)
    return Since(
        total=paired(first, after, FAILED, draws, resamples),
        rates=(first.tally(FAILED).rate, after.tally(FAILED).rate),
        guards=tuple(each for each in guards if each.metric != "call_rate"),
    )


def _judged(arm: Arm) -> int:
    return sum(arm.tally(FAILED).n)


def _arm(
    name: str,
    corpus: CorpusLike,
    held: Sequence[Held],
    answers: Mapping[Prompt, AnswersLike],
    *,
    settings: Any,
    seed: int,
) -> Arm:
    """Judge one arm; `held` is sorted by family."""
    missing = sum(each.prompt not in answers for each in held)
    if missing:
        raise StageError(
            f"the answers of {name} lack {missing} of {len(held)} held-out prompts; "
            f"remove them from the run folder and run again"
        )
    greedy, sampled = [], []
    for _, group in groupby(held, key=lambda each: each.family):
        prompts: list[tuple[Mark, ...]] = []
        firsts: list[Mark] = []
        for each in group:
            session, given = corpus.sessions[each.prompt.session], answers[each.prompt]
            first = given.greedy
            one = None if first is None else mark(session, each, first, settings=settings)
            more = tuple(mark(session, each, a, settings=settings) for a in given.sampled)
            alone = () if one is None else (one,)
            prompts.append(more or alone)
            firsts.extend(alone)
        greedy.append(tuple(firsts))
        sampled.append(tuple(prompts))
    return Arm(name=name, greedy=tuple(greedy), sampled=tuple(sampled), seed=seed)


def _codes(arms: Iterable[Arm]) -> list[str]:
    """Codes seen in any arm, in the order of the code table, a plug-in's own at the end."""
    seen: set[str] = set()
    for arm in arms:
        marks = [m for prompts in arm.sampled for marks in prompts for m in marks]
        for each in (*marks, *(m for firsts in arm.greedy for m in firsts)):
            seen |= each.codes
    order = list(CODES)
    return sorted(seen, key=lambda c: (order.index(c) if c in CODES else len(order), c))


def _scores(arms: Mapping[str, Arm], draws: Bootstrap, confidence: float) -> Iterator[Score]:
    failures = (FAILED, *map(of_code, _codes(arms.values())))
    for arm in arms.values():
        for question in (*failures, LOOPED, *GUARDS):
            if (found := score(arm, question, draws)) is not None:
                yield found
        for question in failures:
            if (found := greedy_score(arm, question, draws, confidence)) is not None:
                yield found


def _changes(
    arms: Mapping[str, Arm], pairs: Iterable[tuple[str, str]], draws: Bootstrap, resamples: int
) -> Iterator[Paired]:
    failures = (FAILED, *map(of_code, _codes(arms.values())))
    for before, after in pairs:
        if not _judged(arms[before]) or not _judged(arms[after]):
            continue  # no rate to compare with is no rate of zero
        for question in failures:
            yield paired(arms[before], arms[after], question, draws, resamples)


def stages_of(names: Collection[str], final: str | None = None) -> list[str]:
    """The arms that follow on one another; all others are controls."""
    stages = [name for name in STAGES if name in names and name != final]
    return [*stages, final] if final is not None else stages


def comparisons(names: Sequence[str], final: str | None = None) -> Iterator[tuple[str, str]]:
    """Each stage to the next, the first to the last, and every control to the last."""
    stages = stages_of(names, final)
    yield from pairwise(stages)
    if len(stages) > 2:
        yield stages[0], stages[-1]
    yield from ((name, stages[-1]) for name in names if name not in stages)


def _guards(before: Arm, after: Arm, draws: Bootstrap) -> Iterator[Guard]:
    for question in GUARDS:
        if (found := guard(before, after, question, draws)) is not None:
            yield found


def _collateral(
    before: Arm, after: Arm, held: Sequence[Held], draws: Bootstrap
) -> Iterator[Collateral]:
    logged = [
        [each.logged.state == "pass" for each in group]
        for _, group in groupby(held, key=lambda each: each.family)
    ]
    for found in (
        collateral("logged-clean", before, after, clean=logged, draws=draws),
        collateral("clean-before", before, after, clean=clean_before(before), draws=draws),
    ):
        if found is not None:
            yield found
