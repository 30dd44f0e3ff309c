"""Near-duplicates: what is one pair, what is two, and that it takes no square of the time."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misstep.mine.near import Near, Texts
from scenes import TRAIN_ONLY, called, mined, session, user

WORDS = [f"word{n}" for n in range(400)]


def texts(name: str, seed: int, size: int = 60) -> Texts:
    dice = random.Random(seed)
    said = [" ".join(dice.choices(WORDS, k=size)) for _ in range(3)]
    return Texts(id=name, prompt=said[0], chosen=said[1], rejected=said[2])


def test_one_word_of_sixty_is_no_other_pair_and_ten_are():
    near = Near(0.95)
    near.add(texts("first", 1))
    for changed, like in ((1, "first"), (10, None)):
        words = texts("second", 1).rejected.split()
        words[20 : 20 + changed] = ["another"] * changed
        second = replace(texts("second", 1), rejected=" ".join(words))
        assert near.like(second) == like


@pytest.mark.parametrize("part", ["prompt", "chosen", "rejected"])
def test_all_three_texts_must_be_alike(part):
    near = Near(0.95)
    near.add(texts("first", 1))
    other = replace(texts("second", 1), **{part: getattr(texts("x", 2), part)})
    assert near.like(other) is None


def test_from_one_on_nothing_is_alike():
    near = Near(1.0)
    near.add(texts("first", 1))
    assert near.like(texts("second", 1)) is None


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 59))
def test_a_changed_word_is_found_wherever_it_stands(seed, at):
    near = Near(0.95)
    near.add(texts("first", seed))
    words = texts("second", seed).chosen.split()
    words[at] = "elsewhere"
    assert near.like(replace(texts("second", seed), chosen=" ".join(words))) == "first"


def test_five_thousand_pairs_of_one_task_are_each_compared_with_few(monkeypatch):
    compared = 0
    plain = Near._alike

    def counting(self, left, right):
        nonlocal compared
        compared += 1
        return plain(self, left, right)

    monkeypatch.setattr(Near, "_alike", counting)
    near = Near(0.95)
    for n in range(5_000):
        each = replace(texts(str(n), n, 20), prompt="please book the usual room for me " * 20)
        if near.like(each) is None:
            near.add(each)
    assert compared <= 5_000 * 100


ASK = user("What is the weather in Oslo for the next days, please tell me?")


def test_a_pair_again_on_a_prompt_that_differs_in_a_comma_is_refused():
    wrong = called("weather", {"city": "Oslo", "days": "seven"})
    right = called("weather", {"city": "Oslo", "days": 7})
    other = user("What is the weather in Oslo for the next days please tell me?")
    logs = [session(ask, answer) for ask in (ASK, other) for answer in (wrong, right)]
    assert mined(*logs).counts["refused"] == {"NEAR_DUPLICATE": 1}
    apart = replace(TRAIN_ONLY, near_duplicate=1.0)
    assert len(mined(*logs, config=apart).pairs) == 2
