"""The model card: what it says, and the place for the measured table."""

from __future__ import annotations

from misstep.train.card import card, fill
from misstep.train.rows import set_aside
from training import pairs

NOTE = {
    "stage": "dpo",
    "base": "smollm2",
    "seed": 7,
    "steps": 3,
    "rows": 12,
    "config": {"beta": 0.5},
    "versions": {"trl": "1.16.0"},
    "stopped": "",
}


def test_the_card_says_what_it_was_trained_on():
    rows = pairs(3)
    text = card(NOTE, rows, [set_aside(rows[0], "too-long", "x")])
    assert text.startswith("---\nbase_model: smollm2\nlibrary_name: peft\n")
    assert "| TOOL_UNKNOWN | 3 |" in text
    assert "| too-long | 1 |" in text
    assert "- `beta`: 0.5" in text
    assert "Training ended early" not in text


def test_the_card_says_why_training_ended_early():
    text = card({**NOTE, "stopped": "the disk of patience was full"}, [], [])
    assert text.endswith("\nTraining ended early: the disk of patience was full.\n")


def test_the_measured_table_replaces_what_stood_there(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(card(NOTE, pairs(1), []), encoding="utf-8")
    for table in ("| first |", "| second |\n"):
        fill(tmp_path, table, funnel="3 files → 2 pairs")
    text = path.read_text(encoding="utf-8")
    assert (
        "## Before and after\n\n<!-- before-after -->\n| second |\n<!-- /before-after -->" in text
    )
    assert "<!-- funnel -->\n3 files → 2 pairs\n<!-- /funnel -->" in text
    assert "Not measured yet" not in text
    assert "first" not in text
