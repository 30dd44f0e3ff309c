"""How a model is read: shared where that is right, row by row where it is not, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from architectures import build
from training import DPO, KTO, LORA, SFT, labelled, pairs, settings

torch = pytest.importorskip("torch")

from misstep import train  # noqa: E402
from tiny import build_tiny  # noqa: E402

COMMON = [1, 20, 3, 40, 9, 7]
ROWS = [[*COMMON, 90, 80, 70, 60, 50], [*COMMON, 5, 60, 7], [*COMMON, 5, 60, 8, 9, 10, 11, 12]]
SCORED = len(COMMON)


def adapted(folder, layers="all-linear"):
    """A model with a LoRA that does something."""
    from peft import LoraConfig, get_peft_model

    from misstep.models import load

    torch.manual_seed(0)
    lora = LoraConfig(r=4, target_modules=layers, init_lora_weights=False)
    return get_peft_model(load(str(folder), dtype="float32").model, lora)


def padded():
    """The rows as a trainer meets them."""
    width = max(map(len, ROWS))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in ROWS])
    real = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ROWS])
    labels = ids.masked_fill((real == 0) | (torch.arange(width) < SCORED), -100)
    return {"input_ids": ids, "attention_mask": real}, labels


def alone(model, row):
    """Log-probabilities of the scored tokens of a row that the model reads by itself."""
    with torch.no_grad():
        plain = model(input_ids=torch.tensor([row])).logits[0].log_softmax(-1)
    return plain[SCORED - 1 : -1].gather(-1, torch.tensor(row[SCORED:])[:, None])[:, 0]


RECURRENT = "its layers are recurrent"
ODD = "its attention takes no tree"
HEAD = "its head is no plain matrix, or its logits are capped or scaled"


@pytest.mark.filterwarnings("ignore:The following (rank|alpha)_pattern keys")
@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("bamba", RECURRENT),
        ("falcon_h1", RECURRENT),
        ("deepseek", ODD),
        ("falcon", ODD),
        ("stablelm", ""),
        ("biogpt", ""),
        ("gpt_neox", ""),
        ("qwen3_moe", ""),
    ],
)
def test_whatever_the_architecture_rows_get_what_the_model_gives_them_alone(tmp_path, kind, why):
    from misstep.train.logps import score
    from misstep.train.reading import reading

    # PEFT refuses the layers of Falcon-H1 that its fused kernels go past
    model = adapted(build(tmp_path, kind), r".*\.q_proj" if kind == "falcon_h1" else "all-linear")
    how = reading(model, shared=True)
    assert (how.why, how.shared) == (why, not why)
    expected = [alone(model, row) for row in ROWS]
    inputs, labels = padded()
    with torch.no_grad():
        found = score(model, inputs, labels, shared=how.shared).log_probs
    for values, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(
            values[SCORED - 1 :][: len(wanted)], wanted, atol=1e-4, rtol=1e-4
        )


def test_a_recurrent_model_is_caught_by_the_try_as_well(tmp_path, monkeypatch):
    from misstep.train.reading import reading

    model = adapted(build(tmp_path, "bamba"))
    monkeypatch.setattr(type(model.get_base_model()), "_is_stateful", False)
    assert reading(model, shared=True).why == "its attention does not follow a tree"


def test_the_try_leaves_the_model_as_it_was(tmp_path):
    from misstep.train.reading import reading

    model = adapted(build(tmp_path, "falcon"))
    modes = {name: module.training for name, module in model.named_modules()}
    kind = model.config._attn_implementation
    reading(model, shared=True)
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert len(set(modes.values())) == 2
    assert model.config._attn_implementation == kind == "sdpa"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_try_takes_rounding_for_what_it_is(tiny, dtype):
    from misstep.models import load
    from misstep.train.reading import reading

    assert reading(load(tiny, dtype=dtype).model, shared=True).shared


def test_a_cap_on_the_logits_is_heeded_under_either_name(tmp_path):
    # of RecurrentGemma, whose name for it TRL does not know
    from misstep.models import load
    from misstep.train import stage
    from misstep.train.dpo import pair_trainer
    from misstep.train.rows import Ids

    loaded = load(build(tmp_path / "m", "recurrent_gemma"), dtype="float32")
    job = stage.Job(
        name="dpo",
        loaded=loaded,
        adapter=None,
        out=tmp_path / "o",
        config=DPO,
        lora=LORA,
        run=settings(),
    )
    with stage.quiet():
        trainer = pair_trainer(job, DPO, [Ids(id="a", prompt=(1,), chosen=(5,), rejected=(6,))])
    assert trainer.route.reading.why == HEAD
    inputs, labels = padded()
    with torch.no_grad():
        found = trainer.read(trainer.model, inputs, labels).log_probs
    for values, row in zip(found, ROWS, strict=True):
        wanted = alone(trainer.model, row)
        torch.testing.assert_close(
            values[SCORED - 1 :][: len(wanted)], wanted, atol=1e-4, rtol=1e-4
        )
    assert "final_logit_softcapping" not in loaded.model.config.to_dict()


STAGES = {
    "sft": (train.train_sft, SFT),
    "dpo": (train.train_dpo, DPO),
    "kto": (train.train_kto, KTO),
}


def test_layers_that_take_no_adapter_are_a_wrong_setting(tmp_path):
    from misstep.errors import ConfigError

    with pytest.raises(ConfigError) as raised:
        go("sft", build(tmp_path / "m", "falcon_h1"), tmp_path / "o")
    said = str(raised.value)
    assert said.startswith("lora.lora_target_modules: 'all-linear' does not fit this model (")
    assert said.endswith("; name its layers by a regular expression, such as .*\\.(q|k|v)_proj")


def go(stage, base, out, **changes):
    run, config = STAGES[stage]
    rows = labelled(8) if stage == "kto" else pairs(8)
    heard = []
    told = run(
        rows,
        base=base,
        adapter=None,
        out=out,
        config=replace(config, **changes),
        lora=LORA,
        run=settings(say=heard.append),
    )
    return told, heard


@pytest.mark.parametrize("stage", list(STAGES))
def test_that_rows_are_not_shared_is_said_once_and_noted(tmp_path, stage):
    told, heard = go(stage, build(tmp_path / "m", "falcon"), tmp_path / "o")
    said = (
        "this model is read row by row (its attention takes no tree), so what rows have in common "
        "is read again for each; slower, same result"
    )
    assert [each for each in heard if "row by row" in each] == [f"training: {said}"]
    assert {"note": said} in told.log


def test_rows_that_are_not_to_be_shared_need_no_word(tmp_path):
    _told, heard = go("dpo", build(tmp_path / "m", "falcon"), tmp_path / "o", share_prompts=False)
    assert not any("row by row" in each for each in heard)


@pytest.mark.parametrize("stage", list(STAGES))
def test_a_mixture_of_experts_is_trained_without_its_auxiliary_loss(tmp_path, stage):
    told, _ = go(stage, build(tmp_path / "m", "qwen3_moe"), tmp_path / "o")
    assert told.steps == 2
    assert not any("aux_loss" in entry for entry in told.log)


@pytest.mark.parametrize(
    ("config", "own_head", "why"),
    [
        ({}, True, ""),
        ({"sliding_window": 64}, True, "not every layer of it sees all tokens before"),
        (
            {"layer_types": ["full_attention", "sliding_attention"]},
            True,
            "not every layer of it sees all tokens before",
        ),
        (
            {"final_logit_softcapping": 30.0},
            False,
            "its head is no plain matrix, or its logits are capped or scaled",
        ),
        (
            {"rope_parameters": {"rope_type": "dynamic"}},
            True,
            "its positions depend on the length of a text",
        ),
    ],
)
def test_a_model_is_read_in_the_fastest_way_that_is_right_for_it(tmp_path, config, own_head, why):
    from misstep.train.reading import Reading, reading

    model = adapted(build_tiny(tmp_path))
    for name, value in config.items():
        setattr(model.config, name, value)
    assert reading(model, shared=True) == Reading(own_head=own_head, shared=not why, why=why)
    assert reading(model, shared=False) == Reading(own_head=own_head, shared=False)


def test_weights_that_deepspeed_parts_are_left_to_trl(tmp_path, monkeypatch):
    from misstep.train.reading import Reading, reading

    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3")
    why = "DeepSpeed parts its weights"
    assert reading(adapted(build_tiny(tmp_path)), shared=True) == Reading(
        own_head=False, shared=False, why=why
    )


@pytest.mark.parametrize(
    ("name", "value"), [("ACCELERATE_USE_FSDP", "true"), ("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3")]
)
def test_a_model_that_takes_images_is_refused_where_its_weights_are_parted(
    monkeypatch, name, value
):
    from misstep.errors import ModelError
    from misstep.train.reading import reading

    monkeypatch.setenv(name, value)
    with pytest.raises(ModelError, match=r"FSDP, DeepSpeed stage 3.*accelerate launch --multi_gpu"):
        reading(None, shared=True, sight=object())
