"""Adapters where they could not be trained or merged are refused, with what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from training import DPO, KTO, LORA, SFT, labelled, pairs, settings

torch = pytest.importorskip("torch")

from misstep import train  # noqa: E402
from misstep.errors import ConfigError  # noqa: E402
from tiny import build_tiny  # noqa: E402


def go(stage, base, out, layers, **changes):
    run, config = {
        "sft": (train.train_sft, SFT),
        "dpo": (train.train_dpo, DPO),
        "kto": (train.train_kto, KTO),
    }[stage]
    lora = replace(LORA, lora_target_modules=layers)
    rows = labelled(8) if stage == "kto" else pairs(8)
    given = {"adapter": None, "lora": lora, "config": config, "run": settings(), **changes}
    return run(rows, base=base, out=out, **given)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("stage", ["sft", "dpo", "kto"])
def test_an_adapter_on_the_output_head_is_refused(stage, tied, tmp_path):
    base = str(build_tiny(tmp_path / "m", tie_word_embeddings=tied))
    with pytest.raises(ConfigError) as raised:
        go(stage, base, tmp_path / "o", r".*(lm_head|q_proj)")
    assert str(raised.value) == (
        r"lora.lora_target_modules: '.*(lm_head|q_proj)': has an adapter on the output head "
        "(lm_head), which is read as a plain matrix; expected layers between the two: all-linear, "
        r"or a regular expression that leaves these out, such as .*\.(q|k|v)_proj"
    )


def test_an_adapter_on_tied_embeddings_is_refused(tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"the input embeddings \(model\.embed_tokens\), whose"):
        go("dpo", tiny, tmp_path / "o", r".*(embed_tokens|q_proj)")


def test_embeddings_of_their_own_are_trained_and_merged(tmp_path):
    from misstep.models import load

    base = str(build_tiny(tmp_path / "m", tie_word_embeddings=False))
    config = replace(SFT, num_train_epochs=2.0)
    trained = go("sft", base, tmp_path / "o", r".*(embed_tokens|q_proj)", config=config)
    ids = torch.arange(3, 33)[None]
    found = [
        load(base, adapter=trained.adapter, dtype="float32", merge=merge).model(ids).logits
        for merge in (False, True)
    ]
    plain = load(base, dtype="float32").model(ids).logits
    assert (found[0] - plain).abs().max() > 0.1
    torch.testing.assert_close(*found, atol=1e-3, rtol=1e-3)


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
def test_such_an_adapter_is_not_continued_either(tiny, tmp_path):
    import peft

    from misstep.models import load

    lora = peft.LoraConfig(r=4, target_modules=["embed_tokens"], task_type="CAUSAL_LM")
    model = peft.get_peft_model(load(tiny, dtype="float32").model, lora)
    model.save_pretrained(tmp_path / "theirs", save_embedding_layers=False)
    with pytest.raises(ConfigError) as raised:
        go("dpo", tiny, tmp_path / "o", "all-linear", adapter=tmp_path / "theirs")
    assert str(raised.value).startswith(f"{tmp_path / 'theirs'}: has an adapter on the input embed")
