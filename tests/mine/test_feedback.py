"""Rewards, resolved flags and thumbs rank chosen sides and veto those of failed sessions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from misstep import mine, store
from misstep.mine.feedback import standing
from misstep.types import Outcome
from scenes import TRAIN_ONLY, called, calls_of, corpus, mined, result, session, user

ASK = user("What is the weather in Oslo for the next days, in full please?")
WRONG = called("weather", {"town": "Oslo"})


def clean(days: int, outcome: Outcome | None = None, **more):
    return session(ASK, called("weather", {"city": "Oslo", "days": days}), outcome=outcome, **more)


def days(pair) -> str:
    return calls_of(pair.chosen)[0][1]


@pytest.mark.parametrize(
    ("outcome", "sign"),
    [
        (Outcome(thumbs="up", resolved=False, reward=0.0), 1),
        (Outcome(thumbs="down", resolved=True, reward=1.0), -1),
        (Outcome(resolved=True, reward=0.0), 1),
        (Outcome(resolved=False, reward=1.0), -1),
        (Outcome(reward=1.0), 1),
        (Outcome(reward=0.4), 0),
        (Outcome(reward=0.0), -1),
        (Outcome(reward=-1.0), -1),
        (Outcome(limit="steps"), 0),
        (None, 0),
    ],
)
def test_the_strongest_word_decides(outcome, sign):
    assert standing(clean(1, outcome)).sign == sign


def test_a_sibling_of_a_solved_session_goes_before_a_nearer_one():
    near, solved = clean(3), clean(111, Outcome(reward=1.0))
    (pair,) = mined(
        session(ASK, called("weather", {"town": "Oslo", "days": 3})), near, solved
    ).pairs
    assert days(pair) == '{"city": "Oslo", "days": 111}'
    assert pair.feedback == ("chosen from a session with reward 1",)


def test_a_clean_answer_of_a_failed_session_is_passed_over():
    failed, other = clean(3, Outcome(resolved=False)), clean(111)
    (pair,) = mined(session(ASK, WRONG), failed, other).pairs
    assert days(pair) == '{"city": "Oslo", "days": 111}'
    assert pair.feedback == ("passed over 1 clean answers of failed sessions",)


def test_where_only_failed_sessions_have_a_clean_answer_the_gate_says_so():
    found = mined(session(ASK, WRONG), clean(3, Outcome(thumbs="down")))
    assert found.pairs == ()
    assert [(r.reason, r.said) for r in found.refused] == [
        ("FAILED_TASK", "the log's feedback is against the chosen side: thumbs down")
    ]


def test_an_answer_that_also_stands_in_a_solved_session_is_not_vetoed():
    both = clean(3, Outcome(resolved=False)), clean(3, Outcome(resolved=True))
    (pair,) = mined(session(ASK, WRONG), *both).pairs
    assert pair.feedback == ("chosen from a session with resolved",)


def test_a_retry_in_a_failed_session_is_refused():
    rows = (ASK, WRONG, result("no", error=True), called("weather", {"city": "Oslo"}))
    told = session(*rows, result("sunny", error=False), outcome=Outcome(reward=0.0))
    found = mined(told)
    assert (found.pairs, [r.reason for r in found.refused]) == ((), ["FAILED_TASK"])


def test_a_call_that_a_human_turned_down_is_no_sibling_and_not_imitated():
    no = result("The user doesn't want to proceed with this tool use.", error=True)
    turned = session(ASK, called("weather", {"city": "Oslo", "days": 3}), no)
    wrong = session(ASK, WRONG)
    found = mined(wrong, turned)
    assert [(r.reason, r.said) for r in found.refused] == [
        (
            "FAILED_TASK",
            "the log's feedback is against the chosen side: the user turned its call down",
        )
    ]
    known = corpus(wrong, turned)
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    assert mine.accepted_steps(known, split, 9, 0) == ()


def test_feedback_can_be_left_unused():
    config = replace(TRAIN_ONLY, feedback=False)
    (pair,) = mined(session(ASK, WRONG), clean(3, Outcome(resolved=False)), config=config).pairs
    assert pair.feedback == ()


def test_steps_of_failed_sessions_are_not_imitated():
    good, bad = clean(3, Outcome(reward=1.0)), clean(5, Outcome(reward=0.0))
    known = corpus(good, bad)
    split = mine.split(known.sessions, TRAIN_ONLY, 0)
    assert {p.session for p in mine.accepted_steps(known, split, 9, 0)} == {good.id}
    both = mine.accepted_steps(known, split, 9, 0, terms=mine.Terms(feedback=False))
    assert {p.session for p in both} == {good.id, bad.id}


def test_how_feedback_was_used_stands_in_the_row():
    sessions = session(ASK, WRONG), clean(3, Outcome(thumbs="up"))
    (pair,) = mined(*sessions).pairs
    row = mine.pair_row(pair, corpus(*sessions))
    assert row["feedback"] == ["chosen from a session with thumbs up"]
    store.check_row(row, "pair")
