"""Figures counted by hand from made-up marks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep.evaluate.figures import (
    FAILED,
    GUARDS,
    Arm,
    clean_before,
    collateral,
    count,
    greedy_score,
    guard,
    of_code,
    paired,
    score,
)
from misstep.evaluate.marks import Mark
from misstep.evaluate.metrics import Bootstrap, mcnemar, wilson

CLEAN = Mark(
    judged=True,
    codes=frozenset(),
    called=True,
    demanded=True,
    same_tool=True,
    same_arguments=True,
    same_json=None,
    same_loop=None,
)
WRONG = replace(CLEAN, codes=frozenset({"WRONG_TYPE"}), same_arguments=False)
SILENT = replace(
    CLEAN, codes=frozenset({"NO_CALL"}), called=False, same_tool=False, same_arguments=False
)
UNJUDGED = replace(CLEAN, judged=False)
MARKS = {".": CLEAN, "w": WRONG, "s": SILENT, "u": UNJUDGED}
GUARD = {question.metric: question for question in GUARDS}


def arm(name: str, *families: str) -> Arm:
    """One word a family: a greedy mark and then the sampled ones, for one prompt."""
    marks = [[MARKS[c] for c in word] for word in families]
    return Arm(
        name=name,
        greedy=tuple((m[0],) for m in marks),
        sampled=tuple((tuple(m[1:]),) for m in marks),
        seed=42,
    )


def test_the_total_counts_failing_answers_among_judged_ones() -> None:
    got = score(arm("dpo", "w.ws", "..u."), FAILED, Bootstrap(2))
    assert got is not None
    assert (got.k, got.n, got.unjudged, got.seed) == (2, 5, 1, 42)
    assert got.value == 2 / 5
    assert (got.metric, got.model, got.code) == ("failure_rate", "dpo", None)


def test_a_code_counts_its_own_failures_among_all_judged_answers() -> None:
    got = score(arm("dpo", "w.ws", "..u."), of_code("NO_CALL"), Bootstrap(2))
    assert got is not None
    assert (got.k, got.n) == (1, 5)


def test_the_greedy_figure_has_one_answer_a_family_and_wilsons_interval() -> None:
    got = greedy_score(arm("dpo", "w.ws", "..u.", "s...", "u..."), FAILED, Bootstrap(4), 0.95)
    assert got is not None
    assert (got.metric, got.k, got.n, got.unjudged) == ("failure_rate_greedy", 2, 3, 1)
    assert (got.low, got.high) == (wilson(2, 3).low, wilson(2, 3).high)


def paged(name: str, *families: str) -> Arm:
    """One word a family: a greedy mark for each of its prompts, none sampled."""
    marks = tuple(tuple(MARKS[c] for c in word) for word in families)
    return Arm(name=name, greedy=marks, sampled=tuple(tuple((m,) for m in f) for f in marks))


def test_all_greedy_answers_of_a_family_count_and_the_family_is_drawn() -> None:
    arm = paged("dpo", "wwww", "....", "w.", "....")
    draws = Bootstrap(4)
    got = greedy_score(arm, FAILED, draws, 0.95)
    assert got is not None
    assert (got.k, got.n) == (5, 14)
    drawn = draws.ratio((4, 0, 1, 0), (4, 4, 2, 4))
    assert (got.low, got.high) == (drawn.low, drawn.high)
    assert got.high - got.low > wilson(5, 14).high - wilson(5, 14).low


def test_families_of_several_greedy_answers_are_flipped_whole() -> None:
    before = paged("sft", "wwwwwwww", "........", "w")
    after = paged("dpo", "........", "........", ".")
    got = paired(before, after, FAILED, Bootstrap(3), 1000)
    assert (got.greedy_fixed, got.greedy_broken) == (2, 0)
    assert got.greedy_p == got.p == 0.5  # of two families, not of nine pages
    alike = paged("sft", "w", "w", "."), paged("dpo", ".", ".", "w")
    one = paired(*alike, FAILED, Bootstrap(3), 1000)
    assert one.greedy_p == mcnemar(2, 1)


def test_where_nothing_counts_there_is_no_figure() -> None:
    assert score(arm("dpo", "uuu"), FAILED, Bootstrap(1)) is None
    assert score(arm("dpo", "..."), GUARD["json_agreement"], Bootstrap(1)) is None


def test_the_paired_change_counts_families_and_tests_both_ways() -> None:
    before = arm("sft", "www.", "ws..", ".ww.", ".w..", "....", "w...")
    after = arm("dpo", "w...", "....", "....", "....", ".w..", "....")
    got = paired(before, after, FAILED, Bootstrap(6), 1000)
    # failures a family before 2 1 2 1 0 0, after 0 0 0 0 1 0
    assert (got.fixed, got.broken) == (4, 1)
    assert got.difference == pytest.approx((1 - 6) / 18)
    # signs on -2 -1 -2 -1 +1: seen 5 of 7; only all equal (±7) and one 1 flipped (±5, 3 ways)
    assert got.p == pytest.approx(2 * (1 + 3) / 2**5)
    # greedy: w w . . . w → w . . . . .
    assert (got.greedy_fixed, got.greedy_broken, got.greedy_p) == (2, 0, 0.5)
    assert got.low < got.difference < got.high


def test_a_family_that_one_arm_left_unjudged_does_not_enter_the_test() -> None:
    before, after = arm("sft", "ww", "uu"), arm("dpo", "..", "ww")
    got = paired(before, after, FAILED, Bootstrap(2), 100)
    assert (got.fixed, got.broken, got.p) == (1, 0, 1.0)
    assert (got.greedy_fixed, got.greedy_broken) == (1, 0)


def test_a_guard_is_down_when_its_whole_interval_is() -> None:
    before = arm("sft", *["...."] * 20)
    after = arm("dpo", *["sss."] * 20)
    down = {
        metric: guard(before, after, question, Bootstrap(20)) for metric, question in GUARD.items()
    }
    assert [m for m, g in down.items() if g is not None and g.down] == [
        "no_call_rate",
        "call_rate",
        "tool_agreement",
        "argument_agreement",
    ]
    assert down["json_agreement"] is None


def test_a_guard_that_rises_is_not_down() -> None:
    got = guard(
        arm("sft", *["sss."] * 20), arm("dpo", *["...."] * 20), GUARD["call_rate"], Bootstrap(20)
    )
    assert got is not None
    assert not got.down
    assert (got.value_before, got.value_after) == (1 / 3, 1.0)


def test_collateral_looks_only_at_what_was_clean() -> None:
    before = arm("sft", "....", ".w..", "....")
    after = arm("dpo", ".w..", "www.", "....")
    flags = clean_before(before)
    assert flags == ((True,), (False,), (True,))
    got = collateral("clean-before", before, after, clean=flags, draws=Bootstrap(3))
    assert got is not None
    assert (got.prompts, got.k, got.n, got.k_before, got.n_before) == (2, 1, 6, 0, 6)


def test_nothing_clean_gives_no_collateral() -> None:
    before = arm("sft", "uuuu")
    assert clean_before(before) == ((False,),)
    assert (
        collateral("clean-before", before, before, clean=clean_before(before), draws=Bootstrap(1))
        is None
    )


def test_counting_skips_what_does_not_count() -> None:
    assert count(FAILED, [CLEAN, WRONG, UNJUDGED]) == (1, 2)
    assert count(GUARD["judged_rate"], [CLEAN, WRONG, UNJUDGED]) == (2, 3)


@given(st.lists(st.tuples(*[st.text("wsu.", min_size=2, max_size=5)] * 2), min_size=1, max_size=12))
def test_looking_backwards_mirrors_the_change_and_keeps_the_p(rows: list[tuple[str, str]]) -> None:
    before, after = arm("sft", *(a for a, _ in rows)), arm("dpo", *(b for _, b in rows))
    draws = Bootstrap(len(rows), resamples=200)
    forth = paired(before, after, FAILED, draws, 100)
    back = paired(after, before, FAILED, draws, 100)
    assert (forth.fixed, forth.broken) == (back.broken, back.fixed)
    assert (forth.p, forth.greedy_p) == (back.p, back.greedy_p)
    assert forth.difference == pytest.approx(-back.difference)
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))


@given(st.lists(st.text("wsu.", min_size=2, max_size=5), min_size=1, max_size=12))
def test_an_arm_against_itself_has_not_changed(words: list[str]) -> None:
    same = arm("dpo", *words)
    got = paired(same, same, FAILED, Bootstrap(len(words), resamples=100), 100)
    assert (got.fixed, got.broken, got.p, got.greedy_p, got.difference) == (0, 0, 1.0, 1.0, 0.0)
    assert got.low <= 0.0 <= got.high


def test_what_is_significant_in_the_families_must_be_what_the_rates_say() -> None:
    # twenty families that fail now; thirty that failed and cannot be judged: the rate falls
    before = arm("sft", *["...."] * 20, *["wwww"] * 30)
    after = arm("dpo", *["ww.."] * 20, *["uuuu"] * 30)
    got = paired(before, after, FAILED, Bootstrap(50, resamples=500), 1000)
    assert got.difference == pytest.approx(20 / 60 - 90 / 150)
    assert got.high < 0
    assert (got.fixed, got.broken) == (0, 20)
    assert got.p == 1.0
