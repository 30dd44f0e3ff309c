"""Geometry of the inline charts: plain numbers that the template writes into SVG.

In: before/after lines and training logs. Out: positions in percent of the chart's width, so that
a chart stretches without its text or dots being distorted, and polyline points in a 0–100 box.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile, zip_longest
from numbers import Real
from statistics import median

from misstep.report.tables import Change, Rate
from misstep.report.view import Training

_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25)
"""Distances between axis ticks that read well; at most five of them span the axis."""
_CURVES: Mapping[str, str] = {
    "loss": "loss",
    "rewards/accuracies": "reward accuracy",
    "rewards/margins": "reward margin",
    "logps/chosen": "log-prob. of chosen",
    "logps/rejected": "log-prob. of rejected",
    "mean_token_accuracy": "token accuracy",
}
"""Logged values worth a curve, by the names that TRL gives them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A scale from zero; `ticks` are (percent of the width, label)."""

    top: float
    ticks: tuple[tuple[float, str], ...]

    def at(self, value: float) -> float:
        """Position of a share in percent of the width."""
        return round(min(100.0, 100 * value / self.top), 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One logged value over the steps, drawn in a 100 × 100 box."""

    stage: str
    name: str
    points: str
    """SVG polyline points."""
    low: str
    high: str
    last: str
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The lengths of one side."""

    counts: tuple[int, ...]
    tall: tuple[float, ...]
    """Heights of the bars in percent of the tallest bar of both sides."""
    median: int
    high: int
    """The length that one in twenty reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Lengths of chosen and rejected sides, in characters."""

    chosen: Side
    rejected: Side
    wide: float
    """Width of a bar in percent."""
    ticks: tuple[tuple[float, str], ...]
    ranges: tuple[str, ...]
    """What each bar counts."""
    longer: float
    """Share of the pairs whose chosen side is the longer one."""


def axis(lines: Sequence[Change]) -> Axis:
    """The scale that holds every interval of the before/after lines."""
    rates: list[Rate] = [rate for line in lines for rate in (line.before, line.after)]
    return scale(rate.high for rate in rates)


def scale(values: Iterable[float]) -> Axis:
    """A scale from zero to at least the largest of some shares."""
    highest = max(values, default=1.0) or 1.0
    step = next((s for s in _STEPS if highest / s <= 5), 0.25)
    top = min(1.0, math.ceil(highest / step - 1e-9) * step)
    count = round(top / step)
    places = 0 if step >= 0.01 else 1
    ticks = ((100 * i / count, f"{100 * i * step:.{places}f} %") for i in range(count + 1))
    return Axis(top=top, ticks=tuple(ticks))


def curves(training: Sequence[Training]) -> Iterator[Curve]:
    """A curve for every known value that a stage logged at least twice."""
    for stage in training:
        for key, name in _CURVES.items():
            found = [
                (row.get("step", i), row[key])
                for i, row in enumerate(stage.log)
                if _finite(row.get(key)) and _finite(row.get("step", i))
            ]
            if len(found) > 1:
                yield _curve(stage.stage, name, [(float(x), float(y)) for x, y in found])


def lengths(pairs: Sequence[tuple[int, int]]) -> Lengths | None:
    """Histograms of the characters of chosen and rejected sides on one scale of magnitudes."""
    if not pairs:
        return None
    sides = tuple(zip(*pairs, strict=True))
    low, high = min(map(min, sides)), max(map(max, sides))
    whole = [0, *takewhile(lambda edge: edge <= high, _edges())]
    edges = whole[bisect_right(whole, low) - 1 :]
    counts = [[0] * len(edges) for _ in sides]
    for side, bins in zip(sides, counts, strict=True):
        for size in side:
            bins[bisect_right(edges, size) - 1] += 1
    most = max(max(bins) for bins in counts)
    wide = 100 / len(edges)
    return Lengths(
        chosen=_side(counts[0], sides[0], most),
        rejected=_side(counts[1], sides[1], most),
        wide=round(wide, 3),
        ticks=tuple(
            (round(wide * at, 2), f"{edge:,}")
            for at, edge in enumerate(edges)
            if at == 0 or str(edge).strip("0") in ("1", "3")
        ),
        ranges=tuple(
            f"{edge:,}–{end - 1:,}" if end else f"{edge:,} or more"
            for edge, end in zip_longest(edges, edges[1:])
        ),
        longer=round(sum(a > b for a, b in pairs) / len(pairs), 4),
    )


def _edges() -> Iterator[int]:
    """1, 2, 3, 5, 7, 10, 15, 20, 30 …: about six bins a factor of ten."""
    yield from (1, 2, 3, 5, 7)
    size = 10
    while True:
        yield from (size, size * 3 // 2, size * 2, size * 3, size * 5, size * 7)
        size *= 10


def _side(bins: Sequence[int], sizes: Sequence[int], most: int) -> Side:
    return Side(
        counts=tuple(bins),
        tall=tuple(round(100 * count / most, 2) for count in bins),
        median=int(median(sizes)),
        high=sorted(sizes)[-max(1, len(sizes) // 20)],
    )


def _finite(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _curve(stage: str, name: str, found: Sequence[tuple[float, float]]) -> Curve:
    xs, ys = [x for x, _ in found], [y for _, y in found]
    low, high = min(ys), max(ys)
    wide, tall = (xs[-1] - xs[0]) or 1.0, (high - low) or 1.0
    points = " ".join(
        f"{100 * (x - xs[0]) / wide:.2f},{100 - 100 * (y - low) / tall:.2f}" for x, y in found
    )
    return Curve(
        stage=stage,
        name=name,
        points=points,
        low=f"{low:.3g}",
        high=f"{high:.3g}",
        last=f"{ys[-1]:.3g}",
        steps=int(xs[-1]),
    )
