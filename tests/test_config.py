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
