"""Which of several failures of a prompt is taken, and how many pairs a code and a tool may have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from misstep.types import Prompt
from scenes import TRAIN_ONLY, called, calls_of, message, mined, session, user

ASK = user("What is the weather in Oslo for the next days, in full please?")
GOOD = session(ASK, called("weather", {"city": "Oslo"}))
ONE = replace(TRAIN_ONLY, max_pairs_per_prompt=1)
NEAR = {"city": "Oslo", "dayz": 1}
OFTEN = [
    {"city": "Oslo", "unit": word} for word in ("kelvin in full", "rankine in full", "none so")
]


def failures():
    return [session(ASK, called("weather", arguments)) for arguments in (NEAR, *OFTEN)]


def taken(kind: str, **more) -> str:
    config = replace(ONE, hard_negatives=kind, **more)
    (pair,) = mined(GOOD, *failures(), config=config).pairs
    return calls_of(pair.rejected)[0][1]


def test_the_nearest_failure_of_a_logged_prompt_is_the_default():
    assert TRAIN_ONLY.hard_negatives == "nearest"
    assert "dayz" in taken("nearest")


def test_the_most_frequent_failure_counts_alike_ones_together():
    assert "unit" in taken("frequent")


def test_a_random_failure_is_the_same_for_the_same_seed_and_not_for_all_seeds():
    assert taken("random", split_seed=1) == taken("random", split_seed=1)
    assert len({taken("random", split_seed=seed) for seed in range(12)}) > 1


@pytest.mark.parametrize(("kind", "word"), [("nearest", "dayz"), ("frequent", "unit")])
def test_sampled_failures_are_chosen_alike(kind, word):
    logged = session(ASK, called("weather", {"city": "Oslo"}))
    rows = [called("weather", a) for a in (NEAR, *OFTEN, {"city": "Oslo"})]
    answers = {Prompt(session=logged.id, step=1): tuple(map(message, rows))}
    config = replace(ONE, sources=("resample",), hard_negatives=kind)
    (pair,) = mined(logged, config=config, answers=answers).pairs
    assert word in calls_of(pair.rejected)[0][1]


PLACES = ("Oslo", "Bergen", "Rome", "Kyoto", "Lima", "Perth", "Accra", "Quito")


def many(**caps):
    sessions = [
        s
        for place in PLACES
        for s in (
            session(user(f"{place}, please!"), called("weather", {"town": place * 3})),
            session(user(f"{place}, please!"), called("weather", {"city": place})),
        )
    ]
    return mined(*sessions, config=replace(TRAIN_ONLY, **caps))


@pytest.mark.parametrize(
    ("caps", "pairs", "reason"),
    [
        ({}, 8, None),
        ({"max_pairs_per_code": 3}, 3, "CODE_FULL"),
        ({"max_pairs_per_tool": 2}, 2, "TOOL_FULL"),
        ({"max_pairs_per_tool": 0.5}, 4, "TOOL_FULL"),
        ({"max_pairs_per_code": 0.01}, 1, "CODE_FULL"),
    ],
)
def test_one_broken_tool_does_not_drown_the_rest(caps, pairs, reason):
    found = many(**caps)
    assert len(found.pairs) == pairs
    assert {r.reason for r in found.refused} == ({reason} if reason else set())
    assert len(found.pairs) + len(found.refused) == 8


def shortened(share: float):
    """Five failures that a repair only shortens, five that it writes anew."""
    extra = [
        session(user(f"{place}, please!"), called("weather", {"city": place, "hue": "red"}))
        for place in PLACES[:5]
    ]
    quoted = [
        session(user(f"{n} days in {place}!"), called("weather", {"city": place, "days": str(n)}))
        for n, place in enumerate(PLACES[:5], start=2)
    ]
    config = replace(TRAIN_ONLY, sources=("repair",), max_shortened=share)
    return mined(*extra, *quoted, config=config)


@pytest.mark.parametrize(("share", "left"), [(0, 5), (1.0, 1), (0.2, 2), (0.4, 4), (3, 3)])
def test_repairs_that_only_take_something_away_have_a_share(share, left):
    found = shortened(share)
    taken = [edit for pair in found.pairs for edit in pair.edits if edit.startswith("drop-")]
    assert len(taken) == left
    assert len(found.pairs) == 5 + left
    assert [r.reason for r in found.refused] == ["SHORTER_FULL"] * (5 - left)
