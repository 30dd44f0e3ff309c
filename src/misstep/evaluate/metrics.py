"""Intervals and tests for failure counts, pure arithmetic on whole numbers.

In: counts. Out: an `Interval` or a p-value. Nothing here knows what a failure is.
The unit that is drawn, flipped or counted is the family, because the answers of one family are
not independent. One answer per family: `wilson` and `mcnemar`. Several: `Bootstrap`, `sign_flip`.
Several tests at once: `holm`.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist

import polars as pl

_CHUNK = 500_000
"""Family draws held as Python integers at a time."""
_EXACT_BITS = 10**10
"""Bit operations up to which `sign_flip` enumerates; about half a second."""
_Side = tuple[Sequence[int], Sequence[int]]
"""(k, n), each with one entry per family."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided confidence interval, in the unit of the measured value."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


def wilson(k: float, n: float, confidence: float = 0.95) -> Interval:
    """Wilson's score interval (1927) of the share k/n; the whole of [0, 1] for n = 0.

    Chosen over Clopper-Pearson because its mean coverage is nearer to nominal for small n
    (Brown, Cai and DasGupta 2001).
    """
    if n == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = k / n
    centre = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if k == 0 else max(0.0, (centre - spread) / scale)
    high = 1.0 if k == n else min(1.0, (centre + spread) / scale)
    return Interval(low, high)


def student(df: int, confidence: float = 0.95) -> float:
    """Two-sided quantile of Student's t: exact for one and two degrees of freedom, else the
    expansion of Abramowitz and Stegun 26.7.5, within 1 % of it."""
    tail = (1 - confidence) / 2
    if df == 1:
        return 1 / math.tan(math.pi * tail)
    if df == 2:
        return (1 - 2 * tail) / math.sqrt(2 * tail * (1 - tail))
    z = NormalDist().inv_cdf(1 - tail)
    y = z * z
    terms = (
        (y + 1) / 4,
        ((5 * y + 16) * y + 3) / 96,
        (((3 * y + 19) * y + 17) * y - 15) / 384,
        ((((79 * y + 776) * y + 1482) * y - 1920) * y - 945) / 92160,
    )
    return z * (1 + sum(term / float(df) ** (i + 1) for i, term in enumerate(terms)))


def effective(k: Sequence[int], n: Sequence[int], confidence: float = 0.95) -> float:
    """Independent answers that say as much about sum(k) / sum(n) as these families; 0 of none.

    The linearised variance of a ratio over clusters (Cochran 1977, 6.3), each residual over 1 less
    its family's share of the answers (the jackknife's correction for a long one that the ratio
    follows); made smaller for a variance that few families estimate (Korn and Graubard 1998), but
    not below what it would be if all answers of a family were equal. The number of families where
    they show no variance to go by.
    """
    rows = [(a, b) for a, b in zip(k, n, strict=True) if b]
    failed, total, families = sum(k), sum(b for _, b in rows), len(rows)
    if families < 2 or failed in (0, total):
        return families
    value = failed / total
    spread = sum(((a - value * b) / (1 - b / total)) ** 2 for a, b in rows)
    if not spread:
        return families
    spread *= (families - 1) / families / total**2
    few = (student(total - 1, confidence) / student(families - 1, confidence)) ** 2
    alike = total**2 / sum(b * b for _, b in rows)
    return max(alike, few * min(total, value * (1 - value) / spread))


def holm(ps: Sequence[float]) -> list[float]:
    """Each p corrected for there being many (Holm 1979), in the order given."""
    found = [0.0] * len(ps)
    most = 0.0
    for rank, at in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        most = max(most, min(1.0, (len(ps) - rank) * ps[at]))
        found[at] = most
    return found


def single(families: Sequence[Sequence[object]]) -> bool:
    """Whether no family has more than one answer: whether Wilson and McNemar may be asked."""
    return all(len(answers) <= 1 for answers in families)


