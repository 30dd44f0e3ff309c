import pytest

from misstep.config import load_config

pytest.importorskip("torch", reason="training needs the train extra")

from tiny import build_tiny

SMALL = {
    "mine.off_policy": True,
    "mine.supported_values": False,
    "mine.min_votes": 1,
    "sample.max_new_tokens": 6,
    "sft.max_steps": 3,
    "sft.save_steps": 1,
    "dpo.max_steps": 3,
    "dpo.save_steps": 1,
    "dpo.per_device_train_batch_size": 2,
    "sft.per_device_train_batch_size": 2,
    "lora.lora_r": 2,
    "eval.num_generations": 2,
    "eval.resamples": 200,
    "dtype": "float32",
}
SAMPLED = {
    **SMALL,
    "mine.off_policy": False,
    "mine.sources": ["resample"],
    "resample.num_generations": 2,
    "resample.greedy": True,
    "resample.max_prompts": 8,
    "dpo.max_steps": 2,
    "sft.max_steps": 2,
    "eval.control": True,
}
"""Of runs that pair the model's own answers, with the control."""


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    return str(build_tiny(tmp_path_factory.mktemp("model") / "tiny"))


@pytest.fixture
def small(tiny_model):
    """Settings of a run that takes seconds."""

    def settings(**more):
        return load_config(None, {**SMALL, "model": tiny_model, **more})

    return settings
