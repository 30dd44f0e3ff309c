"""Kinds of adapters and of memory: DoRA, rank-stabilised LoRA, 4 bits, checkpointing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from training import DPO, LORA, SFT, pairs, settings

torch = pytest.importorskip("torch")

from misstep import train  # noqa: E402


def sft(tiny, out, lora=LORA, **more):
    return train.train_sft(
        pairs(18), base=tiny, adapter=None, out=out, config=SFT, lora=lora, run=settings(**more)
    )


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def losses(trained):
    return [entry["loss"] for entry in trained.log if "loss" in entry]


def test_a_step_with_dora_moves_the_magnitudes(tiny, tmp_path):
    from misstep.models import load

    trained = sft(tiny, tmp_path / "o", replace(LORA, use_dora=True))
    found = {n: v for n, v in weights(trained.adapter).items() if "lora_magnitude_vector" in n}
    base = dict(load(tiny, dtype="float32").model.named_parameters())
    assert len(found) == 14  # seven linear layers in each of two blocks
    for name, value in found.items():
        own = name.removeprefix("base_model.model.").split(".lora_magnitude_vector")[0]
        assert (value - base[f"{own}.weight"].norm(dim=1)).abs().max() > 0


def test_rank_stabilised_lora_scales_by_the_root_of_the_rank(tiny, tmp_path):
    import json

    trained = sft(tiny, tmp_path / "o", replace(LORA, use_rslora=True))
    config = json.loads((trained.adapter / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["use_rslora"] is True
    assert losses(trained)[0] == pytest.approx(losses(sft(tiny, tmp_path / "p"))[0], abs=1e-5)
    assert losses(trained)[1:] != losses(sft(tiny, tmp_path / "q"))[1:]


@pytest.mark.parametrize("lora", [LORA, replace(LORA, enabled=False)], ids=["adapter", "model"])
def test_gradient_checkpointing_gives_the_losses_of_none(tiny, tmp_path, lora):
    found = [
        sft(tiny, tmp_path / how, lora, gradient_checkpointing=how) for how in ("always", "never")
    ]
    assert losses(found[0]) == pytest.approx(losses(found[1]), abs=1e-5)


# --- 4 bits: what can be seen without CUDA -----------------------------------------------------


def in_four_bits(tiny, tmp_path):
    """A trainer over a base that says that it is in 4 bits; its layers are plain ones."""
    from misstep.models import load
    from misstep.train import stage
    from misstep.train.dpo import pair_trainer
    from misstep.train.rows import Ids

    loaded = load(tiny, dtype="bfloat16")
    loaded.model.is_loaded_in_4bit = True
    job = stage.Job(
        name="dpo",
        loaded=loaded,
        adapter=None,
        out=tmp_path / "o",
        config=DPO,
        lora=replace(LORA, load_in_4bit=True),
        run=settings(dtype="bfloat16"),
    )
    with stage.quiet():
        return pair_trainer(job, DPO, [Ids(id="a", prompt=(1,), chosen=(5,), rejected=(6,))])


def test_products_stay_bfloat16_though_embeddings_and_norms_become_float32(tiny, tmp_path):
    trainer = in_four_bits(tiny, tmp_path)
    base = trainer.model.get_base_model()
    assert base.get_input_embeddings().weight.dtype == torch.float32
    assert trainer.args.bf16 is True


def test_the_adapter_on_a_base_in_4_bits_is_float32(tiny, tmp_path):
    trainer = in_four_bits(tiny, tmp_path)
    trained = [p for p in trainer.model.parameters() if p.requires_grad]
    assert trained
    assert {p.dtype for p in trained} == {torch.float32}