def mcnemar(fixed: int, broken: int) -> float:
    """Exact two-sided McNemar p: twice the smaller binomial tail of the discordant pairs."""
    n = fixed + broken
    tail = sum(math.comb(n, i) for i in range(min(fixed, broken) + 1))
    return min(1.0, float(Fraction(2 * tail, 2**n)))


def sign_flip(
    differences: Sequence[Fraction | int], *, resamples: int = 10_000, seed: int = 0
) -> float:
    """Two-sided p of a paired permutation test: each family's sign is a fair coin.

    Args:
        differences: one number per family, after minus before.
        resamples: draws where counting every sign pattern would take too long; then the p is
            (hits + 1) / (resamples + 1), so that it is never zero (Phipson and Smyth 2010).

    All 2^m patterns of the m families that differ are counted exactly as long as their common
    denominator stays small, which whole counts of a few answers per family always do.
    """
    scale = math.lcm(*(Fraction(d).denominator for d in differences))
    whole = [int(d * scale) for d in differences if d != 0]
    unit = math.gcd(*whole)  # the smaller the numbers, the more families can be enumerated
    sizes = [abs(d) // unit for d in whole]
    seen = abs(sum(whole)) // unit if whole else 0
    if seen == 0:
        return 1.0
    if sum(sizes) * (len(sizes) + 1) * len(sizes) > _EXACT_BITS:
        return _sign_flip_drawn(sizes, seen, resamples, seed)
    return _sign_flip_exact(sizes, seen)


def _sign_flip_exact(sizes: Sequence[int], seen: int) -> float:
    """Counts subsets by their sum as the coefficients of prod(1 + x^size), with x = 2^width."""
    width = len(sizes) + 1  # bits; no coefficient can spill into the next
    polynomial = 1
    for size in sizes:
        polynomial += polynomial << (size * width)
    # sum(+-size) = 2 * subset - total: |.| >= seen is subset >= (total + seen) / 2, or its mirror
    tail = polynomial >> ((sum(sizes) + seen) // 2 * width)
    count = tail % ((1 << width) - 1)  # the sum of the digits in base 2^width
    return min(1.0, float(Fraction(2 * count, 2 ** len(sizes))))


def _sign_flip_drawn(sizes: Sequence[int], seen: int, resamples: int, seed: int) -> float:
    draw = random.Random(seed)
    total = sum(sizes)
    kinds = Counter(sizes).items()
    hits = 0
    for _ in range(resamples):
        up = sum(size * draw.getrandbits(count).bit_count() for size, count in kinds)
        hits += abs(2 * up - total) >= seen
    return (hits + 1) / (resamples + 1)


class Bootstrap:
    """Percentile intervals from families drawn with replacement (cluster bootstrap).

    One table of draws serves every arm and code, so paired differences stay paired. A count is a
    sequence with one entry per family: failing answers, or judged answers.
    Percentiles alone are too narrow where families are few or failures rare: five families can
    only be drawn so many ways, and one failure in a hundred has no draw above three. So an interval
    also covers the one of the linearised variance: a share's by Wilson at the effective number of
    answers, all others' by Student's t over families. Where all families agree no draw differs, and
    a width of zero would promise too much: Wilson's interval over families stands in.
    """

    def __init__(
        self, families: int, *, resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
    ) -> None:
        self._families = families
        self._confidence = confidence
        self._chunks = tuple(_draws(families, resamples, seed)) if families else ()
        self._sums: dict[tuple[int, ...], pl.Series] = {}

    def ratio(self, k: Sequence[int], n: Sequence[int]) -> Interval:
        """Interval of sum(k) / sum(n)."""
        size = effective(k, n, self._confidence)
        least = wilson(_share(sum(k), sum(n)) * size, size, self._confidence)
        return _hull(self._percentiles(self._rates(k, n)), least)

    def difference(self, before: _Side, after: _Side) -> Interval:
        """Interval of the rate after minus the rate before; each side is (k, n)."""
        value = _share(sum(after[0]), sum(after[1])) - _share(sum(before[0]), sum(before[1]))
        found = self._percentiles(self._rates(*after) - self._rates(*before))
        if found is not None and found.low < found.high:
            found = _hull(found, self._about(value, after, before))
        else:
            families = sum(1 for a, b in zip(before[1], after[1], strict=True) if a and b)
            spread = wilson(0, families, self._confidence).high
            found = Interval(value - spread, value + spread)
        return Interval(max(-1.0, found.low), min(1.0, found.high))

    def spread(self, k: Sequence[int], n: Sequence[int]) -> Interval:
        """Interval of sum(k) / sum(n) of any size; the value itself where all families agree."""
        value = sum(k) / sum(n) if sum(n) else 0.0
        found = _hull(self._percentiles(self._rates(k, n)), self._about(value, (k, n)))
        return Interval(max(0.0, found.low), found.high) if value >= 0 else found

    def change(self, before: _Side, after: _Side) -> Interval:
        """Interval of the figure after minus the figure before, of any size; each is (k, n)."""
        found = self._percentiles(self._rates(*after) - self._rates(*before))
        value = sum(after[0]) / sum(after[1]) - sum(before[0]) / sum(before[1])
        return _hull(found, self._about(value, after, before))

    def _about(self, value: float, side: _Side, less: _Side | None = None) -> Interval:
        """Student's t about a ratio, or about one less another, by what each family adds to it."""
        adds = _influence(*side)
        took = _influence(*less) if less is not None else [0.0] * len(adds)
        seen = zip(side[1], less[1] if less is not None else side[1], strict=True)
        families = sum(1 for a, b in seen if a or b)
        if families < 2:
            return Interval(value, value)
        squares = sum((a - b) ** 2 for a, b in zip(adds, took, strict=True))
        error = math.sqrt(squares * families / (families - 1))
        half = student(families - 1, self._confidence) * error
        return Interval(value - half, value + half)

    def _rates(self, k: Sequence[int], n: Sequence[int]) -> pl.Series:
        return self._sum(tuple(k)) / self._sum(tuple(n))

    def _sum(self, counts: tuple[int, ...]) -> pl.Series:
        """Sum of the counts of each draw's families; shape (resamples,)."""
        if counts not in self._sums:
            column = pl.Series(counts, dtype=pl.Int64)
            shape = (-1, self._families)
            parts = [column.gather(each).reshape(shape).arr.sum() for each in self._chunks]
            self._sums[counts] = pl.concat(parts) if parts else pl.Series(dtype=pl.Int64)
        return self._sums[counts]

    def _percentiles(self, values: pl.Series) -> Interval | None:
        known = values.filter(values.is_finite())
        low = known.quantile((1 - self._confidence) / 2, "linear")
        high = known.quantile((1 + self._confidence) / 2, "linear")
        return None if low is None or high is None else Interval(low, high)


def _draws(families: int, resamples: int, seed: int) -> Iterator[pl.Series]:
    """Family indices, `families` per draw; from `random`, whose stream is fixed by its docs."""
    draw = random.Random(seed)
    most = max(1, _CHUNK // families)
    for start in range(0, resamples, most):
        rows = min(most, resamples - start)
        yield pl.Series(draw.choices(range(families), k=rows * families), dtype=pl.UInt32)


def _influence(k: Sequence[int], n: Sequence[int]) -> list[float]:
    """What each family adds to sum(k) / sum(n) beyond an average one of its size."""
    total = sum(n)
    value = sum(k) / total if total else 0.0
    return [(a - value * b) / total if total else 0.0 for a, b in zip(k, n, strict=True)]


def _hull(found: Interval | None, least: Interval) -> Interval:
    """The smallest interval that holds both."""
    if found is None:
        return least
    return Interval(min(found.low, least.low), max(found.high, least.high))


def _share(k: int, n: int) -> float:
    return k / n if n else 0.0
