import json
import shutil
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from misstep.errors import ModelError  # noqa: E402
from misstep.models import load, load_tokenizer, sample, write_adapter_note  # noqa: E402
from tiny import build_tiny  # noqa: E402


@pytest.fixture(scope="module")
def adapter(tiny_folder, tmp_path_factory):
    """A random LoRA on the tiny model, without a note beside it."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        tuned = get_peft_model(load(str(tiny_folder), dtype="float32").model, config)
    folder = tmp_path_factory.mktemp("adapter") / "lora"
    tuned.save_pretrained(folder)
    return folder


@pytest.fixture
def copied(adapter, tmp_path):
    return shutil.copytree(adapter, tmp_path / "lora")


def logits(loaded):
    with torch.inference_mode():
        return loaded.model(input_ids=torch.tensor([[5, 6, 7]])).logits


def refusal(*args, **kwargs):
    with pytest.raises(ModelError) as caught:
        load(*args, **kwargs)
    return str(caught.value)


def test_importing_the_room_does_not_load_torch():
    code = "import sys, misstep.models; print('torch' in sys.modules, 'jinja2' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False False\n"


def test_a_model_loads_ready_to_answer(tiny):
    assert not tiny.model.training
    assert tiny.window == 4096
    assert len(tiny.base_hash) == 16


def test_the_dtype_is_as_asked(tiny_folder):
    assert load(str(tiny_folder), dtype="bfloat16").model.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_bf16": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_a_cpu_computes_in_bfloat16_where_it_has_amx(tiny_folder, monkeypatch, able, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert load(str(tiny_folder)).model.dtype is expected


def test_an_unknown_dtype_is_refused(tiny_folder):
    said = refusal(str(tiny_folder), dtype="int3")
    assert said == "unknown dtype 'int3'; expected auto, float32 or bfloat16"


def test_the_fingerprint_follows_the_weights(tiny, tmp_path):
    same = load(str(build_tiny(tmp_path / "same")))
    other = load(str(build_tiny(tmp_path / "other", seed=1)))
    assert same.base_hash == tiny.base_hash != other.base_hash


def test_the_tokenizer_loads_alone(tiny_folder, tiny):
    _, template = load_tokenizer(str(tiny_folder))
    assert template.end_id == tiny.template.end_id


def test_a_merged_adapter_answers_as_an_attached_one(tiny, tiny_folder, adapter):
    merged = load(str(tiny_folder), adapter=adapter, dtype="float32")
    attached = load(str(tiny_folder), adapter=adapter, dtype="float32", merge=False)
    assert torch.allclose(logits(merged), logits(attached), atol=1e-4)
    assert not torch.allclose(logits(merged), logits(tiny), atol=1e-2)
    prompts = [[5, 6, 7], [8, 9]]
    a = sample(merged, prompts, temperature=0, max_new_tokens=8)
    b = sample(attached, prompts, temperature=0, max_new_tokens=8)
    assert a == b


def test_an_attached_adapter_is_frozen(tiny_folder, adapter):
    attached = load(str(tiny_folder), adapter=adapter, merge=False)
    assert not any(p.requires_grad for p in attached.model.parameters())


@pytest.mark.parametrize("merge", [True, False])
def test_a_gpu_gets_the_weights_merged_and_cast(tiny_folder, adapter, monkeypatch, merge):
    """In float32, or with the adapter beside it, a model may not fit where the outcome does."""
    moved = []
    plain = torch.nn.Module.to

    def to(module, *given, **named):
        if given != ("cuda",):
            return plain(module, *given, **named)
        moved.append(
            (
                {each.dtype for each in module.parameters()},
                any("lora" in name for name, _ in module.named_parameters()),
            )
        )
        return module

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.nn.Module, "to", to)
    load(str(tiny_folder), adapter=adapter, dtype="bfloat16", merge=merge)
    assert moved == [({torch.bfloat16}, not merge)]


def test_merging_is_done_in_float32_and_cast_once(tiny_folder, adapter):
    whole = load(str(tiny_folder), adapter=adapter, dtype="float32").model.state_dict()
    cast = load(str(tiny_folder), adapter=adapter, dtype="bfloat16").model.state_dict()
    assert all(torch.equal(cast[name], whole[name].bfloat16()) for name in whole)


def test_a_noted_adapter_for_this_base_loads(tiny, copied):
    write_adapter_note(copied, tiny.ref, tiny.base_hash)
    load(str(tiny.ref.path), adapter=copied)


def test_a_noted_adapter_for_another_base_is_refused(tiny, copied):
    (copied / "misstep_adapter.json").write_text(json.dumps({"base": "x", "base_hash": "00"}))
    name = tiny.ref.name
    assert refusal(name, adapter=copied) == (
        f"{copied}: trained on 'x' (weights 00), not on {name!r} (weights {tiny.base_hash}); "
        "give that model with --model"
    )


def test_a_copy_of_the_base_elsewhere_is_the_same_base(tiny, copied, tmp_path):
    write_adapter_note(copied, tiny.ref, tiny.base_hash)
    elsewhere = shutil.copytree(tiny.ref.path, tmp_path / "elsewhere")
    load(str(elsewhere), adapter=copied)


def test_an_adapter_without_a_note_is_refused_by_its_shapes(adapter, tmp_path):
    wider = build_tiny(tmp_path / "wider", hidden_size=48)
    said = refusal(str(wider), adapter=adapter)
    assert said.startswith(f"{adapter}: does not fit {str(wider)!r} (")
    assert said.endswith("give the model that it was trained on with --model")


@pytest.mark.parametrize("merge", [True, False])
def test_positions_with_an_adapter_are_those_of_the_base(tiny_folder, adapter, merge):
    base = load(str(tiny_folder), dtype="bfloat16").network
    tuned = load(str(tiny_folder), adapter=adapter, merge=merge, dtype="bfloat16").network
    found = [
        {name.removeprefix("base_model.model."): b for name, b in each.named_buffers()}
        for each in (base, tuned)
    ]
    assert any("inv_freq" in name for name in found[0])
    assert found[0].keys() == found[1].keys()
    for name, buffer in found[0].items():
        assert found[1][name].dtype == buffer.dtype
        assert torch.equal(found[1][name], buffer)


def test_an_adapter_for_more_layers_is_refused(tiny_folder, tmp_path):
    from peft import LoraConfig, get_peft_model

    deep = load(str(build_tiny(tmp_path / "deep", num_hidden_layers=3)), dtype="float32")
    get_peft_model(deep.model, LoraConfig(r=2, target_modules="all-linear")).save_pretrained(
        tmp_path / "lora"
    )
    assert "does not fit" in refusal(str(tiny_folder), adapter=tmp_path / "lora")


def test_a_missing_adapter_is_refused(tiny_folder, tmp_path):
    path = tmp_path / "none"
    assert refusal(str(tiny_folder), adapter=path) == (
        f"{path}/adapter_config.json: cannot be read (No such file or directory); "
        "expected an adapter folder"
    )


def test_a_pickled_adapter_is_refused(tiny_folder, copied):
    (copied / "adapter_model.safetensors").rename(copied / "adapter_model.bin")
    assert refusal(str(tiny_folder), adapter=copied) == (
        f"{copied}: only pickled weights, which are never loaded; "
        "expected adapter_model.safetensors"
    )


def test_a_hub_model_that_is_not_there_offline_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert refusal("nobody/no-such-model") == (
        "nobody/no-such-model: no such folder, and it cannot be had from the Hub "
        "(LocalEntryNotFoundError); give the path of a model folder, "
        "or go online once to download it"
    )


def test_cut_weights_are_refused(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "cut")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    assert f"{folder}: cannot be loaded" in refusal(str(folder))


def test_code_in_a_model_folder_is_never_run(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "code")
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "mine"
    config["auto_map"] = {"AutoConfig": "mine.Mine", "AutoModelForCausalLM": "mine.Mine"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    assert f"{folder}: cannot be loaded" in refusal(str(folder))
    assert not (tmp_path / "ran").exists()


def test_a_model_without_a_chat_template_is_refused(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "bare")
    (folder / "chat_template.jinja").unlink()
    assert refusal(str(folder)) == (
        "the tokenizer has no chat template; give an instruction-tuned model, "
        "or add chat_template.jinja to its folder"
    )


@pytest.mark.model
def test_the_embedded_model_writes_sense(smollm2):
    from misstep.types import Context, Message, Part

    asked = Message(role="user", parts=(Part(kind="text", text="What is the capital of France?"),))
    ids = smollm2.template.prompt_ids([asked], Context())
    ((answer,),) = sample(smollm2, [ids], temperature=0, max_new_tokens=16)
    assert "Paris" in answer.text
