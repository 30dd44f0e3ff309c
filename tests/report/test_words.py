"""Spelling of numbers and of logged text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep.report.words import number, percent, points, spell_p, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("två\tord\nhär", "två\tord\nhär"),
        ("\x1b[31m", "\\u{1b}[31m"),
        ("\u202egnirts\u2066", "\\u{202e}gnirts\\u{2066}"),
        ("a\u200bb\x00\r", "a\\u{200b}b\\u{0}\\u{d}"),
        ("\ud800", "\\u{d800}"),
        ("no\u00a0break 日本 🙂", "no\u00a0break 日本 🙂"),
    ],
)
def test_characters_that_act_are_spelled(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(alphabet=st.characters()))
def test_what_is_shown_holds_no_control_or_direction_character(text: str) -> None:
    shown = visible(text)
    assert all(c in "\n\t" or c >= " " for c in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200f")
    shown.encode("utf-8")


def test_numbers_are_spelled_the_same_everywhere() -> None:
    assert percent(0.1234) == "12.3\xa0%"
    assert points(-0.0321) == "−3.2"
    assert points(0.5, 0) == "+50"
    assert number(1234567) == "1,234,567"
    assert [spell_p(p) for p in (None, 0.00001, 0.0005, 0.0312, 1.0)] == [
        "–",
        "<0.0001",
        "0.0005",
        "0.031",
        "1",
    ]
