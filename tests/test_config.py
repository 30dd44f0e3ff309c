import dataclasses
import re

import pytest

from misstep.config import RunConfig, dump_config, load_config
from misstep.errors import ConfigError


def test_the_resolved_settings_read_back_as_themselves(tmp_path):
    config = load_config(None, {"dpo.beta": 0.2, "mine.sources": ["retry"], "seed": 7})
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config))
    assert load_config(path) == config


def test_flags_override_the_file(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("seed: 1\ndpo: {beta: 0.3, learning_rate: 1e-4}\n")
    config = load_config(path, {"dpo.beta": 0.9})
    assert (config.seed, config.dpo.beta, config.dpo.learning_rate) == (1, 0.9, 1e-4)


def test_all_faults_are_reported_together_with_the_nearest_key():
    with pytest.raises(ConfigError) as caught:
        load_config(None, {"dpo.learning_rat": 1, "seed": "x", "sft": 3, "mine.split": "random"})
    assert str(caught.value) == (
        "the options: unknown key 'dpo.learning_rat', did you mean dpo.learning_rate?; "
        "seed: expected int, got 'x'; sft: expected keys and values, got 3; "
        "mine.split: expected 'family' or 'time', got 'random'"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n", "expected keys and values at the top, got list"),
        ("a: [\n", "not YAML"),
    ],
)
def test_a_file_that_is_no_settings_says_so(tmp_path, text, said):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_config(path)


def test_an_absent_file_says_so(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")


def test_every_section_is_frozen():
    config = RunConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.dpo.beta = 3


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("dpo.per_device_train_batch_size", 0, "dpo.per_device_train_batch_size: out of range"),
        ("dpo.loss_weights", [1.0], "dpo.loss_weights: out of range, expected one per loss_type"),
        ("eval.confidence", 1.0, "eval.confidence: out of range, expected between 0 and 1"),
        ("mine.heldout", 0.0, "mine.heldout: out of range, expected above 0"),
        ("mine.rejected", [], "mine.rejected: out of range, expected at least one kind"),
        ("mine.rejected", "loop", "got 'loop', did you mean loops?"),
        ("mine.score_margin", 0, "mine.score_margin: out of range, expected above 0, at most 1"),
        ("seed.x", 1, "seed.x: seed is a setting, not a section"),
    ],
)
def test_values_that_cannot_be_used_are_faults(key, value, said):
    overrides = {"seed": 1, key: value} if key == "seed.x" else {key: value}
    with pytest.raises(ConfigError) as caught:
        load_config(None, overrides)
    assert said in str(caught.value)


def test_an_empty_section_keeps_its_defaults(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("dpo:\nvalidate:\n")
    assert load_config(path, {"dpo.beta": 0.3, "validate.json": True}).dpo.beta == 0.3


def test_mappings_are_read_from_a_file_and_from_options(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "validate:\n  levels: {REP_NEAR: off, ENUM: suspect}\n"
        "  exempt:\n    search: [LOOP_SAME_CALL]\n    poll: '*'\n"
    )
    config = load_config(path, {"validate.levels.TRUNCATED": "info"})
    assert config.validate.levels == {"ENUM": "suspect", "REP_NEAR": "off", "TRUNCATED": "info"}
    assert config.validate.exempt == {"poll": ("*",), "search": ("LOOP_SAME_CALL",)}
    again = tmp_path / "again.yaml"
    again.write_text(dump_config(config))
    assert load_config(again) == config


def test_faults_in_mappings_and_inner_sections_name_the_nearest():
    with pytest.raises(ConfigError) as caught:
        load_config(
            None,
            {
                "validate.levels.ENUM": "supsect",
                "validate.levels.RANGE": 3,
                "validate.exempt": ["a"],
                "validate.exempt.tool": 3,
                "validate.limits.same_cal": 3,
            },
        )
    assert str(caught.value) == (
        "the options: validate.exempt.tool: exempt is a setting, not a section; "
        "validate.levels.ENUM: expected 'defect' or 'suspect' or 'info' or 'off', got 'supsect', "
        "did you mean suspect?; "
        "validate.levels.RANGE: expected 'defect' or 'suspect' or 'info' or 'off', got 3; "
        "validate.exempt: expected keys and values, got ['a']; "
        "unknown key 'validate.limits.same_cal', did you mean validate.limits.same_call?"
    )


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("validate.limits.same_call", 2, "validate.limits.same_call: out of range, expected at le"),
        ("validate.limits.loop_count", 2.5, "expected at least 3"),
        ("mine.min_margin", 1.0, "mine.min_margin: out of range, expected from 0 to below 1"),
        ("validate.exempt.t", 3, "validate.exempt.t: expected a list, got 3"),
    ],
)
def test_limits_that_would_call_ordinary_work_a_loop_are_refused(key, value, said):
    with pytest.raises(ConfigError) as caught:
        load_config(None, {key: value})
    assert said in str(caught.value)


def test_a_refused_value_is_named_with_where_it_may_come_from(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("dpo: {loss_type: [ipo, sft]}\n")
    with pytest.raises(ConfigError) as raised:
        load_config(file, {"dpo.beta": -1})
    assert str(raised.value).startswith(f"{file}, with the options: ")
    assert "dpo.beta: out of range, expected above 0, finite, got -1" in str(raised.value)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("dpo.gradient_checkpointing", "did you mean gradient_checkpointing, outside dpo?"),
        ("dpo.dataloader_num_workers", "known: "),
        ("dpo.learning_rat", "did you mean dpo.learning_rate?"),
    ],
)
def test_an_unknown_key_gets_no_hint_that_is_far_from_it(key, hint):
    with pytest.raises(ConfigError, match=f"unknown key '{key}', {re.escape(hint)}"):
        load_config(None, {key: 1})
