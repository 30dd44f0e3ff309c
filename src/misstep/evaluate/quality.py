"""Loops and worth of every arm's answers: the sections `degeneration` and `gold` of scores.json.

In: held-out prompts, each arm's answers, the gold of those prompts that have any. Out: a `Quality`:
figures with their intervals, paired changes, and the answers on which the two rules about loops
disagree. All answers count, and the unit of every interval and test is the family: shares of greedy
answers get Wilson's interval and McNemar's test where no family has two of them, everything else a
bootstrap and sign flips over families. No time stands in it: equal answers, equal figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

from misstep.config import EvalConfig
from misstep.evaluate.compare import comparisons, stages_of
from misstep.evaluate.disagree import MOST_SHOWN, Disagreement, Kind, dealt, disagreeing, tallied
from misstep.evaluate.figures import one_way, weighted
from misstep.evaluate.held import CorpusLike, Held
from misstep.evaluate.marks import AnswersLike
from misstep.evaluate.measures import AGAINST_GOLD, LOOPS, UNIT, Measure
from misstep.evaluate.metrics import Bootstrap, Interval, mcnemar, sign_flip, single, wilson
from misstep.evaluate.seen import Seen, see
from misstep.types import Prompt

KINDS: tuple[Kind, ...] = ("greedy", "sampled")
_Counts = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number."""

    metric: str
    model: str
    answers: Kind
    value: float
    n: int
    """Answers that count."""
    k: int | None
    """Of these, those that say yes; None for a mean."""
    low: float
    high: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The change of a figure from one arm to another, family by family."""

    metric: str
    before: str
    after: str
    families: int
    better: int
    """Families that are better after; the `fixed` of a failure."""
    worse: int
    p: float
    """Exact McNemar for shares of one greedy answer a family, else sign flips; two-sided."""
    difference: float
    low: float
    high: float


@dataclass(slots=True, kw_only=True)
class Quality:
    """What stands in scores.json beside the failures."""

    degeneration: list[Figure] = field(default_factory=list)
    gold: list[Figure] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    disagreements: list[Disagreement] = field(default_factory=list)
    prompts: int = 0
    """Held-out prompts with gold."""

    def to_json(self) -> dict[str, Any]:
        """The sections, per `schemas/scores.json`."""
        loops = {measure.metric for measure in LOOPS}
        changes = [_arrow(change) for change in self.changes]
        said: dict[str, Any] = {
            "degeneration": {
                "scores": [asdict(figure) for figure in self.degeneration],
                "paired": [row for row in changes if row["metric"] in loops],
                "disagreeing": len(self.disagreements),
                "disagreeing_by": list(tallied(self.disagreements)),
                "disagreements": [
                    each.to_json()
                    for each in dealt(self.disagreements, MOST_SHOWN, lambda each: each.group)
                ],
            }
        }
        if self.prompts:
            said["gold"] = {
                "prompts": self.prompts,
                "scores": [asdict(figure) for figure in self.gold],
                "paired": [row for row in changes if row["metric"] not in loops],
            }
        return said


def _arrow(change: Change) -> dict[str, Any]:
    values = asdict(change)
    return {"from": values.pop("before"), "to": values.pop("after"), **values}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arm:
    """One model's answers by family, in the same order in every arm."""

    name: str
    greedy: tuple[tuple[Seen, ...], ...]
    """Family → the greedy answers to its prompts; none where none was drawn."""
    sampled: tuple[tuple[Seen, ...], ...]

    def of(self, kind: Kind) -> tuple[tuple[Seen, ...], ...]:
        return self.greedy if kind == "greedy" else self.sampled


def quality(
    corpus: CorpusLike,
    held: Sequence[Held],
    answers: Mapping[str, Mapping[Prompt, AnswersLike]],
    *,
    golds: Mapping[Prompt, str],
    settings: Any,
    config: EvalConfig,
    seed: int,
    final: str | None = None,
) -> Quality:
    """Measure every arm.

    Args:
        answers: arm → prompt → answers; a prompt that an arm lacks is left out of all.
        golds: what should have been answered, for the prompts of which that is known.
        settings: of the validators, from `validate.settings`.
        final: the arm that is judged, as in `compare.evaluate`.
    """
    asked = [h for h in held if all(h.prompt in given for given in answers.values())]
    ordered = sorted(asked, key=lambda each: each.family)
    stages = stages_of(answers, final)
    names = [*stages, *sorted(set(answers) - set(stages))]
    made = Quality(prompts=sum(each.prompt in golds for each in ordered))
    arms = []
    for name in names:
        rows = list(_looked(corpus, ordered, answers[name], golds, settings))
        made.disagreements += disagreeing(name, rows)
        arms.append(_arm(name, rows, ordered))
    families = len({each.family for each in ordered})
    draws = Bootstrap(families, resamples=config.resamples, confidence=config.confidence, seed=seed)
    for measures, into in ((LOOPS, made.degeneration), (AGAINST_GOLD, made.gold)):
        for arm in arms:
            into += _figures(arm, measures, draws, confidence=config.confidence, seed=seed)
    by_name = {arm.name: arm for arm in arms}
    for before, after in comparisons(names, final) if families else ():
        made.changes += _changes(by_name[before], by_name[after], draws, config.resamples)
    return made


