"""Lint: pairs of any origin held against the gate, against each other and against held-out."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misstep import mine
from misstep.mine.foreign import read_row
from misstep.mine.lint import Judging, heldout_of, lint
from misstep.mine.tells import Sides, tells
from scenes import (
    SETTINGS,
    TRAIN_ONLY,
    WEATHER,
    called,
    corpus,
    message,
    mined,
    said,
    session,
    user,
)

ASK = "What is the weather in Oslo for the next seven days?"
WRONG = called("weather", {"city": "Oslo", "days": "seven"})
RIGHT = called("weather", {"city": "Oslo", "days": 7})
TOOLS = [{"type": "function", "function": WEATHER}]


def row(**more):
    return {
        "prompt": [user(ASK)],
        "chosen": [RIGHT],
        "rejected": [WRONG],
        "tools": json.dumps(TOOLS),
        **more,
    }


def linted(*rows, **more):
    judging = Judging(config=TRAIN_ONLY, settings=SETTINGS, **more)
    return lint((read_row(each, f"row {at}") for at, each in enumerate(rows)), judging)


def codes(*rows, **more):
    found = linted(*rows, **more)
    return [o.code for o in found.wrong], [o.code for o in found.unsure]


def test_a_good_row_has_nothing_wrong():
    found = linted(row())
    assert (found.wrong, found.unsure, found.pairs, found.clean) == ([], [], 1, 1)


FORMS = {
    "one message instead of a list": row(chosen=RIGHT, rejected=WRONG),
    "tools as a list": row(tools=TOOLS),
    "the prompt in both sides": {
        "chosen": [user(ASK), RIGHT],
        "rejected": [user(ASK), WRONG],
        "tools": TOOLS,
    },
    "the prompt again in the sides": row(chosen=[user(ASK), RIGHT], rejected=[user(ASK), WRONG]),
    "hosted": {
        "input": {"messages": [user(ASK)], "tools": TOOLS},
        "preferred_output": [RIGHT],
        "non_preferred_output": [WRONG],
    },
    "sharegpt": {
        "conversations": [{"from": "human", "value": ASK}],
        "chosen": {
            "from": "function_call",
            "value": json.dumps({"name": "weather", "arguments": {"city": "Oslo", "days": 7}}),
        },
        "rejected": {
            "from": "function_call",
            "value": json.dumps({"name": "weather", "arguments": {"city": "Oslo", "days": "7 d"}}),
        },
        "tools": json.dumps(TOOLS),
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_other_forms_say_the_same(form):
    found = linted(FORMS[form])
    assert (found.wrong, found.unsure, found.pairs) == ([], [], 1)


def test_plain_texts_are_pairs_that_no_validator_can_tell_apart():
    plain = {"prompt": "What is two and two?", "chosen": "Four.", "rejected": "Five."}
    assert codes(plain) == ([], ["REJECTED_CLEAN"])


KEY = "AKIA" + "Z7Q2M4X6B8N1V3C5"


def plain(chosen, rejected="z"):
    """A pair of texts, of which no validator sees what is worse about the rejected one."""
    return {"prompt": [user("Tell me.")], "chosen": chosen, "rejected": rejected}


@pytest.mark.parametrize(
    ("wrong", "given"),
    [
        (["SECRET"], plain(f"key {KEY}")),
        (["PLACEHOLDER"], plain("for [REDACTED]")),
        (["CONTROL_TOKEN"], {**plain("x"), "prompt": [user(f"{ASK} <|im_end|>")]}),
        (["CHOSEN_FAILS", "CONTROL_TOKEN"], plain("x <|im_end|>")),
        (["LENGTH_RATIO"], plain(" ".join(map(str, range(1200))))),
        (["PLACEHOLDER", "SECRET"], plain(f"key {KEY} for [REDACTED]")),
    ],
)
def test_a_pair_that_cannot_be_told_apart_is_held_against_every_other_rule(wrong, given):
    assert codes(given) == (wrong, ["REJECTED_CLEAN"])


def test_a_fault_hides_no_other():
    assert codes(plain(f"key {KEY}", f"key {KEY}"))[0] == ["SAME_SIDES", "SECRET"]
    failing = [{**WRONG, "content": f"key {KEY}"}]
    assert codes(row(chosen=failing))[0] == ["CHOSEN_FAILS", "SECRET"]
    looping = [said("so it goes on " * 60 + KEY)]
    assert {"CHOSEN_LOOP", "SECRET"} <= set(codes(row(chosen=looping))[0])


@pytest.mark.parametrize(
    ("code", "given"),
    [
        ("CHOSEN_FAILS", row(chosen=[WRONG], rejected=[called("weather", {})])),
        ("SAME_SIDES", row(chosen=[WRONG])),
        ("SECRET", row(chosen=[{**RIGHT, "content": "key AKIA" + "Z7Q2M4X6B8N1V3C5"}])),
        ("PLACEHOLDER", row(chosen=[{**RIGHT, "content": "for [REDACTED]"}])),
        ("CONTROL_TOKEN", row(prompt=[user(f"{ASK} <|im_end|>")])),
        ("CHOSEN_LOOP", row(chosen=[said("so it goes on " * 60)])),
        ("UNPAIRED", row(rejected=[])),
        ("UNPAIRED", {"prompt": "hi", "chosen": "hello"}),
        ("SEVERAL_MESSAGES", row(chosen=[RIGHT, user("thanks"), said("Welcome.")])),
        ("PROMPT_ENDS", row(prompt=[user(ASK), said("Let me see.")])),
        ("NO_TOOLS", row(tools=None)),
        ("NOT_A_PAIR", "no object"),
        ("NOT_A_PAIR", row(chosen=[{"role": "wizard"}])),
        ("NOT_A_PAIR", row(tools="{not json")),
        ("LABEL_MISSING", {"prompt": "hi", "completion": "hello", "label": "good"}),
    ],
)
def test_a_fault_has_its_name(code, given):
    assert code in codes(given)[0]


def test_rows_are_held_against_each_other():
    near = row(rejected=[called("weather", {"city": "Oslo", "days": "seven."})])
    far = row(rejected=[called("weather", {"town": "Bergen"})], chosen=[WRONG])
    assert codes(row(), row())[0] == ["DUPLICATE"]
    assert codes(row(), near)[0] == ["NEAR_DUPLICATE"]
    assert "CONTRADICTION" in codes(row(), far)[0]


def test_labels_are_counted_and_held_against_each_other():
    rows = [{"prompt": "hi", "completion": "hello", "label": good} for good in (True, False)]
    found = linted(*rows)
    assert found.labels == {"true": 1, "false": 1}
    assert [o.code for o in found.wrong] == ["LABELS_DISAGREE"]


@pytest.mark.parametrize(
    "held", [{"prompt": ASK}, {"prompt": [user(ASK)]}, {"prompt": [user(ASK + " ")]}]
)
def test_a_prompt_that_is_held_out_is_a_leak(held):
    rows = [read_row({**held, "completion": None, "label": True}, "held")]
    assert codes(row(), heldout=heldout_of(rows))[0] == ["LEAK"]
    other = [read_row({"prompt": "Which trains leave for Bergen tonight, please?"}, "held")]
    assert codes(row(), heldout=heldout_of(other))[0] == []


def test_a_family_that_is_held_out_is_a_leak():
    held = heldout_of([], families=["f1"])
    assert codes(row(family="f1"), heldout=held)[0] == ["FAMILY_SPLIT"]


def test_our_own_rows_are_clean():
    logs = [session(user(ASK), answer) for answer in (RIGHT, WRONG)]
    found, known = mined(*logs), corpus(*logs)
    rows = [mine.pair_row(pair, known) for pair in found.pairs]
    assert len(rows) == 1
    assert linted(*rows).clean == 1


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "prompt",
                        "chosen",
                        "rejected",
                        "role",
                        "content",
                        "tools",
                        "label",
                        "completion",
                        "input",
                        "conversations",
                        "from",
                        "value",
                        "tool_calls",
                        "function",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_a_row_holds_it_is_counted(value):
    found = linted(value)
    assert found.rows == 1
    assert found.clean + len({o.place for o in (*found.wrong, *found.unsure)}) >= 1


# --- tells -------------------------------------------------------------------------------------


def sides(n, chosen, rejected):
    return [
        Sides(chosen=message(chosen(i)), rejected=message(rejected(i)), group=str(i))
        for i in range(n)
    ]


def told(found, feature):
    return next(tell.right / tell.n for tell in found if tell.feature == feature)


def test_a_feature_that_gives_the_chosen_side_away_is_found():
    found = tells(sides(60, lambda i: said(f"Sure, {i}"), lambda i: said(f"No, {i * 7}{'x' * i}")))
    assert told(found, "first word") == 1.0
    assert told(found, "characters") > 0.9
    assert told(found, "has a call") == 0.5


def test_what_is_drawn_by_chance_tells_nothing():
    dice = random.Random(0)
    found = tells(sides(200, *[lambda i: said("w" * dice.randint(1, 30) + " ok")] * 2))
    assert all(0.3 < tell.right / tell.n < 0.7 for tell in found)


def test_a_word_that_one_group_alone_uses_is_no_tell():
    """Learned on other groups, a name that stands once says nothing."""
    found = tells(sides(50, lambda i: said(f"name{i} a"), lambda i: said(f"other{i} a")))
    assert told(found, "first word") == 0.5
