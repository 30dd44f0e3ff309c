"""Recoveries: the prompt keeps the error; of a loop only the step at which it was knowable."""

from __future__ import annotations

from dataclasses import replace

import pytest

from misstep.types import Outcome
from scenes import TRAIN_ONLY, called, calls_of, corpus, mined, result, said, session, user

RECOVERY = replace(TRAIN_ONLY, sources=("recovery",))
ASK = user("What is the weather in Oslo, in Bergen and in Rome for 3 days?")
WRONG = called("weather", {"town": "Oslo"})
RIGHT = called("weather", {"city": "Oslo"}, "The key is city.")
ERROR = result("city is required", error=True)
GOOD = result("sunny", error=False)


def found(*rows, **more):
    return mined(session(*rows, **more), config=RECOVERY)


def test_the_step_that_got_it_right_stands_against_the_failed_call_made_again():
    (pair,) = found(ASK, WRONG, ERROR, RIGHT, GOOD).pairs
    assert pair.prompt.step == 3
    assert calls_of(pair.rejected) == calls_of(session(ASK, WRONG).messages[1])
    assert (calls_of(pair.chosen), pair.chosen.text) == (
        [("weather", '{"city": "Oslo"}')],
        "The key is city.",
    )
    assert pair.edits == ("repeat",)
    assert pair.codes == ("MISSING_REQUIRED", "TOOL_ERROR", "UNEXPECTED_ARG")


def test_a_second_try_that_failed_too_stands_on_its_own_prompt():
    again = called("weather", {"place": "Oslo"})
    pairs = found(ASK, WRONG, ERROR, again, ERROR, RIGHT, GOOD).pairs
    place = [("weather", '{"place": "Oslo"}')]
    assert sorted((p.prompt.step, calls_of(p.rejected), p.edits) for p in pairs) == [
        (3, place, ("splice",)),
        (5, place, ("repeat",)),
    ]


@pytest.mark.parametrize(
    "later",
    [
        called("weather", {"city": "Paris"}),  # nobody spoke of Paris
        called("weather", {"city": "Oslo", "days": 5}),
        called("book", {"room": "Oslo", "nights": 3}),  # another tool
    ],
)
def test_a_guess_is_no_recovery(later):
    assert found(ASK, WRONG, ERROR, later, GOOD).pairs == ()


def test_a_failure_of_the_environment_is_nothing_to_recover_from():
    down = result("503 service unavailable", error=True)
    right = called("weather", {"city": "Oslo"})
    assert found(ASK, right, down, right, GOOD).pairs == ()


SAME = called("weather", {"city": "Oslo"})
LEAVES = called("weather", {"city": "Bergen"})


def looping(times: int, *after, **more):
    return session(ASK, *[row for _ in range(times) for row in (SAME, GOOD)], *after, **more)


@pytest.mark.parametrize("times", [4, 5, 7])
def test_of_a_loop_only_the_first_knowable_step_is_rejected(times):
    one = looping(times, LEAVES, GOOD, said("Sunny everywhere."))
    failed = [p.step for p in corpus(one).failed()]
    assert failed[0] == 7  # the fourth equal call; the three before it are legal
    (pair,) = mined(one, config=RECOVERY).pairs
    assert (pair.prompt.step, pair.codes) == (7, ("LOOP_SAME_CALL",))
    assert calls_of(pair.chosen) == [("weather", '{"city": "Bergen"}')]


def test_the_legal_calls_before_a_loop_are_no_failures_and_no_rejected_sides():
    assert corpus(looping(3, LEAVES, GOOD)).failed() == ()
    assert mined(looping(3, LEAVES, GOOD), config=RECOVERY).pairs == ()


def test_a_loop_that_nothing_left_and_one_that_a_user_ended_give_no_pair():
    assert mined(looping(5), config=RECOVERY).pairs == ()
    assert mined(looping(5, user("Stop. Bergen!"), LEAVES, GOOD), config=RECOVERY).pairs == ()


def test_a_session_that_failed_its_task_teaches_no_recovery():
    told = looping(5, LEAVES, GOOD, outcome=Outcome(resolved=False))
    refused = mined(told, config=RECOVERY).refused
    assert [r.reason for r in refused] == ["FAILED_TASK"]


def test_recovery_is_not_among_the_default_sources():
    assert "recovery" not in TRAIN_ONLY.sources
