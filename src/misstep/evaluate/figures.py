"""Counts by family, and the figures made from them: scores, paired changes, guards, collateral.

In: the marks of each arm, laid out by family. Out: frozen rows for `scores.json`.
A `Question` asks one thing of a mark; every figure is the share of the answers that say yes among
those for which the question arises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from misstep.evaluate.marks import Mark
from misstep.evaluate.metrics import Bootstrap, Interval, mcnemar, sign_flip, single, wilson
from misstep.types import Score

Flags = Sequence[Sequence[bool]]
"""Family → prompt → in or out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One thing to count."""

    metric: str
    ask: Callable[[Mark], bool | None]
    """True or False, or None where this answer does not count."""
    code: str | None = None
    better: Literal["lower", "higher"] = "lower"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """The change of one failure rate from one arm to another, on identical prompts."""

    before: str
    after: str
    code: str | None
    fixed: int
    """Families that fail less often after."""
    broken: int
    """Families that fail more often after."""
    p: float
    """Two-sided, sign-flip permutation over families, weighted by answers; of sampled answers. 1
    where the families that were judged on both sides moved the other way than the rates."""
    difference: float
    """Sampled rate after minus before, in [-1, 1]."""
    low: float
    high: float
    greedy_fixed: int
    """Families whose greedy answers fail less often after."""
    greedy_broken: int
    greedy_p: float
    """Of the greedy answers: exact two-sided McNemar, or sign flips where a family has several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A rate that must not get worse while failures fall."""

    metric: str
    before: str
    after: str
    n: int
    """Answers of the arm after for which the question arises."""
    value_before: float
    value_after: float
    difference: float
    low: float
    high: float
    down: bool
    """The whole interval of the difference lies on the worse side of zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """What was clean and fails now."""

    kind: Literal["logged-clean", "clean-before"]
    """Prompts whose logged step was clean, or all of whose answers before were clean."""
    before: str
    after: str
    prompts: int
    n: int
    """Judged sampled answers after, to these prompts."""
    k: int
    """Of these, failing."""
    value: float
    low: float
    high: float
    n_before: int
    k_before: int


FAILED = Question(metric="failure_rate", ask=lambda m: m.failed if m.judged else None)
GUARDS = (
    Question(metric="no_call_rate", ask=lambda m: "NO_CALL" in m.codes if m.demanded else None),
    Question(metric="call_rate", ask=lambda m: m.called, better="higher"),
    Question(metric="tool_agreement", ask=lambda m: m.same_tool, better="higher"),
    Question(metric="argument_agreement", ask=lambda m: m.same_arguments, better="higher"),
    Question(metric="json_agreement", ask=lambda m: m.same_json, better="higher"),
    Question(metric="judged_rate", ask=lambda m: m.judged, better="higher"),
)
LOOPED = Question(metric="loop_call_repeated", ask=lambda m: m.same_loop)


def of_code(code: str) -> Question:
    """The failure rate of one code, among all judged answers."""
    return Question(
        metric="failure_rate", code=code, ask=lambda m: code in m.codes if m.judged else None
    )


@dataclass(frozen=True, slots=True)
class Tally:
    """Yes-answers and answers that count, one entry per family."""

    k: tuple[int, ...]
    n: tuple[int, ...]

    @property
    def rate(self) -> float:
        return sum(self.k) / sum(self.n) if sum(self.n) else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One model's marks by family; families and prompts are in the same order in every arm."""

    name: str
    greedy: tuple[tuple[Mark, ...], ...]
    """Family → the greedy answers to its prompts; none where none was drawn."""
    sampled: tuple[tuple[tuple[Mark, ...], ...], ...]
    """Family → prompt → sampled answers; the greedy one where none was sampled."""
    seed: int = 0

    @property
    def answers(self) -> int:
        """Sampled answers, judged or not."""
        return sum(len(marks) for prompts in self.sampled for marks in prompts)

    def tally(self, question: Question, only: Flags | None = None) -> Tally:
        """Counts by family; `only` picks prompts, family → prompt → in or out."""
        counts = []
        for i, prompts in enumerate(self.sampled):
            flags = only[i] if only is not None else (True,) * len(prompts)
            kept = (m for marks, flag in zip(prompts, flags, strict=True) if flag for m in marks)
            counts.append(count(question, kept))
        return Tally(tuple(k for k, _ in counts), tuple(n for _, n in counts))

    def greedy_tally(self, question: Question) -> Tally:
        """Counts of the greedy answers by family."""
        counts = [count(question, marks) for marks in self.greedy]
        return Tally(tuple(k for k, _ in counts), tuple(n for _, n in counts))


def count(question: Question, marks: Iterable[Mark]) -> tuple[int, int]:
    """(yes, counted) over some marks."""
    said = [answer for answer in map(question.ask, marks) if answer is not None]
    return sum(said), len(said)


def score(arm: Arm, question: Question, draws: Bootstrap) -> Score | None:
    """The sampled figure with its bootstrap interval; None where nothing counts."""
    tally = arm.tally(question)
    counts = (sum(tally.k), sum(tally.n))
    return _score(arm, question, counts, arm.answers, draws.ratio(tally.k, tally.n))


