"""What a human in the log preferred: votes, calls turned down, a plain no."""

from __future__ import annotations

from dataclasses import replace

import pytest

from misstep import mine, store, validate
from misstep.types import Outcome
from samples import read_sample
from scenes import (
    SETTINGS,
    TRAIN_ONLY,
    called,
    calls_of,
    corpus,
    mined,
    result,
    said,
    session,
    user,
)

HUMAN = replace(TRAIN_ONLY, sources=("human",))
EDIT = {
    "name": "edit",
    "parameters": {
        "type": "object",
        "properties": {"path": {"type": "string"}, "text": {"type": "string"}},
        "required": ["path", "text"],
    },
}
ASK = user("Greet the world in hello.py, and use the LOUD constant for the greeting there.")
FIRST = called("edit", {"path": "hello.py", "text": "print('hello world')"}, "I edit it.")
SECOND = called("edit", {"path": "hello.py", "text": "print(LOUD, 'hello world')"}, "Sorry!")
NO = "The user doesn't want to proceed with this tool use. The tool use was rejected."


def told(*rows, **more):
    return mined(session(*rows, tools=(EDIT,), **more), config=HUMAN)


def test_a_call_that_the_user_turned_down_loses_to_the_one_let_through():
    rows = (ASK, FIRST, result(NO, error=True), user("Use LOUD there."), SECOND)
    (pair,) = told(*rows, result("done", error=False)).pairs
    assert (
        calls_of(pair.chosen)[0][1]
        == '{"path": "hello.py", "text": "print(LOUD, \'hello world\')"}'
    )
    assert pair.chosen.text == "I edit it."
    assert (pair.source, pair.codes, pair.edits, pair.margin) == ("human", (), ("splice",), 1.0)
    assert pair.feedback == ("the user turned the call down and let this one through",)


def test_the_instruction_may_stand_in_the_result_itself():
    no = f"{NO} To tell you how to proceed, the user said:\nUse LOUD there."
    (pair,) = told(ASK, FIRST, result(no, error=True), SECOND, result("done", error=False)).pairs
    assert pair.source == "human"


def test_a_pair_that_no_validator_saw_stands_in_a_row_without_codes():
    rows = (ASK, FIRST, result(NO, error=True), user("Use LOUD there."), SECOND)
    one = session(*rows, result("done", error=False), tools=(EDIT,))
    (pair,) = mined(one, config=HUMAN).pairs
    store.check_row(mine.pair_row(pair, corpus(one)), "pair")


OTHER = called("edit", {"path": "bye.py", "text": "print(LOUD, 'hello world')"})
TOLD = called("edit", {"path": "hello.py", "text": "print(LOUD, 'hello moon')"})


@pytest.mark.parametrize(
    "after",
    [
        (),  # nothing came of it
        (SECOND, result("done", error=False)),  # no instruction: why was it turned down?
        (user("Use LOUD."), SECOND, result("no such file", error=True)),
        (user("Use LOUD."), SECOND, result(NO, error=True)),
        (user("Use LOUD."), OTHER, result("done", error=False)),  # another file
        (user("Greet the moon."), TOLD, result("done", error=False)),  # nobody had said moon
        (user("Use LOUD."), SECOND, result("done", error=False), user("No, undo that.")),
        (user("Use LOUD."), FIRST, result("done", error=False)),  # the very same call
        (user("Use LOUD."), said("Shall I?")),
    ],
)
def test_what_a_careful_person_would_not_sign_is_no_correction(after):
    found = told(ASK, FIRST, result(NO, error=True), *after)
    assert (found.pairs, found.refused) == ((), ())


@pytest.mark.parametrize(
    "no",
    [
        "Permission to use edit has been denied because the agent is running in don't ask mode.",
        "This command requires approval",
        "PreToolUse hook blocked by user settings",
    ],
)
def test_a_denial_without_a_human_says_nothing(no):
    rows = (ASK, FIRST, result(no, error=True), user("Use LOUD."), SECOND)
    assert told(*rows, result("done", error=False)).pairs == ()


OBJECTION = (
    ASK,
    FIRST,
    result("done", error=False),
    said("Done."),
    user("No, use LOUD as I said."),
)
REDO = (SECOND, result("done", error=False), said("Changed."))


def test_a_no_that_is_answered_and_thanked_for_makes_a_pair():
    (pair,) = told(*OBJECTION, *REDO, user("Perfect, thanks!")).pairs
    assert pair.feedback == ("the user said no to the call and accepted this one",)


def test_a_solved_task_stands_in_for_thanks():
    assert len(told(*OBJECTION, *REDO, outcome=Outcome(resolved=True)).pairs) == 1
    assert told(*OBJECTION, *REDO).pairs == ()


@pytest.mark.parametrize("last", ["No, still wrong.", "And now delete it.", "Good grief, no."])
def test_without_thanks_a_redo_is_not_known_to_be_right(last):
    assert told(*OBJECTION, *REDO, user(last)).pairs == () or last.startswith("Good")


def test_the_chosen_side_must_be_clean_whoever_preferred_it():
    broken = called("edit", {"path": "hello.py", "text": 5})
    rows = (ASK, FIRST, result(NO, error=True), user("Use LOUD there."), broken)
    assert told(*rows, result("done", error=False)).pairs == ()


def test_votes_on_one_prompt_make_a_pair_and_votes_on_two_do_not():
    up = session(ASK, SECOND, tools=(EDIT,), outcome=Outcome(thumbs="up"))
    down = session(ASK, FIRST, tools=(EDIT,), outcome=Outcome(thumbs="down"))
    elsewhere = session(
        user("Another task altogether, please do it now."),
        SECOND,
        tools=(EDIT,),
        outcome=Outcome(thumbs="up"),
    )
    (pair,) = mined(up, down, config=HUMAN).pairs
    assert calls_of(pair.chosen) == calls_of(up.messages[1])
    assert mined(down, elsewhere, config=HUMAN).pairs == ()


def test_the_pairs_of_a_preference_dataset_are_its_own():
    logs = read_sample("preference").sessions
    known = mine.gather(logs, [validate.validate(s, SETTINGS) for s in logs])
    split = mine.split(known.sessions, HUMAN, 0)
    found = mine.mine(known, split=split, config=HUMAN, settings=SETTINGS)
    sides = {(p.chosen.text or calls_of(p.chosen)[0][1]) for p in found.pairs}
    assert sides == {
        "Geirangerfjord",
        "Geirangerfjord and Sognefjord.",
        '{"city": "Oslo"}',
        '{"city": "Bergen"}',
    }
    assert {p.feedback for p in found.pairs} == {("thumbs up over thumbs down",)}
