"""Geometry of the inline charts: plain numbers that the template writes into SVG.

In: before/after lines and training logs. Out: positions in percent of the chart's width, so that
a chart stretches without its text or dots being distorted, and polyline points in a 0–100 box.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

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
