import dataclasses

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
        ("mine.heldout", 0.0, "mine.heldout + mine.dev: out of range"),
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
