"""Which prompts are answered together, and what is read once for several of them."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from misstep.models.beginnings import order, reads

PROMPTS = st.lists(
    st.lists(st.integers(0, 2), min_size=1, max_size=12).map(
        lambda heads: [token for head in heads for token in [head] * 30]
    ),
    min_size=1,
    max_size=9,
)
"""Of stretches of thirty equal tokens, so that many begin alike and some are equal."""


def session(seed, *turns):
    """The prompts of the steps of one session: each goes on from the one before."""
    draw = random.Random(seed)
    tokens, steps = [1] * 100, []
    for turn in turns:
        tokens = [*tokens, *(draw.randrange(10, 9999) for _ in range(turn))]
        steps.append(tokens)
    return steps


@given(PROMPTS)
def test_every_token_is_read_behind_all_that_comes_before_it(prompts):
    filled = [0] * len(prompts)
    ended = []
    for read in reads(prompts):
        assert len(read.ends) == len(read.rows)
        for end, places in zip(read.ends, read.rows, strict=True):
            first = prompts[places[0]]
            for at in places:
                assert prompts[at][:end] == first[:end]
                assert filled[at] == read.start
                filled[at] = end
            ended += [at for at in places if end == len(prompts[at])]
            assert len(places) == 1 or all(end < len(prompts[at]) for at in places)
    assert filled == [len(prompt) for prompt in prompts]
    assert sorted(ended) == list(range(len(prompts)))


@given(PROMPTS)
def test_the_order_holds_every_prompt_once(prompts):
    assert sorted(order(prompts)) == list(range(len(prompts)))


def test_the_steps_of_a_session_are_read_as_if_they_were_one():
    steps = session(1, 300, 200, 250, 400)
    tokens = sum(sum(end - read.start for end in read.ends) for read in reads(steps))
    assert tokens == len(steps[-1]) + 3  # the last token of each of the others, once more
    two = [*steps, *session(2, 150, 150)]
    tokens = sum(sum(end - read.start for end in read.ends) for read in reads(two))
    assert tokens == len(steps[-1]) + 300 + 4


def test_what_is_not_shared_is_read_with_little_padding():
    draw = random.Random(3)
    prompts = [[draw.randrange(9999) for _ in range(draw.randrange(100, 900))] for _ in range(60)]
    read = [(len(r.ends), max(r.ends), sum(r.ends)) for r in reads(prompts)]
    assert sum(rows * longest for rows, longest, _ in read) < 1.13 * sum(map(len, prompts))
    assert len(read) < 30


def test_short_stretches_are_not_worth_a_read_of_their_own():
    prompts = [[1] * 20 + [at] * 50 for at in range(2, 5)]
    assert [read.start for read in reads(prompts)] == [0]
    assert [
        read.start for read in reads([*prompts, *([1] * 20 + [at] for at in range(9, 12))])
    ] == [
        0,
        20,
    ]


def test_steps_of_a_session_stay_together_and_the_others_go_by_length():
    draw = random.Random(5)
    own = session(1, 300, 200, 250)
    others = [[draw.randrange(9999) for _ in range(n)] for n in (900, 50, 600, 700)]
    prompts = [own[2], others[0], own[0], others[1], others[2], own[1], others[3]]
    assert order(prompts) == [3, 4, 6, 2, 5, 0, 1]
