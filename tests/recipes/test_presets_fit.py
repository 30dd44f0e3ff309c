"""Every preset fits the largest model that its comment claims, by misstep's own estimate."""

import re
from functools import cache

import pytest

pytest.importorskip("torch", reason="the estimate builds the model without storage")

from misstep.config import load_config
from misstep.recipes import PRESETS, RECIPES, recipe, settings
from misstep.train.estimate import GB, estimated, table
from model_shapes import shape

TEXT = {
    "cpu": (16, "1B", ("llama-3.2-1b",)),
    "24gb": (24, "8B", ("qwen3-8b", "llama-3.1-8b")),
    "80gb": (80, "14B", ("qwen3-14b", "qwen2.5-14b")),
}
PAGES = {
    "cpu": (32, "4B", ("gemma-3-4b", "qwen2.5-vl-3b", "smolvlm-2.2b")),
    "24gb": (24, "4B", ("gemma-3-4b", "qwen2.5-vl-3b", "smolvlm-2.2b")),
    "80gb": (80, "8B", ("qwen2.5-vl-7b",)),
}
CLAIMS = {"tool-calls": TEXT, "structured-output": TEXT, "ocr": PAGES}
"""By recipe and preset: GB of the machine, the claim, models of that size."""

NAMED = {
    "Qwen/Qwen2.5-VL-7B-Instruct": "qwen2.5-vl-7b",
    "Qwen/Qwen2.5-VL-3B-Instruct": "qwen2.5-vl-3b",
    "nanonets/Nanonets-OCR2-3B": "qwen2.5-vl-3b",
    "allenai/olmOCR-2-7B-1025": "qwen2.5-vl-7b",
    "google/gemma-3-4b-it": "gemma-3-4b",
    "HuggingFaceTB/SmolVLM-Instruct": "smolvlm-2.2b",
    "HuggingFaceTB/SmolVLM-256M-Instruct": "smolvlm-256m",
}
"""Models that the recipe `ocr` knows, and their shapes."""


@cache
def estimate_of(of, dtype, rank, four_bits):
    given = {"dtype": dtype, "lora.lora_r": rank, "lora.load_in_4bit": four_bits}
    known, images = shape(of)
    return estimated(load_config(None, given), known, images=images)


def too_much(config, of, gigabytes):
    """What of the settings is more than the machine holds; KTO too, which takes DPO's place."""
    dtype = "float32" if config.dtype == "auto" else config.dtype  # the larger one
    found = estimate_of(of, dtype, config.lora.lora_r, config.lora.load_in_4bit)
    most = found.fits(gigabytes * GB, checkpointing=True)
    for name in ("sft", "rft", "dpo", "kto"):
        stage = getattr(config, name)
        tokens = stage.tokens_per_batch or stage.per_device_train_batch_size * (
            stage.max_length + (config.sample.max_new_tokens if name == "dpo" else 0)
        )
        if not stage.max_length <= tokens <= most:
            yield f"{name}: {stage.max_length} <= {tokens} <= {most}"
    if found.sampling.weights > 0.9 * gigabytes * GB:
        yield f"answers: {found.sampling.weights / GB:.1f} GB of weights"


@pytest.mark.parametrize("name", CLAIMS)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_fits_the_largest_model_that_it_claims(name, preset):
    gigabytes, claim, models = CLAIMS[name][preset]
    config = load_config(ground=settings(name, model="m", preset=preset))
    for of in models:
        assert list(too_much(config, of, gigabytes)) == [], of
        assert round(estimate_of(of, "bfloat16", 16, False).parameters / 1e9) <= int(claim[:-1]) + 1
    text = re.sub(r"\n#? *", " ", recipe(name).text)
    assert re.search(rf"{claim} (parameters )?on [^.;]*\b{gigabytes} GB", text)


@pytest.mark.parametrize("name", ["tool-calls", "structured-output"])
def test_larger_models_fit_with_what_the_comment_says_beside_them(name):
    assert "32B with" in re.sub(r"\n# *", " ", recipe(name).text)
    known = settings(name, model="m", preset="80gb")
    said = {f"{stage}.tokens_per_batch": 24576 for stage in ("sft", "rft", "dpo", "kto")}
    config = load_config(None, {**said, "lora.load_in_4bit": True}, known)
    assert f"`tokens_per_batch: {24576}`" in recipe(name).text
    for of in ("qwen3-32b", "qwen2.5-32b"):
        assert list(too_much(config, of, 80)) == []
        assert list(too_much(load_config(ground=known), of, 80)) != []


@pytest.mark.parametrize("model", NAMED)
@pytest.mark.parametrize(("preset", "gigabytes"), [("24gb", 24), ("80gb", 80)])
def test_every_named_model_fits_the_gpus_that_have_a_preset(model, preset, gigabytes):
    config = load_config(ground=settings("ocr", model=model, preset=preset))
    assert list(too_much(config, NAMED[model], gigabytes)) == []


@pytest.mark.parametrize("name", [each.name for each in RECIPES])
def test_what_does_not_fit_is_said_of_each_stage_that_is_trained(name):
    known, images = shape("qwen3-32b")
    config = load_config(ground=settings(name, model="m", preset="80gb"))
    lines = table(estimated(config, known, images=images), config)
    over = next(line for line in lines if "does not fit 80 GB" in line)
    stages = ("sft", "rft", "dpo") if config.rft.enabled else ("sft", "dpo")
    keys = ", ".join(f"{stage}.max_length" for stage in stages)
    length = config.dpo.max_length
    assert re.fullmatch(
        rf"  configured   {keys} {length} does not fit 80 GB; at most [\d,]+ tokens", over
    )
