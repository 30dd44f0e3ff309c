"""The quick look that ends a looping answer, held against the validators' own judgement."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misstep import validate
from misstep.config import LimitsConfig
from misstep.types import Message, Part, Session
from misstep.validate import running_on

LABELLED = Path(__file__).parents[1] / "cases" / "loops"
LIMITS = LimitsConfig()
EVERY = 256
"""Characters between two looks; about 64 tokens."""


def verdict(prompt: str, text: str, finish: str):
    asked = Message(role="user", parts=(Part(kind="text", text=prompt),))
    answer = Message(role="assistant", parts=(Part(kind="text", text=text),), finish_reason=finish)
    session = Session(id="s", format="t", messages=(asked, answer))
    return validate.judge(session, 1, answer, settings=validate.Settings())[1]


def asked(prompt: str) -> int:
    message = Message(role="user", parts=(Part(kind="text", text=prompt),))
    return validate.asked_of(Session(id="s", format="t", messages=(message,)), 1)


def cut(prompt: str, text: str) -> str | None:
    """The answer as far as it would have been written; None where it would not be cut."""
    ends = range(EVERY, len(text), EVERY)
    return next((text[:e] for e in ends if running_on(text[:e], LIMITS, asked(prompt))), None)


def test_labelled_answers_that_are_cut_fail_as_the_loops_that_they_are():
    lines = [
        line
        for name in ("labels", "held_out")
        for line in (LABELLED / f"{name}.jsonl").read_text().splitlines()
    ]
    stopped = 0
    for row in map(json.loads, lines):
        short = cut(row["prompt"], row["text"])
        if short is None:
            continue
        stopped += 1
        whole = verdict(row["prompt"], row["text"], row["finish"])
        after = verdict(row["prompt"], short, "length")
        assert row["label"] == "loop", row["id"]
        assert whole.state == after.state == "fail", row["id"]
        assert set(after.codes) == set(whole.codes) - {"TRUNCATED"} or after.codes == whole.codes
    assert stopped > 20


@settings(max_examples=200, deadline=None)
@given(
    head=st.text(max_size=400),
    unit=st.text(min_size=1, max_size=120),
    times=st.integers(min_value=1, max_value=200),
    part=st.integers(min_value=0, max_value=119),
)
def test_whatever_is_stopped_is_a_loop_for_the_validators(head, unit, times, part):
    text = head + unit * times + unit[:part]
    if running_on(text, LIMITS):
        found = verdict("go on", text, "length")
        assert found.state == "fail"
        assert set(found.codes) & {"REP_LOOP", "REP_WHITESPACE", "REP_ELEMENT"}


@pytest.mark.parametrize("often", [12, 40])
def test_a_prompt_that_asks_for_repetition_gets_it(often):
    prompt = f"Write the sentence about the lighthouse and the sea {often} times."
    text = "The lighthouse keeper looked out over the grey and restless sea. " * often
    assert running_on(text, LIMITS)
    assert not running_on(text, LIMITS, asked(prompt))


def test_a_flood_of_white_space_is_stopped():
    assert running_on("{" + " " * 300, LIMITS)
    assert not running_on("{" + " " * 120, LIMITS)


def test_a_loop_that_the_answer_left_is_not_stopped():
    text = "one two three four five six " * 60
    assert running_on(text, LIMITS)
    assert not running_on(text + "and then everything was different, at last.", LIMITS)
