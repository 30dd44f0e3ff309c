from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misstep.validate import Settings, validate
from misstep.validate.runs import runs
from validate.building import asked, found

WORDS = """
harbour engine lantern window signal garden letter copper winter market bridge orchard
meadow valley timber anchor carpet pencil mirror basket ladder kettle saddle feather
""".split()  # noqa: SIM905


def prose(seed: int, size: int) -> str:
    rnd = random.Random(seed)
    out = ""
    while len(out) < size:
        out += rnd.choice(WORDS) + rnd.choice([" ", " ", " ", ", ", ". ", "\n"])
    return out[:size]


@given(st.integers(0, 10**6), st.integers(5, 400), st.integers(4, 12), st.integers(0, 3000))
@settings(max_examples=60, deadline=None)
def test_an_exact_loop_is_found_wherever_it_stands(seed, period, count, before):
    unit = prose(seed, period)
    subject = prose(seed + 1, before) + unit * count + prose(seed + 2, 200)
    if period * count < 300:
        return
    best = max(runs(subject, length=300, count=3.0), key=lambda run: run.length, default=None)
    assert best is not None
    assert best.start <= before
    assert best.end >= before + period * count
    assert period % best.period == 0


@given(st.integers(0, 10**6), st.integers(30, 400), st.integers(1, 130), st.integers(0, 700))
@settings(max_examples=200, deadline=None)
def test_a_run_of_any_length_that_is_asked_for_is_found(seed, length, period, before):
    if 3 * period > length:
        return
    unit = prose(seed, period)
    head, tail = prose(seed + 1, before), prose(seed + 2, 100)
    subject = head + (unit * length)[:length] + tail
    found = list(runs(subject, length=length, count=3.0))
    assert any(run.start <= before and run.end >= before + length for run in found)


@given(st.text(alphabet="ab \n", max_size=900), st.integers(30, 300))
@settings(max_examples=60, deadline=None)
def test_a_run_is_what_it_says_it_is_and_maximal(text, length):
    for run in runs(text, length=length, count=2.0):
        part = text[run.start : run.end]
        assert part[run.period :] == part[: -run.period]
        assert run.start == 0 or text[run.start - 1] != text[run.start - 1 + run.period]
        assert run.end == len(text) or text[run.end] != text[run.end - run.period]


def test_the_loop_tells_onset_period_count_share_and_unit():
    unit = prose(3, 61)
    step = asked(content=prose(4, 500) + unit * 40, finish_reason="stop")
    loop = validate(step, Settings()).findings[0].loop
    assert (loop.onset, loop.period) == (500, 61)
    assert loop.count == pytest.approx(40, abs=0.1)
    assert loop.share == pytest.approx(2440 / 2940, abs=0.01)
    assert loop.unit == unit


@pytest.mark.parametrize("seed", range(20))
def test_plain_prose_of_any_length_is_clean(seed):
    assert found(asked(content=prose(seed, 300 * (seed + 1)), finish_reason="stop")) == []


@pytest.mark.parametrize(
    "text",
    [
        "a" * 4095 + "b",
        "ab" * 2000 + "c" + "ab" * 40,
        "".join(chr(97 + i % 26) * (i % 50) for i in range(3000)),
    ],
)
def test_an_adversarial_megabyte_takes_seconds_at_most(text):
    subject = asked(content=(text * (1_000_000 // len(text)))[:1_000_000], finish_reason="stop")
    start = time.process_time()
    validate(subject, Settings())
    assert time.process_time() - start < 10
