"""Settings of the training stages: faults are told when they are read, not hours later."""

import dataclasses
import math
import re
import subprocess
import sys
import typing

import pytest

from misstep.config import load_config
from misstep.errors import ConfigError
from misstep.tuning import DpoConfig, DpoLoss

LOSSES = typing.get_args(DpoLoss)


def refusal(**settings) -> str:
    with pytest.raises(ConfigError) as raised:
        load_config(None, {f"dpo.{key}": value for key, value in settings.items()})
    return str(raised.value)


@pytest.mark.parametrize("given", [["sft", "sigmod"], "sigmod"])
def test_a_loss_that_is_none_names_the_nearest(given):
    said = refusal(loss_type=given)
    assert said == (
        f"the options: dpo.loss_type: expected a list of {' or '.join(map(repr, LOSSES))}, "
        f"got {given!r}, did you mean sigmoid?"
    )


def test_a_tracker_that_is_none_names_the_nearest():
    with pytest.raises(ConfigError, match=r"expected a list of 'tensorboard' or .*mean trackio"):
        load_config(None, {"report_to": ["trakio"]})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"f_divergence_type": "forward_kl", "loss_type": ["aot"], "loss_weights": [1.0]},
            "dpo.f_divergence_type: out of range, expected reverse_kl with these losses",
        ),
        (
            {"use_weighting": True, "loss_type": ["aot_unpaired"], "loss_weights": [1.0]},
            "dpo.use_weighting: out of range, expected false with aot, aot_unpaired and hinge",
        ),
        (
            {"use_weighting": True, "loss_type": ["hinge", "sft"]},
            "dpo.use_weighting: out of range, expected false with aot, aot_unpaired and hinge",
        ),
        (
            {"loss_type": ["robust"], "loss_weights": [1.0], "label_smoothing": 0.5},
            "dpo.label_smoothing: out of range, expected below 0.5 with robust",
        ),
        (
            {"label_smoothing": 1},
            "dpo.label_smoothing: out of range, expected from 0 to below 1",
        ),
        (
            {"label_smoothing": -0.1},
            "dpo.label_smoothing: out of range, expected from 0 to below 1",
        ),
        (
            {"ld_alpha": 1.5},
            "dpo.ld_alpha: out of range, expected null, or from 0 to 1",
        ),
        (
            {"ld_alpha": -0.5},
            "dpo.ld_alpha: out of range, expected null, or from 0 to 1",
        ),
        (
            {"warmup_ratio": 1.5},
            "dpo.warmup_ratio: out of range, expected from 0 to 1",
        ),
        (
            {"label_smoothing": 0.1},
            "dpo.label_smoothing: out of range, expected 0 with these losses (robust is sigmoid "
            "with smoothing)",
        ),
        (
            {"loss_type": ["exo_pair"], "loss_weights": [1.0]},
            "dpo.label_smoothing: out of range, expected above 0 with exo_pair",
        ),
        (
            {"loss_type": [], "loss_weights": []},
            "dpo.loss_type: out of range, expected at least one",
        ),
    ],
)
def test_losses_that_the_trainer_would_refuse_are_refused_at_once(settings, said):
    told = refusal(**settings)
    assert told.startswith(f"the options: {said}, got ")
    assert ";" not in told


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lora.lora_dropout": -0.1}, "lora.lora_dropout: out of range, expected from 0 to below"),
        ({"lora.lora_dropout": 1}, "lora.lora_dropout: out of range, expected from 0 to below 1"),
        ({"sft.warmup_ratio": -1}, "sft.warmup_ratio: out of range, expected from 0 to 1"),
        (
            {"lora.enabled": False, "lora.load_in_4bit": True},
            "lora.load_in_4bit: out of range, expected false with lora.enabled: false",
        ),
        ({"report_to": ["none", "wandb"]}, "report_to: out of range, expected none, or trackers"),
        ({"seed": -1}, "seed: out of range, expected from 0 to 4294967295"),
        ({"seed": 2**32}, "seed: out of range, expected from 0 to 4294967295"),
        ({"lora.lora_alpha": 0}, "lora.lora_alpha: out of range, expected at least 1"),
        ({"sft.learning_rate": math.inf}, "sft.learning_rate: out of range, expected above 0, fi"),
        ({"sft.num_train_epochs": math.inf}, "sft.num_train_epochs: out of range, expected above"),
        ({"dpo.beta": math.inf}, "dpo.beta: out of range, expected above 0, finite"),
        ({"kto.beta": math.nan}, "kto.beta: out of range, expected above 0, finite"),
        ({"dpo.discopop_tau": 0}, "dpo.discopop_tau: out of range, expected above 0, finite"),
        ({"dpo.loss_weights": [1.0, -1.0]}, "dpo.loss_weights: out of range, expected 0 or more"),
        ({"dpo.loss_weights": [math.nan, 1]}, "dpo.loss_weights: out of range, expected 0 or more"),
        ({"dpo.loss_weights": [0, 0]}, "dpo.loss_weights: out of range, expected one of them abo"),
        ({"dpo.max_chosen_drop": -1}, "dpo.max_chosen_drop: out of range, expected 0 (never stop"),
        ({"kto.max_chosen_drop": -1}, "kto.max_chosen_drop: out of range, expected 0 (never stop"),
        ({"kto.undesirable_weight": -3}, "kto.undesirable_weight: out of range, expected 0 or mo"),
        (
            {"kto.desirable_weight": 0, "kto.undesirable_weight": 0},
            "kto.desirable_weight: out of range, expected above 0 where kto.undesirable_weight is ",
        ),
    ],
)
def test_settings_that_no_training_could_use_are_refused(settings, said):
    with pytest.raises(ConfigError) as raised:
        load_config(None, settings)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"dpo.ld_alpha": 0, "dpo.warmup_ratio": 1, "lora.lora_dropout": 0},
        {"dpo.ld_alpha": 1, "dpo.warmup_ratio": 0, "lora.lora_dropout": 0.99},
        {"dpo.ld_alpha": None, "lora.enabled": False},
        {"dpo.loss_weights": [1, 0], "kto.undesirable_weight": 0, "dpo.max_chosen_drop": 0},
        {"seed": 2**32 - 1},
        {"report_to": "none"},
        {"report_to": ["none"]},
    ],
)
def test_settings_at_the_border_are_taken(settings):
    assert load_config(None, settings)


def test_the_losses_are_those_of_the_installed_trl():
    trl = pytest.importorskip("trl", reason="needs the train extra")
    fields = {field.name: field for field in dataclasses.fields(trl.DPOConfig)}
    told = fields["loss_type"].metadata["help"].split("If multiple")[0]
    assert set(re.findall(r"`'(\w+)'`", told)) == set(LOSSES)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_can_be_set(loss):
    smoothing = 0.1 if loss == "exo_pair" else 0.0
    settings = {"loss_type": [loss], "loss_weights": [1.0], "label_smoothing": smoothing}
    config = load_config(None, {f"dpo.{key}": value for key, value in settings.items()})
    assert config.dpo.loss_type == (loss,)
    assert DpoConfig().loss_type == ("sigmoid", "sft")


def test_reading_settings_does_not_load_trl():
    code = (
        "import sys\nfrom misstep.config import load_config\n"
        "load_config(None, {'dpo.loss_type': ['ipo', 'sft']})\n"
        "print({'trl', 'torch'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
