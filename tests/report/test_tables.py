"""Numbers, words and sentences that all three reports share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from misstep.report import RunView
from misstep.report.tables import (
    also,
    changes,
    code_counts,
    compared,
    flat,
    funnel,
    headline,
    tool_counts,
)


def test_the_total_comes_first_and_codes_by_how_often_they_failed(run: RunView) -> None:
    assert [line.label for line in changes(run.scores)[:4]] == [
        "total",
        "WRONG_TYPE",
        "ENUM",
        "MISSING_REQUIRED",
    ]
    total = changes(run.scores)[0]
    assert (total.before.k, total.after.k, total.direction) == (188, 104, "better")
    assert total.relative == pytest.approx(104 / 188 - 1)


def test_a_change_that_may_be_chance_has_no_direction(run: RunView) -> None:
    assert {line.label: line.direction for line in changes(run.scores)}["TRUNCATED"] == ""


def test_without_named_arms_the_last_two_stages_are_compared(run: RunView) -> None:
    assert run.scores is not None
    assert compared({**run.scores, "before": None, "after": None}) == ("sft", "dpo")
    assert compared(None) is None
    assert changes(None) == ()


def test_the_headline_of_a_run_says_how_much_and_what_to_do(run: RunView) -> None:
    assert headline(run) == (
        "Failures fell by 45 % on held-out tasks, 44.4\xa0% → 24.6\xa0% (sft → dpo). Ship it."
    )


def test_the_headline_of_a_run_that_must_not_ship(run: RunView) -> None:
    scores = {**(run.scores or {}), "verdict": "do-not-ship"}
    assert headline(replace(run, scores=scores)).endswith("(sft → dpo). Do not ship it.")


@pytest.mark.parametrize(
    "more", [{"p": 0.5}, {"low": -0.2, "high": 0.0}, {"low": -0.2, "high": 0.01}]
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_headline_does_not_call_chance_a_change(
    run: RunView, more: dict[str, float], turned: bool
) -> None:
    scores = dict(run.scores or {})
    arms = ("dpo", "sft") if turned else ("sft", "dpo")
    total = next(
        r for r in scores["paired"] if (r["from"], r["to"], r["code"]) == ("sft", "dpo", None)
    )
    paired = {**total, "from": arms[0], "to": arms[1], **more}
    scores |= {"paired": [paired], "before": arms[0], "after": arms[1], "verdict": "do-not-ship"}
    rates = ("24.6\xa0%", "44.4\xa0%") if turned else ("44.4\xa0%", "24.6\xa0%")
    assert headline(replace(run, scores=scores)) == (
        "No change of failures on held-out tasks can be told from chance, "
        f"{' → '.join(rates)} ({' → '.join(arms)}). Do not ship it."
    )


def test_a_headline_says_that_failures_rose_and_from_nothing(run: RunView) -> None:
    scores = dict(run.scores or {})
    paired = next(
        r for r in scores["paired"] if (r["from"], r["to"], r["code"]) == ("sft", "dpo", None)
    )
    turned = {**paired, "from": "dpo", "to": "sft", "low": 0.1, "high": 0.3}
    scores |= {"paired": [turned], "before": "dpo", "after": "sft", "verdict": "do-not-ship"}
    assert headline(replace(run, scores=scores)).startswith("Failures rose by 81 % on held-out")
    scores["scores"] = [
        {**r, "k": 0, "value": 0.0} if (r["model"], r["code"]) == ("dpo", None) else r
        for r in scores["scores"]
    ]
    assert headline(replace(run, scores=scores)).startswith("Failures rose on held-out tasks, 0.0")


def test_the_headline_of_a_run_without_training() -> None:
    scores = {"scores": [], "paired": [], "verdict": "nothing-to-train", "why": "no step failed"}
    assert headline(RunView(scores=scores)) == "Nothing to train: no step failed."


def test_the_headlines_of_a_scan(run: RunView) -> None:
    counts = run.summary
    assert headline(RunView(summary=counts)) == (
        "581 of 3,786 steps failed (at least 15.3\xa0%); most often WRONG_TYPE."
    )
    assert headline(RunView(summary={**counts, "failed_steps": 0})) == (
        "None of 3,786 steps failed (3,384 could be judged)."
    )
    assert headline(RunView()) == "No agent steps were found."


def test_answers_that_nobody_could_judge_are_no_nothing_to_train() -> None:
    scores = {
        "scores": [],
        "paired": [],
        "verdict": "do-not-ship",
        "why": "0 of dpo",
        "before": "base",
        "after": "dpo",
    }
    assert headline(RunView(scores=scores)) == "Do not ship it: 0 of dpo."


def test_the_funnel_ends_where_the_run_ended(run: RunView) -> None:
    assert [count for _, count in funnel(run)] == [12, 1404, 3786, 581, 203, 182]
    scanned = RunView(summary=run.summary)
    assert [count for _, count in funnel(scanned)] == [12, 1404, 3786, 581, None, None]


def test_codes_and_tools_come_by_their_failures(run: RunView) -> None:
    assert [row.code for row in code_counts(run.summary)][:2] == ["WRONG_TYPE", "ENUM"]
    assert tool_counts(run.summary)[0] == ("convert_units", 812, 201)
    assert code_counts({}) == ()
    assert tool_counts({}) == ()


def test_settings_are_flattened_to_dotted_words() -> None:
    config = {"seed": 42, "dpo": {"loss_type": ("sigmoid", "sft"), "on": True}, "path": None}
    assert list(flat(config)) == [
        ("seed", "42"),
        ("dpo.loss_type", "sigmoid, sft"),
        ("dpo.on", "true"),
        ("path", "–"),
    ]


def test_beside_the_table_stand_the_other_arms_the_greedy_answers_and_what_was_left_out(
    run: RunView,
) -> None:
    scores = {**(run.scores or {}), "unanswered": 3}
    assert [sentence.replace("\xa0", " ") for sentence in also(scores)] == [
        "dpo against base: −46.6 points [−51.6, −41.6], p <0.0001",
        "greedy, one answer a family: 43.3 % → 22.0 %, 20 fixed, 4 broken, McNemar p = 0.0015",
        "3 held-out prompts have no answer and are left out",
    ]
    assert also(None) == ()
