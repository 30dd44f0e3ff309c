"""The model card: what it says, and the place for the measured table."""

from __future__ import annotations

import pytest

from misstep.train.card import START, card, fill
from misstep.train.rows import set_aside
from training import pairs

NOTE = {
    "stage": "dpo",
    "base": "smollm2",
    "seed": 7,
    "steps": 3,
    "rows": 12,
    "trained": "adapter",
    "config": {"beta": 0.5},
    "lora": {"enabled": True, "lora_r": 4, "lora_alpha": 8, "use_dora": True},
    "dtype": "bfloat16",
    "processes": 2,
    "versions": {"trl": "1.16.0"},
    "stopped": "",
}


def test_the_card_says_what_it_was_trained_on():
    rows = pairs(3)
    text = card(NOTE, rows, [set_aside(rows[0], "too-long", "x")])
    head = "---\nbase_model: HuggingFaceTB/SmolLM2-135M-Instruct\nlibrary_name: peft\n"
    assert text.startswith(head)
    assert "| TOOL_UNKNOWN | 3 |" in text
    assert "| too-long | 1 |" in text
    assert "Training ended early" not in text


def test_the_card_names_every_setting_of_the_stage_and_of_the_adapter():
    settings = card(NOTE, [], []).split("## Settings")[1].split("Versions")[0]
    assert settings.split("\n") == [
        "",
        "",
        "- `beta`: 0.5",
        "- `dtype`: bfloat16",
        "- `lora.enabled`: True",
        "- `lora.lora_alpha`: 8",
        "- `lora.lora_r`: 4",
        "- `lora.use_dora`: True",
        "- `processes`: 2",
        "",
        "",
    ]
    whole = {**NOTE, "trained": "model", "lora": {**NOTE["lora"], "enabled": False}}
    text = card(whole, [], [])
    assert "- `lora.enabled`: False" in text
    assert "lora_r" not in text


def test_the_card_says_how_prompts_were_written_where_a_server_would_not():
    heading = "## How prompts were written"
    assert heading in card({**NOTE, "rendering": "fallback"}, [], [])
    assert heading not in card({**NOTE, "rendering": "native"}, [], [])
    assert heading not in card(NOTE, [], [])


def test_the_card_says_why_training_ended_early():
    text = card({**NOTE, "stopped": "the disk of patience was full"}, [], [])
    assert text.endswith("\nTraining ended early: the disk of patience was full.\n")


@pytest.mark.parametrize("trained", ["adapter", "model"])
@pytest.mark.parametrize("given", ["/home/ada/models/tiny", "./models/tiny", "here"])
def test_a_base_in_a_folder_is_named_and_its_path_is_not_told(
    tmp_path, monkeypatch, given, trained
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    text = card({**NOTE, "base": given, "trained": trained}, [], [])
    name = given.rsplit("/")[-1]
    assert "base_model" not in text
    assert given == name or given not in text
    assert (
        f"# DPO adapter for {name}\n" if trained == "adapter" else f"# {name} after DPO"
    ) in text


def test_a_base_on_the_hub_stands_in_the_front_matter():
    text = card({**NOTE, "base": "acme/small-1b"}, [], [])
    assert text.startswith("---\nbase_model: acme/small-1b\n")
    assert "# DPO adapter for acme/small-1b\n" in text


def test_the_card_of_an_adapter_that_is_not_measured_says_where_figures_are():
    text = card({**NOTE, "stage": "sft"}, [], [])
    assert "Not measured yet" not in text
    assert f"{START}\nFigures of a run stand in `report.md` of its folder.\n" in text


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