def greedy_score(arm: Arm, question: Question, draws: Bootstrap, confidence: float) -> Score | None:
    """The figure of the greedy answers; Wilson's interval where no family has two of them."""
    tally = arm.greedy_tally(question)
    k, n = sum(tally.k), sum(tally.n)
    one = single(arm.greedy)
    interval = wilson(k, n, confidence) if one else draws.ratio(tally.k, tally.n)
    greedy = Question(metric=f"{question.metric}_greedy", ask=question.ask, code=question.code)
    return _score(arm, greedy, (k, n), sum(map(len, arm.greedy)), interval)


def _score(
    arm: Arm, question: Question, counts: tuple[int, int], answers: int, interval: Interval
) -> Score | None:
    k, n = counts
    if n == 0:
        return None
    return Score(
        metric=question.metric,
        model=arm.name,
        code=question.code,
        value=k / n,
        n=n,
        k=k,
        low=interval.low,
        high=interval.high,
        unjudged=answers - n if question.metric.startswith("failure_rate") else 0,
        seed=arm.seed,
    )


def paired(before: Arm, after: Arm, question: Question, draws: Bootstrap, resamples: int) -> Paired:
    """The change between two arms, family by family."""
    old, new = before.tally(question), after.tally(question)
    interval = draws.difference((old.k, old.n), (new.k, new.n))
    difference = new.rate - old.rate
    steps = _differences(old, new)
    p = sign_flip(steps, resamples=resamples, seed=after.seed)
    greedy = before.greedy_tally(question), after.greedy_tally(question)
    turned = _differences(*greedy)
    fixed, broken = sum(step < 0 for step in turned), sum(step > 0 for step in turned)
    one = single(before.greedy) and single(after.greedy)
    return Paired(
        before=before.name,
        after=after.name,
        code=question.code,
        fixed=sum(step < 0 for step in steps),
        broken=sum(step > 0 for step in steps),
        p=one_way(p, steps, difference),
        difference=difference,
        low=interval.low,
        high=interval.high,
        greedy_fixed=fixed,
        greedy_broken=broken,
        greedy_p=mcnemar(fixed, broken)
        if one
        else sign_flip(turned, resamples=resamples, seed=after.seed),
    )


def _differences(old: Tally, new: Tally) -> list[Fraction]:
    return weighted((old.k, old.n), (new.k, new.n))


def weighted(
    old: tuple[Sequence[int], Sequence[int]], new: tuple[Sequence[int], Sequence[int]]
) -> list[Fraction]:
    """Change of each family that has answers on both sides, each side (k, n), weighted by them.

    The weight is the harmonic mean of its answers before and after. So the sum, which is what a
    test flips, says what the rate of all answers says: were every family's change to count the
    same, many small families could speak for one direction and the reported rate for the other.
    """
    rows = zip(*old, *new, strict=True)
    return [Fraction(2 * (c * b - a * d), b + d) for a, b, c, d in rows if b and d]


def one_way(p: float, steps: Iterable[Fraction], difference: float) -> float:
    """The p of a test over families, 1 where they moved the other way than the reported figure.

    A family that is judged on one side alone moves the figure and not the test; so does one with
    many answers on one side. What is then significant is not what is reported.
    """
    return 1.0 if sum(steps) * Fraction(difference) < 0 else p


def guard(before: Arm, after: Arm, question: Question, draws: Bootstrap) -> Guard | None:
    """One guard; None where the question arises for no answer of one of the arms."""
    old, new = before.tally(question), after.tally(question)
    if not sum(old.n) or not sum(new.n):
        return None
    interval = draws.difference((old.k, old.n), (new.k, new.n))
    return Guard(
        metric=question.metric,
        before=before.name,
        after=after.name,
        n=sum(new.n),
        value_before=old.rate,
        value_after=new.rate,
        difference=new.rate - old.rate,
        low=interval.low,
        high=interval.high,
        down=interval.high < 0 if question.better == "higher" else interval.low > 0,
    )


def collateral(
    kind: Literal["logged-clean", "clean-before"],
    before: Arm,
    after: Arm,
    *,
    clean: Flags,
    draws: Bootstrap,
) -> Collateral | None:
    """Failures among the prompts that were clean; None where there are none."""
    old, new = before.tally(FAILED, clean), after.tally(FAILED, clean)
    if not sum(new.n):
        return None
    interval = draws.ratio(new.k, new.n)
    return Collateral(
        kind=kind,
        before=before.name,
        after=after.name,
        prompts=sum(map(sum, clean)),
        n=sum(new.n),
        k=sum(new.k),
        value=new.rate,
        low=interval.low,
        high=interval.high,
        n_before=sum(old.n),
        k_before=sum(old.k),
    )


def clean_before(arm: Arm) -> Flags:
    """Prompts at which every sampled answer of the arm was judged and none failed."""
    return tuple(
        tuple(bool(marks) and all(m.judged and not m.failed for m in marks) for marks in prompts)
        for prompts in arm.sampled
    )
