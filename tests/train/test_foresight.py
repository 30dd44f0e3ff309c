"""What rows say before they are trained on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from misstep.train.foresight import foreseen
from misstep.train.rows import Ids, set_aside
from training import labelled, pairs


def ids(rows):
    return [Ids(id=row.id, prompt=(1,), chosen=(2,)) for row in rows]


def said(rows, aside=(), used=None):
    return foreseen(rows, ids(used or rows), aside, section="dpo", max_length=1024)


def stopped(rows, count, codes=("TRUNCATED",), cut=True):
    return [replace(row, cut=cut, codes=codes) for row in rows[:count]] + list(rows[count:])


def test_failed_answers_that_mostly_end_at_their_limit_are_told_with_what_to_change():
    rows = pairs(10)
    assert said(stopped(rows, 5)) == ()
    assert said(stopped(rows, 6)) == (
        "6 of 10 failed answers stopped at their token limit, so that most of what is unlearned is "
        "a beginning; raise sample.max_new_tokens, or the limit of the agent whose logs these are",
    )
    assert len(said(stopped(rows, 6, codes=("JSON_TRUNCATED",)))) == 1
    assert len(said(stopped(rows, 6, cut=False))) == 1


@pytest.mark.parametrize("code", ["REP_LOOP", "REP_ELEMENT"])
def test_loops_are_cut_on_purpose(code):
    assert said(stopped(pairs(10), 9, codes=(code, "TRUNCATED"))) == ()


def test_rows_that_are_not_used_do_not_count():
    rows = stopped(pairs(10), 6)
    assert said(rows, used=rows[4:]) == ()


def test_of_labelled_rows_the_failed_ones_count():
    rows = labelled(12)
    failed = [replace(row, cut=True) if not row.label else row for row in rows]
    assert said(failed)[0].startswith("6 of 6 failed answers stopped at their token limit")
    assert said(rows) == ()


def test_rows_that_are_mostly_too_long_are_told():
    rows = pairs(12)
    aside = [set_aside(row, "too-long", "x") for row in rows[:5]]
    over = [set_aside(row, "over-limit", "x") for row in rows[5:7]]
    assert said(rows, aside) == ()
    aside.append(set_aside(rows[7], "too-long", "x"))
    assert said(rows, aside + over) == (
        "6 of 10 rows are too long and were set aside, dpo.max_length is 1024; raise it, or let "
        "budget.max_prompt shorten prompts further",
    )


def test_it_is_said_and_stands_in_the_log_of_the_stage(tmp_path):
    pytest.importorskip("torch")
    from misstep import train
    from tiny import build_tiny
    from training import DPO, LORA, settings

    heard = []
    given = {"base": str(build_tiny(tmp_path / "m")), "adapter": None, "lora": LORA}
    for at, (rows, config) in enumerate(
        ((stopped(pairs(8), 8), DPO), (pairs(8), replace(DPO, max_length=4)))
    ):
        done = train.train_dpo(
            rows,
            out=tmp_path / str(at),
            config=config,
            run=settings(say=heard.append),
            **given,
        )
        notes = [entry["note"] for entry in done.log if "note" in entry]
        assert heard[at] == f"training: {notes[0]}"
    assert [each.split(" so ")[0].split(" and ")[0] for each in heard] == [
        "training: 8 of 8 failed answers stopped at their token limit,",
        "training: 8 of 8 rows are too long",
    ]
