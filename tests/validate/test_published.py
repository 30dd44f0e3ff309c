"""The published rule about degeneration, and where it and our codes part."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep.validate import published_loop, published_span

UNIT = "Artigo 12 da lei; "


@pytest.mark.parametrize("finish", ["length", "max_tokens", "max_output_tokens"])
def test_a_tail_that_stands_four_times_in_a_capped_answer_is_a_loop(finish: str) -> None:
    assert published_loop(UNIT * 4, finish)
    assert not published_loop(UNIT * 3, finish)


@pytest.mark.parametrize("finish", ["stop", "end_turn", None])
def test_an_answer_that_ended_by_itself_is_none(finish: str | None) -> None:
    assert not published_loop(UNIT * 40, finish)


def test_an_answer_shorter_than_the_tail_is_none() -> None:
    assert not published_loop("a" * 14, "length")


def test_the_tail_is_counted_without_overlap_and_anywhere() -> None:
    assert not published_loop("a" * 59, "length")
    assert published_loop("a" * 60, "length")
    apart = ["um texto qualquer", "e depois outro", "e por fim mais um"]
    assert published_loop("[célula vazia..]".join(["", *apart, ""]), "length")


def test_a_loop_whose_unit_drifts_escapes_it() -> None:
    drift = "".join(f"conforme a lei municipal, artigo {n}; " for n in range(100, 300))
    assert not published_loop(drift, "length")


@given(st.text("ab", min_size=1, max_size=12), st.text("abc", max_size=20))
def test_what_is_shown_of_it_is_the_stretch_at_the_end_that_repeats(unit: str, before: str) -> None:
    text = before + unit * 60
    start, end = published_span(text)
    assert end == len(text)
    assert start <= len(before)
    period = len(unit)
    assert all(text[at] == text[at + period] for at in range(max(start, len(before)), end - period))


def test_a_run_of_one_character_is_shown_whole() -> None:
    assert published_span("Total 61" + "4" * 90) == (8, 98)
