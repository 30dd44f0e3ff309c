"""What an adapter is worth: failures by misstep's validators, and what the questions call right.

In: questions with answers. Out: `Measured`: counts by family, from which rates with intervals
(families drawn) and paired comparisons (sign flips over families) are made by `evaluate.metrics`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from parts import lab_model
from parts.lab_questions import Question, failures

from misstep.evaluate.metrics import Bootstrap, sign_flip, wilson
from misstep.types import Message

TEMPERATURES = (0.7, 1.0)
RESAMPLES = 4_000


@dataclass(frozen=True, slots=True)
class Counts:
    """Yes-answers and answers, one entry per family in the order of their names."""

    k: tuple[int, ...]
    n: tuple[int, ...]

    @property
    def rate(self) -> float:
        """Share of all answers."""
        return sum(self.k) / sum(self.n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One arm at one temperature."""

    families: tuple[str, ...]
    failed: Counts
    correct: Counts
    codes: dict[str, int]
    """Failing answers by code; an answer may fail by several."""
    fields: Counts | None = None
    """Fields of the right answers that the answers have, where right answers have fields."""


def measure(given: Iterable[tuple[Question, Sequence[Message]]]) -> Measured:
    """Judge the answers."""
    failed: dict[str, list[bool]] = {}
    right: dict[str, list[bool]] = {}
    fields: dict[str, list[tuple[int, int]]] = {}
    codes: Counter[str] = Counter()
    for question, some in given:
        for answer in some:
            found = failures(question, answer)
            codes.update(found)
            failed.setdefault(question.family, []).append(bool(found))
            right.setdefault(question.family, []).append(question.is_right(answer))
            had = question.fields(answer)
            if had is not None:
                fields.setdefault(question.family, []).append(had)
    names = tuple(sorted(failed))
    return Measured(
        families=names,
        failed=_counts(failed, names),
        correct=_counts(right, names),
        codes=dict(codes.most_common()),
        fields=_summed(fields, names) if fields else None,
    )


def _counts(flags: dict[str, list[bool]], names: Sequence[str]) -> Counts:
    return Counts(
        tuple(sum(flags[name]) for name in names), tuple(len(flags[name]) for name in names)
    )


def _summed(pairs: dict[str, list[tuple[int, int]]], names: Sequence[str]) -> Counts:
    sums = [tuple(map(sum, zip(*pairs[name], strict=True))) for name in names]
    return Counts(tuple(k for k, _ in sums), tuple(n for _, n in sums))


def together(seeds: Sequence[Measured]) -> Measured:
    """Several measurements of the same families as one: seeds of an arm, or temperatures."""
    first = seeds[0]
    fields = [each.fields for each in seeds if each.fields is not None]
    codes: Counter[str] = Counter()
    for each in seeds:
        codes.update(each.codes)
    return Measured(
        families=first.families,
        failed=_added([each.failed for each in seeds]),
        correct=_added([each.correct for each in seeds]),
        codes=dict(codes.most_common()),
        fields=_added(fields) if len(fields) == len(seeds) else None,
    )


def _added(counts: Sequence[Counts]) -> Counts:
    return Counts(
        tuple(map(sum, zip(*(each.k for each in counts), strict=True))),
        tuple(map(sum, zip(*(each.n for each in counts), strict=True))),
    )


def of_adapter(
    questions: Sequence[Question], adapter: Path | None, count: int
) -> dict[float, Measured]:
    """An adapter (or the bare model) at both temperatures, `count` answers a question."""
    return {
        t: measure(lab_model.answers(questions, adapter, temperature=t, count=count))
        for t in TEMPERATURES
    }


def told(measured: Measured) -> dict[str, Any]:
    """Rates with intervals, as results hold them."""
    draws = Bootstrap(len(measured.families), resamples=RESAMPLES)
    fields = {} if measured.fields is None else {"fields": _rate(measured.fields, draws)}
    return {
        "n": sum(measured.failed.n),
        "families": len(measured.families),
        "failed": _rate(measured.failed, draws),
        "correct": _rate(measured.correct, draws),
        **fields,
        "codes": measured.codes,
    }


def all_told(found: Mapping[float, Measured]) -> dict[str, Any]:
    """`told` of each temperature, and of `both`."""
    return {str(t): told(one) for t, one in _with_both(found).items()}


def by_family(found: Mapping[float, Measured]) -> dict[str, dict[str, str]]:
    """Yes-answers of each family in the order of their names, in one text.

    With these in the results seeds can be pooled where their answers are no longer kept.
    """
    return {
        str(t): {
            name: " ".join(map(str, counts.k))
            for name, counts in (("failed", one.failed), ("correct", one.correct))
        }
        for t, one in found.items()
    }


def remembered(
    row: Mapping[str, Any], questions: Iterable[Question], count: int
) -> dict[float, Measured]:
    """What a row of the results measured, from its counts by family (`by_family`).

    Args:
        questions: those that were asked, `count` times each.
    """
    asked = Counter(question.family for question in questions)
    names = tuple(sorted(asked))
    n = tuple(asked[name] * count for name in names)
    read: dict[float, Measured] = {}
    for t, one in row["by_family"].items():
        k = {name: tuple(map(int, text.split())) for name, text in one.items()}
        if any(len(each) != len(n) for each in k.values()):
            raise ValueError(f"{row['arm']}: the results are of other questions")
        read[float(t)] = Measured(
            families=names,
            failed=Counts(k["failed"], n),
            correct=Counts(k["correct"], n),
            codes=dict(row["at"][t]["codes"]),
        )
    return read


def _with_both(found: Mapping[float, Measured]) -> dict[float | str, Measured]:
    return {**found, "both": together(list(found.values()))}


def _rate(counts: Counts, draws: Bootstrap) -> dict[str, Any]:
    k, n = sum(counts.k), sum(counts.n)
    by_family, plain = draws.ratio(counts.k, counts.n), wilson(k, n)
    return {
        "k": k,
        "rate": round(counts.rate, 4),
        "interval": [round(by_family.low, 4), round(by_family.high, 4)],
        "wilson": [round(plain.low, 4), round(plain.high, 4)],
    }


def paired(before: Measured, after: Measured) -> dict[str, Any]:
    """The change from one arm to another on the same questions."""
    out: dict[str, Any] = {}
    both = {
        "failed": (before.failed, after.failed),
        "correct": (before.correct, after.correct),
        "fields": (before.fields, after.fields),
    }
    draws = Bootstrap(len(before.families), resamples=RESAMPLES)
    for name, (old, new) in both.items():
        if old is None or new is None:
            continue
        interval = draws.difference((old.k, old.n), (new.k, new.n))
        flips = [
            Fraction(k2, n2) - Fraction(k1, n1)
            for k1, n1, k2, n2 in zip(old.k, old.n, new.k, new.n, strict=True)
        ]
        out[name] = {
            "difference": round(new.rate - old.rate, 4),
            "interval": [round(interval.low, 4), round(interval.high, 4)],
            "p": float(f"{sign_flip(flips):.2g}"),
        }
    if before.failed.rate:
        out["fewer_failures"] = round(1 - after.failed.rate / before.failed.rate, 4)
    return out


def all_paired(before: Mapping[float, Measured], after: Mapping[float, Measured]) -> dict[str, Any]:
    """`paired` of each temperature, and of `both`."""
    old, new = _with_both(before), _with_both(after)
    return {str(t): paired(old[t], new[t]) for t in new}
