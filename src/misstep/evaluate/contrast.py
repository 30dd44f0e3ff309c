"""Two samples of sessions set against each other: did one fail less than the other?

In: for each session how many steps were judged, how many failed, and by which codes. Out: rates
with intervals, their difference, and what sessions that both samples hold say. Nothing is
resampled, so millions of sessions take as long as adding them up.

Steps of one session are not independent, so a sample is worth fewer answers than it holds: its
effective size is that of independent steps with the same variance as the ratio of the sums over
sessions (`metrics.effective`).
Rates get Wilson's interval at that size, their difference the square-and-add interval of two Wilson
intervals (Newcombe 1998, method 10). Sessions that match are compared one to one by McNemar's exact
test. Sessions are taken for independent, which attempts at one task are not: where each side is
many attempts at few tasks of its own, the intervals are too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from misstep.evaluate.metrics import Interval, effective, mcnemar, wilson

Word = Literal["less", "more", "no difference shown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One session."""

    task: str
    """What it was asked, by content; empty where that is unknown."""
    judged: int
    failed: int
    codes: Mapping[str, int] = field(default_factory=dict)
    """Steps that failed by each code."""

    def count(self, code: str | None) -> int:
        """Steps that failed by `code`, or by any."""
        return self.failed if code is None else self.codes.get(code, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Failed of judged steps in one sample."""

    value: float
    n: int
    k: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Sessions with the same task in both samples."""

    sessions: int
    fixed: int
    """Failed in the first and not in the second."""
    broken: int
    p: float
    """Exact two-sided McNemar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One code, or the total (`code` is None), in both samples."""

    code: str | None
    first: Rate
    second: Rate
    difference: float
    """Second minus first."""
    low: float
    high: float
    word: Word
    """How the second fails, where the whole interval lies on one side of zero."""
    matched: Matched


def contrasts(
    first: Sequence[Tried], second: Sequence[Tried], *, confidence: float = 0.95
) -> list[Contrast]:
    """The total, then every code that either sample shows, the commonest first."""
    codes: dict[str, int] = {}
    for session in (*first, *second):
        for code, count in session.codes.items():
            codes[code] = codes.get(code, 0) + count
    ordered = sorted(codes, key=lambda code: (-codes[code], code))
    pairs = matches(first, second)
    return [
        _contrast(code, first, second, pairs=pairs, confidence=confidence)
        for code in (None, *ordered)
    ]


def matches(first: Iterable[Tried], second: Iterable[Tried]) -> list[tuple[Tried, Tried]]:
    """Judged sessions with the same task, one to one: the nth here with the nth there."""
    waiting: dict[str, list[Tried]] = {}
    for session in first:
        if session.task and session.judged:
            waiting.setdefault(session.task, []).append(session)
    found: list[tuple[Tried, Tried]] = []
    taken: dict[str, int] = {}
    for session in second:
        at = taken.get(session.task, 0)
        if session.judged and at < len(waiting.get(session.task, ())):
            taken[session.task] = at + 1
            found.append((waiting[session.task][at], session))
    return found


def _contrast(
    code: str | None,
    first: Sequence[Tried],
    second: Sequence[Tried],
    *,
    pairs: Sequence[tuple[Tried, Tried]],
    confidence: float,
) -> Contrast:
    a, b = rate(first, code, confidence), rate(second, code, confidence)
    interval = _difference(a, b) if a.n and b.n else Interval(-1.0, 1.0)
    fixed = sum(x.count(code) > 0 == y.count(code) for x, y in pairs)
    broken = sum(y.count(code) > 0 == x.count(code) for x, y in pairs)
    word: Word = "no difference shown"
    if interval.excludes_zero:
        word = "less" if interval.high < 0 else "more"
    return Contrast(
        code=code,
        first=a,
        second=b,
        difference=b.value - a.value,
        low=interval.low,
        high=interval.high,
        word=word,
        matched=Matched(sessions=len(pairs), fixed=fixed, broken=broken, p=mcnemar(fixed, broken)),
    )


def rate(sample: Sequence[Tried], code: str | None, confidence: float = 0.95) -> Rate:
    """Failed of judged steps; the whole of [0, 1] where none was judged."""
    judged = [session for session in sample if session.judged]
    n, k = sum(s.judged for s in judged), sum(s.count(code) for s in judged)
    value = k / n if n else 0.0
    counts = [s.count(code) for s in judged], [s.judged for s in judged]
    size = effective(*counts, confidence)
    interval = wilson(value * size, size, confidence) if size else Interval(0.0, 1.0)
    return Rate(value=value, n=n, k=k, low=interval.low, high=interval.high)


def _difference(a: Rate, b: Rate) -> Interval:
    apart = b.value - a.value
    low = apart - math.hypot(b.value - b.low, a.high - a.value)
    high = apart + math.hypot(b.high - b.value, a.value - a.low)
    return Interval(max(-1.0, low), min(1.0, high))