_Row = tuple[Held, Kind, int, Seen]


def _looked(
    corpus: CorpusLike,
    held: Sequence[Held],
    answers: Mapping[Prompt, AnswersLike],
    golds: Mapping[Prompt, str],
    settings: Any,
) -> Iterator[_Row]:
    """Every answer of one arm, family by family."""
    for each in held:
        session, given = corpus.sessions[each.prompt.session], answers[each.prompt]
        gold = golds.get(each.prompt)
        kinds = (("greedy", [given.greedy] if given.greedy else []), ("sampled", given.sampled))
        for kind, messages in kinds:
            for index, message in enumerate(messages):
                seen = see(session, each.prompt, message, gold=gold, settings=settings)
                yield each, "greedy" if kind == "greedy" else "sampled", index, seen


def _arm(name: str, rows: Sequence[_Row], held: Sequence[Held]) -> _Arm:
    greedy: dict[str, list[Seen]] = {each.family: [] for each in held}
    sampled: dict[str, list[Seen]] = {each.family: [] for each in held}
    for each, kind, _, seen in rows:
        (greedy if kind == "greedy" else sampled)[each.family].append(seen)
    return _Arm(
        name=name,
        greedy=tuple(map(tuple, greedy.values())),
        sampled=tuple(map(tuple, sampled.values())),
    )


def _counted(families: Sequence[Sequence[Seen]], measure: Measure) -> _Counts:
    """Parts and wholes, one entry a family."""
    found = [[p for p in map(measure.take, seen) if p is not None] for seen in families]
    parts = tuple(sum(k for k, _ in pairs) for pairs in found)
    return parts, tuple(sum(n for _, n in pairs) for pairs in found)


def _figures(
    arm: _Arm, measures: Sequence[Measure], draws: Bootstrap, *, confidence: float, seed: int
) -> Iterator[Figure]:
    for kind in KINDS:
        families = arm.of(kind)
        for measure in measures:
            k, n = _counted(families, measure)
            if not sum(n):
                continue
            share = measure.kind == "share"
            counted = sum(measure.take(seen) is not None for f in families for seen in f)
            if share and kind == "greedy" and single(families):
                interval = wilson(sum(k), sum(n), confidence)
            else:
                interval = draws.spread(k, n) if measure.kind == "mean" else draws.ratio(k, n)
            yield Figure(
                metric=measure.metric,
                model=arm.name,
                answers=kind,
                value=sum(k) / sum(n),
                n=counted,
                k=sum(k) if share else None,
                low=interval.low,
                high=interval.high,
                seed=seed,
            )


def _changes(before: _Arm, after: _Arm, draws: Bootstrap, resamples: int) -> Iterator[Change]:
    kind: Kind = "greedy" if any(before.greedy) and any(after.greedy) else "sampled"
    one = single(before.greedy) and single(after.greedy)
    for measure in (*LOOPS, *AGAINST_GOLD):
        old, new = _counted(before.of(kind), measure), _counted(after.of(kind), measure)
        if not sum(old[1]) or not sum(new[1]):
            continue
        moved = weighted(old, new)
        up, down = sum(s > 0 for s in moved), sum(s < 0 for s in moved)
        better, worse = (up, down) if measure.better == "higher" else (down, up)
        exact = measure.kind == "share" and kind == "greedy" and one
        spread = draws.change if measure.kind == "mean" else draws.difference
        interval: Interval = spread(old, new)
        p = mcnemar(better, worse) if exact else sign_flip(_coarse(moved), resamples=resamples)
        difference = sum(new[0]) / sum(new[1]) - sum(old[0]) / sum(old[1])
        yield Change(
            metric=measure.metric,
            before=before.name,
            after=after.name,
            families=len(moved),
            better=better,
            worse=worse,
            p=one_way(p, moved, difference),
            difference=difference,
            low=interval.low,
            high=interval.high,
        )


def _coarse(moved: Sequence[Fraction]) -> list[int]:
    """Whole numbers: fractions of many lengths of text have no small common denominator."""
    return [round(step * UNIT) for step in moved]
