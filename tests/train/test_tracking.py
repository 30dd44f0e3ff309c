"""Trackers: they get the losses, and what they write stays when the stage is done."""

from __future__ import annotations

import os
import sys
from types import ModuleType

import pytest

from training import LORA, SFT, pairs, settings

pytest.importorskip("torch")

from misstep import train


def go(tiny, out, run):
    return train.train_sft(
        pairs(8), base=tiny, adapter=None, out=out, config=SFT, lora=LORA, run=run
    )


def stand_in(monkeypatch, name, callback):
    """A tracker under this name, as if it were installed."""
    from transformers.integrations import integration_utils

    module = ModuleType(name)
    module.__spec__ = sys.modules["json"].__spec__
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, name, callback)


def test_losses_go_to_a_tracker_that_is_asked_for(tiny, tmp_path, monkeypatch):
    from transformers import TrainerCallback

    seen = []

    class Tracker(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs):
            seen.append((args.run_name, logs.get("loss")))

    stand_in(monkeypatch, "trackio", Tracker)
    trained = go(tiny, tmp_path / "o", run=settings(report_to=("trackio",)))
    losses_seen = [loss for name, loss in seen if name == "misstep-sft" and loss is not None]
    assert losses_seen == [entry["loss"] for entry in trained.log if "loss" in entry]


def test_a_tracker_that_is_not_installed_is_named(tiny, tmp_path):
    from misstep.errors import ConfigError

    with pytest.raises(ConfigError, match="report_to: nonesuch is not installed; pip install"):
        go(tiny, tmp_path / "o", run=settings(report_to=("nonesuch",)))


@pytest.mark.parametrize("names", [(), ("none",)])
def test_none_is_nobody(names):
    from misstep.train.tracking import trackers

    assert trackers(names) == "none"


@pytest.mark.parametrize("own", [None, "elsewhere"])
def test_tensorboard_writes_where_the_end_of_a_stage_removes_nothing(
    tiny, tmp_path, monkeypatch, own
):
    # transformers' callback reads this variable when the trainer is made; the package is not here
    from transformers import TrainerCallback

    asked = []

    class Tensorboard(TrainerCallback):
        def __init__(self):
            asked.append(os.environ["TENSORBOARD_LOGGING_DIR"])

    stand_in(monkeypatch, "tensorboard", Tensorboard)
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    if own:
        monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", own)
    go(tiny, tmp_path / "adapter", settings(report_to=("tensorboard",)))
    assert asked == [own or str(tmp_path / "tensorboard" / "adapter")]
    assert os.environ.get("TENSORBOARD_LOGGING_DIR") == own


def test_transformers_still_reads_the_variable():
    import inspect

    from transformers.integrations import TensorBoardCallback

    assert '"TENSORBOARD_LOGGING_DIR"' in inspect.getsource(TensorBoardCallback.__init__)
