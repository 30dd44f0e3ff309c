"""TRL as it is installed: what our trainers replace is there, and several GPUs are no obstacle."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from importlib.metadata import version

import pytest

from training import DPO, KTO, LORA, SFT, labelled, pairs, settings

torch = pytest.importorskip("torch")
trl = pytest.importorskip("trl")

from misstep import train  # noqa: E402
from misstep.errors import ConfigError  # noqa: E402
from misstep.train import installed  # noqa: E402
from misstep.train.labels import LabelTrainer  # noqa: E402
from misstep.train.trainers import AnswerTrainer, PairTrainer, Quiet  # noqa: E402

STAGES = {
    "sft": (train.train_sft, SFT, trl.SFTTrainer, "compute_loss"),
    "dpo": (train.train_dpo, DPO, trl.DPOTrainer, "_compute_loss"),
    "kto": (train.train_kto, KTO, trl.KTOTrainer, "_compute_kl_logps"),
}


def go(stage, tiny, out, **changes):
    do, config, *_ = STAGES[stage]
    rows = labelled(16) if stage == "kto" else pairs(8)
    return do(
        rows,
        base=tiny,
        adapter=None,
        out=out,
        config=replace(config, max_steps=1),
        lora=LORA,
        run=settings(**changes),
    )


@pytest.mark.parametrize("ours", [AnswerTrainer, PairTrainer, LabelTrainer])
def test_what_is_replaced_is_listed(ours):
    theirs = ours.__mro__[2]
    assert theirs.__module__.startswith("trl.")
    written = {name for kind in (ours, Quiet) for name in vars(kind) if not name.startswith("__")}
    replaced = {name for name in written if callable(getattr(theirs, name, None))}
    assert replaced == set(ours.overridden)


def test_the_installed_version_is_among_those_that_are_named():
    assert version("trl") in installed.TESTED


@pytest.mark.parametrize("stage", list(STAGES))
def test_a_trl_without_a_method_that_is_replaced_is_refused(stage, tiny, tmp_path, monkeypatch):
    *_, theirs, name = STAGES[stage]
    monkeypatch.setattr(installed, "hasattr", lambda _, asked: asked != name, raising=False)
    with pytest.raises(ConfigError) as raised:
        go(stage, tiny, tmp_path / "o")
    assert str(raised.value) == (
        f"trl {version('trl')}: its {theirs.__name__} has no {name}, which misstep builds on; "
        "tested with trl 1.16.0: pip install 'trl==1.16.0'"
    )


@pytest.mark.parametrize("stage", list(STAGES))
def test_of_several_gpus_one_is_used_and_it_is_said(stage, tiny, tmp_path, monkeypatch):
    # what transformers does to the arguments where a process without a launcher sees two of them
    module = import_module(f"misstep.train.{stage}")
    plain = module.TrlConfig

    def on_two(**given):
        made = plain(**given)
        made._n_gpu = 2
        return made

    monkeypatch.setattr(module, "TrlConfig", on_two)
    heard = []
    trained = go(stage, tiny, tmp_path / "o", say=heard.append)
    note = "one of 2 GPUs is used; `accelerate launch -m misstep train DIR` trains on all"
    assert heard == [f"training: {note}"]
    assert {"note": note} in trained.log
    assert trained.steps == 1
