"""The rule, one sentence at a time."""

from __future__ import annotations

from dataclasses import replace

from misstep.evaluate.figures import Guard, Paired
from misstep.evaluate.verdict import Since, beside, rule, spell_p

FALL = Paired(
    before="sft",
    after="dpo",
    code=None,
    fixed=30,
    broken=5,
    p=0.00003,
    difference=-0.2,
    low=-0.27,
    high=-0.13,
    greedy_fixed=20,
    greedy_broken=3,
    greedy_p=0.0005,
)
HOLDS = Guard(
    metric="call_rate",
    before="sft",
    after="dpo",
    n=400,
    value_before=0.97,
    value_after=0.8,
    difference=-0.17,
    low=-0.22,
    high=-0.12,
    down=False,
)
MEASURED = (
    "total failure rate 45.0 % → 25.0 % from sft to dpo (−20.0 points, interval −27.0 to −13.0, "
    "p < 0.0001, 141 families)"
)


def decide(total: Paired, *guards: Guard) -> tuple[str, str]:
    return rule(total, guards, rates=(0.45, 0.25), families=(141, 141), level=0.05)


def test_a_clear_fall_with_guards_that_hold_ships() -> None:
    assert decide(FALL, HOLDS) == ("ship", f"{MEASURED}; no guard is down")


def test_a_guard_that_is_down_does_not_ship() -> None:
    assert decide(FALL, replace(HOLDS, down=True)) == (
        "do-not-ship",
        f"{MEASURED}; guard down: answers that call a tool 97.0 % → 80.0 % "
        "(interval −22.0 to −12.0 points)",
    )


def test_a_fall_within_its_interval_does_not_ship() -> None:
    verdict, why = decide(replace(FALL, high=0.01))
    assert verdict == "do-not-ship"
    assert why.endswith(
        "; the fall is within its interval: more held-out families would be needed to tell"
    )


def test_a_fall_that_the_permutation_test_does_not_confirm_does_not_ship() -> None:
    verdict, why = decide(replace(FALL, p=0.06))
    assert verdict == "do-not-ship"
    assert why.endswith("p = 0.06, 141 families); the permutation test does not reach p < 0.05")


def test_a_rise_does_not_ship() -> None:
    verdict, why = decide(replace(FALL, difference=0.1, low=0.05, high=0.15))
    assert (verdict, why.rpartition("; ")[2]) == ("do-not-ship", "failures did not fall")


def test_p_is_spelled_with_two_digits() -> None:
    assert [spell_p(p) for p in (0.00001, 0.0312, 1.0)] == ["p < 0.0001", "p = 0.031", "p = 1"]


def test_families_without_a_judged_answer_are_not_counted_as_evidence() -> None:
    _, why = rule(FALL, (), rates=(0.45, 0.25), families=(10, 141), level=0.05)
    assert "p < 0.0001, 10 of 141 families judged)" in why


def test_better_than_sft_and_worse_than_the_base_does_not_ship() -> None:
    rise = replace(FALL, before="base", difference=0.15, low=0.08, high=0.22)
    down = replace(HOLDS, metric="tool_agreement", before="base", down=True)
    verdict, why = rule(
        FALL,
        (HOLDS,),
        rates=(0.45, 0.25),
        families=(141, 141),
        level=0.05,
        since=Since(total=rise, rates=(0.1, 0.25), guards=(HOLDS, down)),
    )
    assert (verdict, why.partition("; ")[2]) == (
        "do-not-ship",
        "worse than base: 10.0 % → 25.0 % from base to dpo (+15.0 points, interval +8.0 to +22.0, "
        "p < 0.0001); guard down since base: agreement with the accepted tools 97.0 % → 80.0 % "
        "(interval −22.0 to −12.0 points)",
    )
    near = replace(rise, low=-0.01)
    since = Since(total=near, rates=(0.1, 0.25), guards=(HOLDS,))
    assert rule(
        FALL, (HOLDS,), rates=(0.45, 0.25), families=(141, 141), level=0.05, since=since
    ) == ("ship", f"{MEASURED}; no guard is down")


def test_a_code_that_rose_under_a_falling_total_is_named_and_decides_nothing() -> None:
    rose = replace(FALL, code="ENUM", difference=0.1, low=0.05, high=0.15, p=0.001)
    slight = replace(rose, code="RANGE", p=0.02)  # 0.04 of two tests, and 0.05 is the level
    assert beside(FALL, [rose], level=0.05) == (
        "; ENUM rose +10.0 points (interval +5.0 to +15.0, p = 0.001 corrected for 1 code)"
    )
    assert "RANGE" in beside(FALL, [rose, slight], level=0.05)
    many = [rose, slight, *(replace(FALL, code=f"C{i}", p=0.5) for i in range(3))]
    assert "RANGE" not in beside(FALL, many, level=0.05)
    absent = replace(rose, code="FORMAT", difference=0.0, low=0.0, fixed=0, broken=0, p=1.0)
    assert "corrected for 1 code" in beside(FALL, [rose, absent], level=0.05)
    assert beside(FALL, [replace(rose, low=-0.01)], level=0.05) == ""
    assert beside(FALL, [replace(FALL, code="ENUM")], level=0.05) == ""


def test_greedy_answers_that_got_worse_are_named() -> None:
    worse = replace(FALL, greedy_fixed=1, greedy_broken=12, greedy_p=0.0034)
    assert beside(worse, [], level=0.05) == (
        "; greedy answers fail more often in 12 families and less often in 1 (p = 0.0034)"
    )
    assert beside(replace(worse, greedy_p=0.2), [], level=0.05) == ""
    assert beside(replace(worse, difference=0.1), [], level=0.05) == ""
