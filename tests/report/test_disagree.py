"""Where the two rules about loops disagree: counted by model, listed with the ends of answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from misstep.report import RunView
from misstep.report.disagree import disagreements
from misstep.report.html import render
from misstep.report.markdown import _lines


def row(**more: Any) -> dict[str, Any]:
    given = {"model": "sft", "answers": "greedy", "index": 0, "session": "s1", "step": 1}
    said = {"published": True, "codes": [], "finish_reason": "length", "characters": 356}
    return {**given, **said, "tail": "44444 <b>|`end`", "place": "pages.parquet:7", **more}


@pytest.fixture
def parted(run: RunView) -> RunView:
    rows = [
        row(),
        row(model="dpo", answers="sampled", index=2, published=False, codes=["REP_LOOP"]),
        row(finish_reason="stop", place=""),
    ]
    by = [
        {"model": "sft", "answers": "greedy", "published_alone": 30, "codes_alone": 1},
        {"model": "dpo", "answers": "sampled", "published_alone": 0, "codes_alone": 9},
    ]
    section = {"scores": [], "paired": [], "disagreeing": 40, "disagreeing_by": by}
    gold = {"prompts": 1, "scores": [], "paired": []}
    scores = {**(run.scores or {}), "degeneration": section, "gold": gold}
    return replace(run, scores=scores, disagreements=rows)


def test_each_says_where_which_rule_and_how_it_ended(parted):
    found = disagreements(parted)
    assert found is not None
    first, second, third = found.answers
    assert (first.place, first.said, first.ended) == (
        "pages.parquet:7",
        "the published rule",
        "356 characters, cut at the limit",
    )
    assert (second.model, second.kind, second.said) == ("dpo", "sampled, no. 3", "REP_LOOP")
    assert (third.place, third.ended) == ("s1 step 1", "356 characters, ended by itself")


def test_what_is_left_out_is_counted(parted):
    found = disagreements(parted)
    assert found is not None
    assert found.sentence == "40 answers are loops by one rule and not by the other."
    assert found.left_out.startswith("37 more answers not listed")
    whole = replace(parted, disagreements=[row()] * 40)
    assert (disagreements(whole) or found).left_out == ""


def test_both_reports_hold_the_counts_and_the_list_escaped(parted):
    text, page = "\n".join(_lines(parted)), render(parted)
    for whole in (text, page):
        assert "40 answers are loops by one rule and not by the other." in whole
        assert "pages.parquet:7" in whole
        assert "37 more answers not listed" in whole
    assert "| `sft` | greedy | 30 | 1 |" in text
    assert "| `` 44444 <b>\\|`end` `` |" in text
    assert "44444 &lt;b&gt;|`end`" in page
    assert "<b>|" not in page


def test_nothing_is_said_where_the_rules_agree(run):
    assert disagreements(run) is None
    assert "disagree" not in "\n".join(_lines(run))
