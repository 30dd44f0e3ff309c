"""Did it do it, what did it cost: the answers in the terminal, in Markdown and in the page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from misstep.report import RunView, terminal_summary
from misstep.report.effect import _ANSWERS, _SHORT, parts, title
from misstep.report.html import render
from misstep.report.markdown import _lines
from misstep.report.spending import clock
from misstep.report.tables import headline


def move(difference: float, p: float = 0.00002, half: float = 0.04) -> dict[str, Any]:
    ends = {"low": difference - half, "high": difference + half}
    return {"better": 28, "worse": 5, "p": p, "difference": difference, **ends}


def row(metric: str, values: tuple[float, float, float | None], **more: Any) -> dict[str, Any]:
    before, after, control = values
    arms = {"sft": before, "dpo": after} | ({} if control is None else {"control": control})
    against = None if control is None else move(after - control)
    change = move(after - before)
    made = {"metric": metric, "answers": "greedy", "values": arms}
    return {**made, "change": change, "against_control": against, **more}


@pytest.fixture
def answered(run: RunView) -> RunView:
    """A run over pages with a control, gold and clocks."""
    effect = {
        "stage": "dpo",
        "control": "control",
        "lead": "degenerate_published",
        "measures": [
            row("failure_rate", (0.444, 0.246, 0.25), answers="sampled", word="as-much"),
            row("degenerate_published", (0.31, 0.016, 0.25), word="preference"),
        ],
    }
    cost = {
        "gold": [
            row("text_score", (0.8, 0.82, 0.81), moved="better"),
            row("wer", (0.1, 0.2, 0.1), moved="worse"),
            row("bleu4", (0.5, 0.51, 0.5), moved=""),
        ],
        "codes": [
            {
                "code": "ENUM",
                "value_before": 0.02,
                "value_after": 0.08,
                **{"difference": 0.06, "low": 0.01, "high": 0.1, "p": 0.01, "told": True},
            },
            {
                "code": "RANGE",
                "value_before": 0.02,
                "value_after": 0.03,
                **{"difference": 0.01, "low": -0.01, "high": 0.1, "p": 0.4, "told": False},
            },
        ],
        "guards_down": [],
        "lengths": [
            row("tokens", (264.0, 198.0, 203.0), change=move(-66.0, half=8.0)),
            row("healthy_tokens", (190.0, 193.0, 192.0), change=move(3.0, half=5.0)),
        ],
    }
    timing = [
        {"model": arm, "kind": "greedy", "seconds_per_answer": each, "loop_share": share}
        for arm, each, share in (("sft", 2.5, 0.38), ("dpo", 1.5, 0.03))
    ]
    return replace(
        run, scores={**(run.scores or {}), "effect": effect, "cost": cost}, timing=timing
    )


def spent(**more: Any) -> list[dict[str, Any]]:
    train = {"stage": "train", "round": "1", "rows": 400, "steps": 50, "tokens": 387_393}
    sample = {"stage": "sample", "round": "1", "answers": 2000, "tokens": 449_080}
    control = {**train, "stage": "control", "round": "", "seconds": 30.0}
    return [{**sample, "seconds": 200.5}, {**train, "seconds": 61.0, **more}, control]


def plain(lines: tuple[str, ...]) -> str:
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")


def test_the_measure_that_is_asked_about_gives_the_answer_and_comes_first(answered):
    doing, _ = parts(answered)
    assert (doing.question, doing.word) == ("Did DPO do it?", "Yes")
    assert "loops by the published rule" in doing.why
    first, second = plain(doing.lines).splitlines()
    assert first == (
        "Loops by the published rule, one greedy answer a family: 31.0 % (sft) → 1.6 % (dpo), "
        "control 25.0 %; dpo against the control −23.4 points [−27.4, −19.4], 28 families better, "
        "5 worse, McNemar p <0.0001: the preference made the difference."
    )
    assert second.startswith("Failures of any kind, sampled answers: 44.4 % (sft) → 24.6 % (dpo)")
    assert second.endswith("sign-flip p <0.0001: continued SFT does as much.")


@pytest.mark.parametrize("word", _ANSWERS)
def test_every_word_has_its_conclusion(answered, word):
    scores = dict(answered.scores)
    lead = {**scores["effect"]["measures"][1], "word": word}
    scores["effect"] = {**scores["effect"], "measures": [lead]}
    doing, _ = parts(replace(answered, scores=scores))
    assert doing.word == _ANSWERS[word][0]
    assert "{" not in doing.why
    assert _SHORT[word] in doing.lines[0]
    assert _SHORT[word] in doing.short


def test_without_a_control_it_is_said_and_how_to_get_one(answered):
    scores = dict(answered.scores)
    lead = row("failure_rate", (0.444, 0.246, None), word="no-control")
    scores["effect"] = {**scores["effect"], "control": None, "measures": [lead]}
    shown = replace(answered, scores=scores)
    text = "\n".join(_lines(shown))
    assert "**Did DPO do it? Not known:** failures of any kind fell, and no control was" in text
    assert "--control" in text
    assert "dpo against sft" in text
    assert "--control" in terminal_summary(shown)


def test_a_change_of_length_of_one_family_has_no_interval(answered):
    (row,) = (r for r in answered.scores["cost"]["lengths"] if r["metric"] == "healthy_tokens")
    row["change"] |= {"low": 3.0, "high": 3.0}
    told = plain(parts(replace(answered, spent=spent()))[1].lines)
    assert "change +3.0 [no interval: no two families differ]." in told


def test_what_got_worse_is_named_and_the_rest_is_told_with_its_figures(answered):
    _, price = parts(replace(answered, spent=spent()))
    assert price.word == "Something got worse"
    assert price.why.startswith("word error rate, ENUM, by more than chance; 4 min of")
    told = plain(price.lines)
    assert "text score 0.800 (sft) → 0.820 (dpo), control 0.810 (better, p <0.0001)" in told
    assert "word error rate 10.0 % (sft) → 20.0 % (dpo), control 10.0 % (worse, p <0.0001)" in told
    assert "BLEU-4" not in told
    assert "ENUM 2.0 % → 8.0 % (p = 0.01); RANGE 2.0 % → 3.0 % (may be chance, p = 0.4)." in told
    assert "Tokens of an answer that does not loop: 190 (sft) → 193 (dpo)" in told
    assert "same tools as accepted 84.2 % → 86.1 %" in told


def test_what_was_spent_stands_against_what_is_saved(answered):
    _, price = parts(replace(answered, spent=spent()))
    told = plain(price.lines)
    assert (
        "Spent: 2,000 sampled answers (449,080 tokens, 3 min); 50 steps of training (387,393 "
        "tokens, 61 s); for comparison, the control's 50 steps (387,393 tokens, 30 s)."
    ) in told
    assert (
        "In answering: tokens an answer 264 → 198, −25 %; seconds an answer 2.50 → 1.50; share of "
        "the time in answers that loop 38.0 % → 3.0 %. At this rate sampling and training are "
        "earned back after about 260 answers."
    ) in told


def test_nothing_is_earned_back_where_answers_did_not_get_shorter_for_sure(answered):
    scores = dict(answered.scores)
    longer = row("tokens", (264.0, 260.0, 203.0), change=move(-4.0, half=8.0))
    scores["cost"] = {**scores["cost"], "lengths": [longer]}
    _, price = parts(replace(answered, scores=scores, spent=spent()))
    assert "earned back" not in plain(price.lines)


def test_what_is_missing_is_said_to_be(answered):
    scores = dict(answered.scores)
    scores["cost"] = {**scores["cost"], "gold": None, "codes": [], "lengths": []}
    _, price = parts(replace(answered, scores=scores, timing=[]))
    told = plain(price.lines)
    assert price.word == "Nothing beyond chance"
    assert "Against gold: not measured" in told
    assert "--references FILE" in told
    assert "Spent: not known." in told
    assert "Saved in answering: not known" in told
    _, price = parts(replace(answered, spent=spent(seconds=None)))
    assert "50 steps of training (387,393 tokens, time not noted)" in plain(price.lines)
    assert "earned back" not in plain(price.lines)


def test_it_stands_above_the_tables_in_all_three(answered):
    text, page = "\n".join(_lines(answered)), render(answered)
    heading = "Did DPO do it, and what did it cost?"
    assert title(answered) == heading
    assert text.index(f"## {heading}") < text.index("## Before and after")
    assert page.index(heading) < page.index(">Before and after</h2>")
    assert "<b>Something got worse</b>" in page
    said = " ".join(terminal_summary(answered).split())
    assert "did DPO do it? Yes: the preference made the difference (loops by the published" in said
    assert "what did it cost? worse: word error rate, ENUM; text score 0.800 → 0.820" in said


def test_the_end_of_a_run_still_fits_forty_lines(answered):
    lines = terminal_summary(answered).splitlines()
    assert len(lines) <= 40
    assert all(len(line) <= 80 for line in lines)


def test_codes_of_plug_ins_are_escaped(answered):
    scores = dict(answered.scores)
    evil = {**scores["cost"]["codes"][0], "code": "<script>x</script>|`y`"}
    scores["cost"] = {**scores["cost"], "codes": [evil]}
    shown = replace(answered, scores=scores)
    assert "<script>x" not in render(shown)
    assert "&lt;script>x" in "\n".join(_lines(shown))


def test_a_run_without_the_sections_shows_none(run):
    assert parts(run) == ()
    assert "what did it cost" not in "\n".join(_lines(run)) + terminal_summary(run)
    assert 'id="effect"' not in render(run)


def test_without_a_preference_stage_the_cost_alone_is_told(answered):
    scores = {name: value for name, value in answered.scores.items() if name != "effect"}
    shown = replace(answered, scores=scores)
    assert title(shown) == "What did it cost?"
    assert [part.question for part in parts(shown)] == ["What did it cost?"]


def test_time_is_told_in_the_unit_that_fits():
    assert [clock(s) for s in (61.2, 200, 20_000)] == ["61 s", "3 min", "5.6 h"]


def looped(run: RunView, before: int, after: int, **more: Any) -> RunView:
    """The run with so many greedy loops on 364 pages."""
    counts = {"sft": before, "dpo": after}
    figures = [
        {"metric": "degenerate_published", "model": arm, "answers": "greedy", "value": k / 364}
        | {"n": 364, "k": k, "low": 0.0, "high": 1.0, "seed": 42}
        for arm, k in counts.items()
    ]
    section = {"scores": figures, "paired": [], "disagreeing": 0, "disagreements": []}
    scores = dict(run.scores or {})
    values = (before / 364, after / 364, None)
    change = {**move((after - before) / 364), **more}
    lead = row("degenerate_published", values, change=change, word="no-control")
    measures = [scores["effect"]["measures"][0], lead]
    scores["effect"] = {**scores["effect"], "measures": measures}
    return replace(run, scores={**scores, "degeneration": section})


def test_the_headline_of_a_run_on_pages_leads_with_its_loops_in_every_report(answered):
    run = looped(answered, 106, 8)
    said = (
        "Loops fell from 106 to 8 of 364 pages; failures of any kind fell by 45 % on held-out "
        "tasks, 44.4 % → 24.6 % (sft → dpo). Ship it."
    )
    assert plain((headline(run),)) == said
    assert " ".join(terminal_summary(run).split()).startswith(said)
    assert said in plain(tuple(_lines(run)))
    assert said in plain((render(run),))


@pytest.mark.parametrize(
    ("counts", "more", "said"),
    [
        ((8, 106), {}, "Loops rose from 8 to 106 of 364 pages"),
        ((9, 9), {}, "Loops did not change: 9 of 364 pages"),
        ((9, 8), {"p": 0.7}, "No change of loops can be told from chance, 9 → 8 of 364 pages"),
    ],
)
def test_a_headline_does_not_call_chance_a_change_of_loops(answered, counts, more, said):
    found = headline(looped(answered, *counts, **more))
    assert found.startswith(f"{said}; failures of any kind fell by 45 %")


def test_a_run_that_asks_about_failures_first_has_no_loops_in_its_headline(answered):
    run = looped(answered, 106, 8)
    scores = dict(run.scores or {})
    scores["effect"] = {**scores["effect"], "lead": "failure_rate"}
    assert headline(replace(run, scores=scores)).startswith("Failures fell by 45 %")


def test_of_several_pages_a_document_the_words_and_the_test_are_others(answered):
    scores = {**answered.scores, "families": 6, "prompts": 48}
    doing, price = parts(replace(answered, scores=scores))
    assert "published rule, all greedy answers: " in doing.lines[0]
    assert "sign-flip p" in doing.lines[0]
    assert "Against gold, all greedy answers: " in plain(price.lines)
