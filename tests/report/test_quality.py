"""Loops and worth as tables, in Markdown and in HTML, and the pages beside what was read."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from typing import Any

import pytest

from misstep.report import RunView
from misstep.report.html import render
from misstep.report.markdown import _lines
from misstep.report.quality import quality_tables, sentences


def figure(metric: str, model: str, value: float, k: int | None = None) -> dict[str, Any]:
    return {
        "metric": metric,
        "model": model,
        "answers": "greedy",
        "value": value,
        "n": 40,
        "k": k,
        "low": value * 0.5,
        "high": value * 1.5,
        "seed": 1,
    }


def test_an_interval_of_no_width_is_none(scores) -> None:
    rows = [{**figure("cer", arm, 0.0), "low": 0.0, "high": 0.0} for arm in ("sft", "dpo")]
    scores |= {"gold": {"prompts": 3, "scores": rows, "paired": []}}
    (table,) = quality_tables(scores)
    (line,) = (line for line in table.lines if line.label == "character error rate")
    assert {cell.range for cell in line.cells} == {"no interval: no two families differ"}


def move(metric: str, better: int, worse: int, p: float) -> dict[str, Any]:
    ends = {"from": "sft", "to": "dpo", "metric": metric, "families": 40}
    return {**ends, "better": better, "worse": worse, "p": p, "difference": -0.1}


@pytest.fixture
def scores() -> dict[str, Any]:
    return {
        "scores": [],
        "paired": [],
        "verdict": "ship",
        "why": "",
        "before": "sft",
        "after": "dpo",
        "degeneration": {
            "scores": [
                figure("degenerate_published", "sft", 0.25, 10),
                figure("degenerate_published", "dpo", 0.05, 2),
                figure("tokens", "sft", 1234.4),
                figure("tokens", "dpo", 800.0),
            ],
            "paired": [move("degenerate_published", 9, 1, 0.0215)],
            "disagreeing": 3,
            "disagreements": [],
        },
        "gold": {
            "prompts": 40,
            "scores": [figure("text_score", "sft", 0.8), figure("text_score", "dpo", 0.82)],
            "paired": [move("text_score", 20, 12, 0.2)],
        },
    }


TIMING = [
    {"model": "sft", "kind": "greedy", "seconds_per_answer": 2.5, "loop_share": 0.4247},
    {"model": "dpo", "kind": "greedy", "seconds_per_answer": 1.5, "loop_share": 0.05},
]


def test_every_figure_has_its_interval_its_n_and_the_paired_change(scores):
    (table,) = quality_tables(scores, TIMING)
    lines = {line.label: line for line in table.lines}
    loops = lines["loops, published rule"]
    assert [cell.value for cell in loops.cells] == [
        "25.0\N{NO-BREAK SPACE}%",
        "5.0\N{NO-BREAK SPACE}%",
    ]
    assert [cell.counts for cell in loops.cells] == ["10 of 40", "2 of 40"]
    assert (loops.better, loops.p, table.compared) == ("9 / 1", "0.021", "sft → dpo")
    assert lines["tokens an answer"].cells[0].value == "1,234"
    assert lines["text score, (Levenshtein + BLEU-4) / 2"].cells[1].value == "0.820"
    assert [c.value for c in lines["seconds an answer"].cells] == ["2.50", "1.50"]
    assert lines["seconds in answers that loop"].cells[0].value == "42.5\N{NO-BREAK SPACE}%"


def test_without_loops_and_gold_nothing_is_shown(scores):
    del scores["gold"]
    for row in scores["degeneration"]["scores"]:
        row["k"] = None if row["k"] is None else 0
    assert quality_tables(scores) == ()
    assert quality_tables(None) == ()
    assert "Loops and worth" not in render(RunView(scores=scores))


def test_markdown_and_html_hold_the_tables(scores):
    run = RunView(scores=scores, timing=TIMING)
    text, page = "\n".join(_lines(run)), render(run)
    for whole in (text, page):
        assert "Loops and worth of the answers" in whole
        assert "10 of 40" in whole
        assert "9 / 1" in whole
        assert "3 answers are loops by one rule and not by the other." in whole
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({line.count("|") for line in rows if "sft" in line or "loops" in line}) == 1


def test_a_terminal_gets_a_line_for_loops_and_one_for_the_score(scores):
    assert list(sentences(scores)) == [
        "loops, published rule: 25.0\N{NO-BREAK SPACE}% → 5.0\N{NO-BREAK SPACE}% "
        "(10 of 40 → 2 of 40), 9 / 1 better / worse, p 0.021",
        "text score, (Levenshtein + BLEU-4) / 2: 0.800 → 0.820 (n = 40 → n = 40), "
        "20 / 12 better / worse, p 0.2",
    ]
    assert list(sentences(None)) == []


def test_a_terminal_says_nothing_of_loops_that_neither_compared_arm_has(scores):
    for row in scores["degeneration"]["scores"]:
        if row["model"] in (scores["before"], scores["after"]) and row["k"] is not None:
            row["k"] = 0
    told = list(sentences(scores))
    assert "loops, published rule" in told[0]  # pages: that there are none is worth a line
    gold = scores.pop("gold")
    scores["degeneration"]["scores"].append(
        {**scores["degeneration"]["scores"][0], "model": "base", "k": 3}
    )
    assert gold
    assert quality_tables(scores)
    assert list(sentences(scores)) == []


def shown(**more: Any) -> dict[str, Any]:
    from PIL import Image

    out = io.BytesIO()
    Image.new("L", (40, 30), 255).save(out, "JPEG")
    image = f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
    answer = {
        "model": "sft",
        "codes": ["REP_LOOP"],
        "published": True,
        "score": 0.1234,
        "runs": [["<b>Ata ", ""], ["um dois um dois", "mark"], [" … 90 characters", "gap"]],
    }
    return {
        "place": "atas.parquet page-3",
        "image": image,
        "why": "",
        "width": 400,
        "height": 300,
        "shown_width": 40,
        "shown_height": 30,
        "gold": "<script>gold</script>",
        "answers": [answer],
        **more,
    }


def test_a_page_stands_beside_its_gold_and_what_was_read_with_the_loop_marked(scores):
    page = render(RunView(scores=scores, pages=[shown()]))
    assert "img-src data:" in page
    assert '<img src="data:image/jpeg;base64,' in page
    assert "&lt;script&gt;gold&lt;/script&gt;" in page
    assert '<mark class="mark">um dois um dois</mark>' in page
    assert "&lt;b&gt;Ata" in page
    assert "published rule" in page
    assert "0.123" in page


def test_a_page_that_cannot_be_shown_says_why(scores):
    page = render(RunView(scores=scores, pages=[shown(image="", why="cut short", gold=None)]))
    assert "cut short" in page
    assert "<img" not in page


def test_a_run_without_pages_allows_no_images(scores):
    assert "img-src" not in render(replace(RunView(), scores=scores))
