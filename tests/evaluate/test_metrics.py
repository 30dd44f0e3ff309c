"""Every statistic against numbers worked by hand, and against brute force."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misstep.evaluate import metrics
from misstep.evaluate.metrics import (
    Bootstrap,
    Interval,
    effective,
    holm,
    mcnemar,
    sign_flip,
    student,
    wilson,
)

counts = st.integers(min_value=0, max_value=40)
rates = st.fractions(min_value=-1, max_value=1, max_denominator=6)


def test_wilson_of_five_in_ten_is_the_textbook_interval() -> None:
    # centre 0.5, spread (1.96 * sqrt(0.025 + 0.0096036)) / 1.38415 = 0.26341
    got = wilson(5, 10)
    assert got.low == pytest.approx(0.23659, abs=1e-5)
    assert got.high == pytest.approx(0.76341, abs=1e-5)


def test_wilson_of_none_in_ten_ends_at_z_squared_over_n_plus_z_squared() -> None:
    assert wilson(0, 10).low == 0.0
    assert wilson(0, 10).high == pytest.approx(3.841459 / 13.841459, abs=1e-6)


def test_wilson_of_nothing_promises_nothing() -> None:
    assert wilson(0, 0) == Interval(0.0, 1.0)


@given(k=counts, more=counts)
def test_wilson_holds_the_share_and_mirrors(k: int, more: int) -> None:
    n = k + more
    got, mirrored = wilson(k, n), wilson(more, n)
    assert 0.0 <= got.low <= (k / n if n else 0.0) <= got.high <= 1.0
    assert mirrored.low == pytest.approx(1 - got.high)


@pytest.mark.parametrize(
    ("fixed", "broken", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),  # 2 * 1/2
        (6, 0, 2 / 64),
        (8, 1, 2 * (1 + 9) / 512),
        (1, 8, 2 * (1 + 9) / 512),
        (5, 5, 1.0),  # twice the tail is above one
        (10, 3, 2 * (1 + 13 + 78 + 286) / 8192),
    ],
)
def test_mcnemar_is_twice_the_binomial_tail(fixed: int, broken: int, p: float) -> None:
    assert mcnemar(fixed, broken) == pytest.approx(p)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([], 1.0),
        ([0, 0], 1.0),
        ([1, 1, 1], 2 / 8),  # +++ and ---
        ([2, 1], 2 / 4),  # sums 3 1 -1 -3, seen 3
        ([3, -1], 1.0),  # sums 4 2 -2 -4, seen 2
        ([Fraction(2, 3), Fraction(1, 3), Fraction(1, 3)], 2 / 8),  # as 2 1 1: sums 4 2 2 0 …
        ([1, 1, 1, -1], 10 / 16),  # seen 2: 4 twice, ±2 four times each
        ([Fraction(1, 2), Fraction(1, 3)], 2 / 4),  # as 3 2: seen 5
    ],
)
def test_sign_flip_counts_the_patterns(differences: list[Fraction | int], p: float) -> None:
    assert sign_flip(differences) == pytest.approx(p)


def brute(differences: Sequence[Fraction]) -> float:
    seen = abs(sum(differences))
    patterns = list(itertools.product((1, -1), repeat=len(differences)))
    hits = sum(
        abs(sum(s * d for s, d in zip(signs, differences, strict=True))) >= seen
        for signs in patterns
    )
    return hits / len(patterns)


def test_the_unit_of_the_changes_is_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_sign_flip_drawn", None)
    changes = [3, -1, 2, 2, 1] * 30
    assert sign_flip([each * 1_000_000 for each in changes]) == sign_flip(changes)


@settings(deadline=None)  # the brute force is slow on a busy machine
@given(st.lists(rates, max_size=9))
def test_sign_flip_equals_enumeration_by_hand(differences: list[Fraction]) -> None:
    assert sign_flip(differences) == pytest.approx(brute(differences))


@given(fixed=counts, broken=counts)
def test_sign_flip_of_whole_steps_is_mcnemar(fixed: int, broken: int) -> None:
    assert sign_flip([1] * fixed + [-1] * broken) == pytest.approx(mcnemar(fixed, broken))


def test_drawn_signs_come_near_to_the_exact_p(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(7)
    differences = [Fraction(draw.choice([-2, -1, -1, 0, 1]), 3) for _ in range(60)]
    exact = sign_flip(differences)
    monkeypatch.setattr(metrics, "_EXACT_BITS", 0)
    drawn = sign_flip(differences, resamples=20_000, seed=1)
    assert drawn == pytest.approx(exact, abs=0.005)
    assert drawn == sign_flip(differences, resamples=20_000, seed=1)


def test_a_drawn_p_is_never_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_EXACT_BITS", 0)
    assert sign_flip([1] * 60, resamples=99) == 1 / 100


def test_two_families_give_the_three_possible_rates() -> None:
    # draws: 00 01 10 11, so rates 0, 1/2, 1/2, 1: the 2.5 and 97.5 percentiles are the ends
    assert Bootstrap(2, seed=3).ratio((0, 1), (1, 1)) == Interval(0.0, 1.0)


@pytest.mark.parametrize(
    ("df", "confidence", "t"),  # from a printed table
    [
        (1, 0.95, 12.7062),
        (2, 0.95, 4.3027),
        (3, 0.95, 3.1824),
        (5, 0.95, 2.5706),
        (30, 0.95, 2.0423),
        (1, 0.99, 63.6567),
        (4, 0.99, 4.6041),
        (4, 0.9, 2.1318),
    ],
)
def test_students_quantile_is_that_of_the_tables(df: int, confidence: float, t: float) -> None:
    assert student(df, confidence) == pytest.approx(t, rel=0.01)


def test_the_effective_number_of_answers() -> None:
    assert effective((0, 1, 0, 1), (1, 1, 1, 1)) == pytest.approx(4)  # independent ones
    assert effective((3, 0, 3, 0), (3, 3, 3, 3)) == pytest.approx(4)  # families all alike inside
    assert effective((1, 2, 1, 2) * 50, (3, 3, 3, 3) * 50) == pytest.approx(600, rel=0.02)
    assert effective((1, 2), (3, 3)) == 2  # six at most, and a variance of one degree of freedom
    assert effective((0, 0, 0), (3, 3, 0)) == 2
    assert effective((), ()) == 0
    assert effective((0,), (0,)) == 0


@given(st.lists(st.tuples(counts, counts), max_size=8))
def test_there_are_no_more_effective_answers_than_answers(rows: list[tuple[int, int]]) -> None:
    n = [a + b for a, b in rows]
    assert 0 <= effective([a for a, _ in rows], n) <= sum(n) + 1e-9


def test_two_families_that_nearly_agree_do_not_promise_two_points() -> None:
    # both percentiles would be those of 5 and 6 of 50, whatever a third family may do
    got = Bootstrap(2).ratio((5, 6), (50, 50))
    assert got.low < 0.03
    assert got.high > 0.3
    moved = Bootstrap(2).difference(((20, 20), (50, 50)), ((5, 6), (50, 50)))
    assert moved.low < -0.4
    assert moved.high > -0.2


def test_one_failure_in_a_hundred_has_no_lower_end_than_none() -> None:
    n = (1,) * 100
    none, one = (Bootstrap(100).ratio((failed, *(0,) * 99), n) for failed in (0, 1))
    assert one.high == pytest.approx(wilson(1, 100).high)
    assert none.high < one.high


def test_a_change_of_few_families_gets_the_interval_of_student() -> None:
    # changes of -3 -3 -1 of 3: mean -7/9, standard deviation sqrt(4/27), t of 2 degrees 4.3027
    got = Bootstrap(3).difference(((3, 3, 3), (3, 3, 3)), ((0, 0, 2), (3, 3, 3)))
    half = 4.3027 * (4 / 27) ** 0.5 / 3**0.5
    assert got.low == -1.0
    assert got.high == pytest.approx(-7 / 9 + half, abs=1e-3)


def test_means_of_few_families_get_the_interval_of_student_too() -> None:
    got = Bootstrap(2).spread((10, 14), (1, 1))
    assert got == Interval(0.0, pytest.approx(12 + 12.7062 * 2, abs=1e-2))
    moved = Bootstrap(2).change(((10, 14), (1, 1)), ((11, 16), (1, 1)))
    assert (moved.low, moved.high) == (
        pytest.approx(1.5 - 12.7062 * 0.5, abs=1e-2),
        pytest.approx(1.5 + 12.7062 * 0.5, abs=1e-2),
    )
    assert Bootstrap(1).spread((10,), (1,)) == Interval(10.0, 10.0)
    assert Bootstrap(2).change(((10, 0), (1, 0)), ((7, 0), (1, 0))) == Interval(-3.0, -3.0)


def test_holm_corrects_by_the_number_of_tests_that_are_left() -> None:
    assert holm([]) == []
    # 3 * 0.01, 2 * 0.02, and the last one no smaller than that
    assert holm([0.02, 0.01, 0.03]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_the_bootstrap_equals_a_plain_loop_over_the_same_draws() -> None:
    k, n = (0, 1, 2, 3, 0) * 20, (3, 3, 2, 3, 3) * 20
    draw = random.Random(11)
    drawn = draw.choices(range(100), k=100 * 1000)
    means = []
    for start in range(0, 100_000, 100):
        chosen = drawn[start : start + 100]
        means.append(sum(k[i] for i in chosen) / sum(n[i] for i in chosen))
    means.sort()
    draws = Bootstrap(100, resamples=1000, seed=11)
    # linear interpolation at 0.025 * 999 = 24.975 and 0.975 * 999 = 974.025
    low = means[24] + 0.975 * (means[25] - means[24])
    high = means[974] + 0.025 * (means[975] - means[974])
    size = effective(k, n)
    least = wilson(sum(k) / sum(n) * size, size)
    got = draws.ratio(k, n)
    assert got.low == pytest.approx(min(low, least.low))
    assert got.high == pytest.approx(max(high, least.high))


def test_chunks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    k, n = (0, 1, 2, 3, 0), (3, 3, 3, 3, 3)
    whole = Bootstrap(5, resamples=300, seed=2).ratio(k, n)
    monkeypatch.setattr(metrics, "_CHUNK", 35)
    assert Bootstrap(5, resamples=300, seed=2).ratio(k, n) == whole


def test_a_paired_difference_of_equal_arms_is_not_certain_to_be_zero() -> None:
    side = ((0, 1, 0, 2), (3, 3, 3, 3))
    got = Bootstrap(4).difference(side, side)
    assert got == Interval(-wilson(0, 4).high, wilson(0, 4).high)


def test_families_that_all_agree_get_wilson_over_families() -> None:
    assert Bootstrap(10).ratio((0,) * 10, (3,) * 10) == wilson(0, 10)
    assert Bootstrap(10).ratio((3,) * 10, (3,) * 10) == wilson(10, 10)


def test_no_family_at_all_promises_nothing() -> None:
    assert Bootstrap(0).ratio((), ()) == Interval(0.0, 1.0)
    assert Bootstrap(3).ratio((0, 0, 0), (0, 0, 0)) == Interval(0.0, 1.0)


@given(st.lists(st.tuples(counts, counts), min_size=1, max_size=8), st.integers(0, 9))
def test_an_interval_is_ordered_in_range_and_repeatable(
    rows: list[tuple[int, int]], seed: int
) -> None:
    k, n = tuple(a for a, _ in rows), tuple(a + b for a, b in rows)
    got = Bootstrap(len(rows), resamples=200, seed=seed).ratio(k, n)
    assert 0.0 <= got.low <= got.high <= 1.0
    assert got == Bootstrap(len(rows), resamples=200, seed=seed).ratio(k, n)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # families differ (rate 0.1 or 0.5, mean 0.3) and are not independent inside
    draw, hits = random.Random(5), 0
    for trial in range(200):
        chances = [draw.choice((0.1, 0.5)) for _ in range(40)]
        k = tuple(sum(draw.random() < p for _ in range(4)) for p in chances)
        got = Bootstrap(40, resamples=400, seed=trial).ratio(k, (4,) * 40)
        hits += got.low <= 0.3 <= got.high
    assert 0.92 <= hits / 200 <= 0.99


@pytest.mark.parametrize(("families", "rate"), [(2, 0.3), (5, 0.3), (12, 0.1)])
def test_the_interval_of_few_families_covers_the_truth_too(families: int, rate: float) -> None:
    # the percentiles alone cover it in 76, 80 and 88 of 100
    draw, hits = random.Random(6), 0
    for trial in range(200):
        chances = [draw.betavariate(4 * rate, 4 - 4 * rate) for _ in range(families)]
        k = tuple(sum(draw.random() < p for _ in range(3)) for p in chances)
        got = Bootstrap(families, resamples=200, seed=trial).ratio(k, (3,) * families)
        hits += got.low <= rate <= got.high
    assert hits / 200 >= 0.93


def test_ten_thousand_draws_of_150_families_and_three_arms_take_under_three_seconds() -> None:
    draw = random.Random(1)
    arms = [tuple(draw.choice((0, 0, 1, 2, 3)) for _ in range(150)) for _ in range(3)]
    n = (3,) * 150
    started = time.process_time()
    draws = Bootstrap(150)
    for k in arms:
        draws.ratio(k, n)
    draws.difference((arms[0], n), (arms[1], n))
    assert time.process_time() - started < 3.0


def test_an_interval_knows_whether_it_excludes_zero() -> None:
    assert Interval(0.1, 0.2).excludes_zero
    assert Interval(-0.2, -0.1).excludes_zero
    assert not Interval(-0.1, 0.1).excludes_zero
