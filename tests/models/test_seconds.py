"""The wall-clock of an answer: its share of the steps that it took part in."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")

from misstep.models import sample


def test_the_seconds_of_all_answers_are_the_time_of_the_batch(tiny: Any) -> None:
    prompts = [[5, 6, 7], [8, 9]]
    sample(tiny, prompts, max_new_tokens=2)  # what is imported once is no answer's time
    then = time.perf_counter()
    got = sample(tiny, prompts, num_generations=3, max_new_tokens=40, seed=1)
    elapsed = time.perf_counter() - then
    spent = [answer.seconds for answers in got for answer in answers]
    assert all(seconds > 0 for seconds in spent)
    assert 0.2 * elapsed < sum(spent) <= elapsed


def test_an_answer_that_goes_on_alone_pays_for_the_steps_that_it_takes_alone(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("misstep.models.generate.stop_ids", lambda _: frozenset(range(0, 400, 9)))
    prompts = [[n, n + 1] for n in range(3, 19)]
    got = [answers[0] for answers in sample(tiny, prompts, max_new_tokens=60, seed=2)]
    longest = max(got, key=lambda answer: len(answer.ids))
    shortest = min(got, key=lambda answer: len(answer.ids))
    assert len(longest.ids) > 3 * len(shortest.ids)
    assert longest.seconds > shortest.seconds


def test_equal_answers_are_equal_whatever_the_clock_says(tiny: Any) -> None:
    first, again = (sample(tiny, [[5, 6, 7]], max_new_tokens=8, seed=3) for _ in range(2))
    assert first == again
