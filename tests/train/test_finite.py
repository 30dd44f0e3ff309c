"""Numbers that overflow: a training ends before the step, says so, and writes nothing broken."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from training import DPO, KTO, LORA, SFT, labelled, pairs, say, settings

torch = pytest.importorskip("torch")

from misstep import train  # noqa: E402
from misstep.errors import StageError  # noqa: E402

FAR = 1e25
"""A learning rate whose first step leaves weights that are finite and give nothing finite."""
STAGES = {
    "sft": (train.train_sft, replace(SFT, learning_rate=FAR)),
    "dpo": (train.train_dpo, replace(DPO, learning_rate=FAR)),
    "kto": (train.train_kto, replace(KTO, learning_rate=FAR)),
}


def go(stage, base, out, **changes):
    run, config = STAGES[stage]
    rows = labelled(18) if stage == "kto" else pairs(18)
    given = {"rows": rows, "adapter": None, "config": config, "lora": LORA, "run": settings()}
    given.update(changes)
    return run(given.pop("rows"), base=base, out=out, **given)


def weights(folder):
    from safetensors.torch import load_file

    (path,) = folder.glob("*.safetensors")
    return load_file(path)


def finite(folder):
    return all(bool(value.isfinite().all()) for value in weights(folder).values())


@pytest.mark.parametrize(
    ("stage", "what", "instead"),
    [
        ("sft", "the loss", ""),
        (
            "dpo",
            "the log-probability of the chosen answers",
            ", take another dpo.loss_type or dpo.f_divergence_type",
        ),
        ("kto", "the log-probability of the chosen answers", ", take another kto.loss_type"),
    ],
)
def test_a_stage_ends_before_a_step_that_is_not_finite(stage, what, instead, tiny, tmp_path):
    heard = []
    trained = go(stage, tiny, tmp_path / "o", run=settings(say=heard.append))
    assert 0 < trained.steps < 5
    assert trained.stopped == (
        f"stopped at step {trained.steps + 1} of 5: {what} is not a finite number (NaN or "
        f"infinite); the weights are those of step {trained.steps}; lower {stage}.learning_rate"
        f"{instead} or train with dtype=float32"
    )
    assert finite(trained.adapter)
    assert heard[-1] == f"training: {trained.stopped}"
    assert trained.log[-1] == {"note": trained.stopped}
    assert len([entry for entry in trained.log if "loss" in entry]) == trained.steps
    note = json.loads((trained.adapter / "misstep_adapter.json").read_text(encoding="utf-8"))
    assert (note["stopped"], note["steps"]) == (trained.stopped, trained.steps)
    assert trained.stopped in (trained.adapter / "README.md").read_text(encoding="utf-8")


def test_a_gradient_that_overflows_is_not_taken(tiny, tmp_path):
    # forward_kl takes the exponential of how far the rejected side fell: here by over 88 nats
    rows = [replace(row, rejected=say("assistant", "so " * 80 + row.id)) for row in pairs(24)]
    config = replace(DPO, learning_rate=1e-2, f_divergence_type="forward_kl")
    trained = go("dpo", tiny, tmp_path / "o", rows=rows, config=config)
    assert "the gradient is not a finite number" in trained.stopped
    assert 0 < trained.steps < 6
    assert finite(trained.adapter)


class Killed(Exception):
    """A process that dies."""


@pytest.mark.parametrize("stage", list(STAGES))
def test_a_killed_one_stops_where_the_unbroken_one_stops(stage, tiny, tmp_path, monkeypatch):
    from misstep.train import stage as stages

    config = replace(STAGES[stage][1], save_steps=1)
    whole = go(stage, tiny, tmp_path / "whole", config=config)

    def die(*_, **__):
        raise Killed

    finish = stages.finish
    monkeypatch.setattr(stages, "finish", die)
    with pytest.raises(Killed):
        go(stage, tiny, tmp_path / "o", config=config)
    monkeypatch.setattr(stages, "finish", finish)
    kept = [path.name for path in (tmp_path / "o.work").glob("checkpoint-*")]
    assert f"checkpoint-{whole.steps}" in kept
    assert f"checkpoint-{whole.steps + 1}" not in kept
    last = weights(tmp_path / "o.work" / f"checkpoint-{whole.steps}")
    again = go(stage, tiny, tmp_path / "o", config=config)
    assert all(torch.equal(last[name], value) for name, value in weights(again.adapter).items())
    assert (again.stopped, again.steps, again.sha256) == (
        whole.stopped,
        whole.steps,
        whole.sha256,
    )


@pytest.fixture(scope="module")
def broken(tiny, tmp_path_factory):
    """The tiny model with one NaN in a norm."""
    import shutil

    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("broken") / "model"
    shutil.copytree(tiny, folder)
    path = folder / "model.safetensors"
    held = load_file(path)
    held["model.norm.weight"][0] = torch.nan
    save_file(held, path, metadata={"format": "pt"})
    return str(folder)


@pytest.mark.parametrize("stage", list(STAGES))
def test_a_first_step_that_is_not_finite_trains_nothing(stage, broken, tmp_path):
    trained = go(stage, broken, tmp_path / "o")
    assert trained.steps == 0
    assert trained.stopped.startswith("stopped at step 1 of 5: ")
    assert "; nothing was trained; " in trained.stopped
    found = weights(trained.adapter)
    assert all(not value.any() for name, value in found.items() if "lora_B" in name)


def test_weights_that_are_not_finite_are_not_written(broken, tmp_path):
    with pytest.raises(StageError) as raised:
        go("sft", broken, tmp_path / "o", lora=replace(LORA, enabled=False))
    said = str(raised.value)
    assert said.startswith(
        f"{tmp_path / 'o'}: not written, since 1 of 20 trained tensors hold numbers that are not "
        "finite (NaN or infinite) (stopped at step 1 of 5: the loss is not a finite number"
    )
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("number", [torch.inf, -torch.inf, torch.nan])
def test_one_such_number_is_enough(number):
    from misstep.train.finite import check_weights

    model = torch.nn.Linear(3, 2)
    check_weights(model, None, place="here", section="sft")
    with torch.no_grad():
        model.weight[1, 1] = number
    with pytest.raises(StageError, match=r"here: not written, since 1 of 2 .* lower sft\.learning"):
        check_weights(model, None, place="here", section="sft")
    check_weights(model, {"other": torch.ones(2)}, place="here", section="sft")
    with pytest.raises(StageError, match="1 of 1"):
        check_weights(model, {"own": model.weight}, place="here", section="sft")
