"""Positions in the charts."""

from __future__ import annotations

import math

import pytest

from misstep.report import RunView, Training
from misstep.report.charts import axis, curves, lengths
from misstep.report.tables import changes


def test_the_axis_holds_the_highest_interval_and_ends_on_a_tick(run: RunView) -> None:
    scale = axis(changes(run.scores))
    assert scale.top == pytest.approx(0.5)
    assert scale.ticks[0] == (0.0, "0 %")
    assert scale.ticks[-1] == (100.0, "50 %")
    assert scale.at(0.25) == 50.0
    assert scale.at(0.9) == 100.0


def test_an_axis_without_lines_spans_everything() -> None:
    assert axis(()).top == 1.0


def test_a_curve_runs_from_corner_to_corner() -> None:
    log = [{"step": 10, "loss": 4.0}, {"step": 20, "loss": 2.0}, {"step": 30, "loss": 3.0}]
    (curve,) = curves([Training(stage="dpo", log=log)])
    assert curve.points == "0.00,0.00 50.00,100.00 100.00,50.00"
    assert (curve.low, curve.high, curve.last, curve.steps) == ("2", "4", "3", 30)


def test_values_that_are_no_numbers_and_single_values_draw_nothing() -> None:
    log = [{"step": 1, "loss": math.nan}, {"step": 2, "loss": None}, {"step": 3, "loss": 1.0}]
    assert list(curves([Training(stage="dpo", log=log)])) == []


def test_a_flat_curve_is_drawn() -> None:
    log = [{"step": i, "loss": 1.0} for i in range(3)]
    (curve,) = curves([Training(stage="sft", log=log)])
    assert curve.points == "0.00,100.00 50.00,100.00 100.00,100.00"


def test_lengths_are_counted_on_a_scale_of_magnitudes() -> None:
    found = lengths([(12, 40), (14, 45), (25, 1_000)])
    assert found is not None
    assert found.ranges[0] == "10–14"
    assert found.ranges[-1] == "1,000 or more"
    assert found.chosen.counts[:3] == (2, 0, 1)
    assert sum(found.rejected.counts) == 3
    assert max(*found.chosen.tall, *found.rejected.tall) == 100
    assert (found.chosen.median, found.rejected.median, found.longer) == (14, 45, 0)
    assert [tick for _, tick in found.ticks] == ["10", "30", "100", "300", "1,000"]


@pytest.mark.parametrize("pairs", [[(0, 0)], [(0, 1)], [(5, 5)], [(1, 10**7)]])
def test_any_lengths_have_a_histogram(pairs: list[tuple[int, int]]) -> None:
    found = lengths(pairs)
    assert found is not None
    assert sum(found.chosen.counts) == sum(found.rejected.counts) == 1
    assert len(found.ranges) == len(found.chosen.counts)


def test_without_pairs_there_is_no_histogram() -> None:
    assert lengths([]) is None
