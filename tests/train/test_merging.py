"""Merging: the merged folder answers as base and adapter do, and loads as a model of its own."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from training import LORA, SFT, pairs, settings

torch = pytest.importorskip("torch")

from misstep import train  # noqa: E402
from misstep.cli import main  # noqa: E402
from misstep.errors import StageError  # noqa: E402
from misstep.models import load  # noqa: E402


@pytest.fixture(scope="module")
def adapter(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("merging") / "adapter"
    config = replace(SFT, num_train_epochs=3.0)
    train.train_sft(
        pairs(12), base=tiny, adapter=None, out=out, config=config, lora=LORA, run=settings()
    )
    return out


def test_the_merged_model_answers_as_base_and_adapter(tiny, adapter, tmp_path):
    out = tmp_path / "merged"
    result = CliRunner().invoke(main, ["merge", str(adapter), "-o", str(out), "--dtype", "float32"])
    assert (result.exit_code, result.stdout.strip()) == (0, str(out)), result.output
    ids = torch.tensor([[1, 20, 3, 40]])
    with torch.no_grad():
        apart = load(tiny, adapter=adapter, merge=False, dtype="float32").model(ids).logits
        merged = load(str(out), dtype="float32").model(ids).logits
        bare = load(tiny, dtype="float32").model(ids).logits
    torch.testing.assert_close(merged, apart, atol=1e-4, rtol=1e-4)
    assert (merged - bare).abs().max() > 1e-2
    text = (out / "README.md").read_text()
    assert "Weights of model with its SFT adapter added in, stored as float32" in text
    assert tiny not in text  # nor in the front matter: the Hub takes no paths
    told = (adapter / "README.md").read_text()
    assert text.endswith(told[told.index("## Before and after") :])
    assert "- `num_train_epochs`: 3.0" in text
    assert load(str(out)).tokenizer.chat_template == load(tiny).tokenizer.chat_template


def test_an_adapter_with_a_card_of_its_own_or_none_is_merged(tiny, adapter, tmp_path):
    for name, text in (("own", "# Mine\n\n## Before and after\n"), ("none", None)):
        given = tmp_path / name
        shutil.copytree(adapter, given)
        (given / "README.md").unlink()
        if text:
            (given / "README.md").write_text(text)
        out = train.merge(tiny, given, tmp_path / f"{name}-merged", dtype="float32")
        written = (out / "README.md").read_text()
        assert "# model, merged" in written
        assert "Before and after" not in written


def test_nothing_beside_the_new_folder_is_touched(tiny, adapter, tmp_path, monkeypatch):
    beside = tmp_path / "model.new"
    beside.mkdir()
    (beside / "kept.txt").write_text("kept")
    train.merge(tiny, adapter, tmp_path / "model", dtype="float32")
    assert (beside / "kept.txt").read_text() == "kept"
    before = sorted(tmp_path.iterdir())

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("transformers.PreTrainedModel.save_pretrained", full)
    with pytest.raises(StageError, match="no space left"):
        train.merge(tiny, adapter, tmp_path / "other", dtype="float32")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("stored", "written"),
    [("bfloat16", "bfloat16"), ("float16", "float32"), ("float32", "float32")],
)
def test_weights_are_stored_as_those_of_the_base_are(tiny, adapter, tmp_path, stored, written):
    base = shutil.copytree(tiny, tmp_path / "base")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "dtype": stored}))
    out = train.merge(str(base), adapter, tmp_path / "merged")
    assert json.loads((out / "config.json").read_text())["dtype"] == written
    assert f"stored as {written}" in (out / "README.md").read_text()


def test_an_adapter_of_another_tool_goes_onto_the_base_that_it_names(tiny, adapter, tmp_path):
    given = shutil.copytree(adapter, tmp_path / "theirs")
    (given / "misstep_adapter.json").unlink()
    path = given / "adapter_config.json"
    config = json.loads(path.read_text())
    assert config["base_model_name_or_path"] == str(Path(tiny).resolve())
    out = tmp_path / "merged"
    assert CliRunner().invoke(main, ["merge", str(given), "-o", str(out)]).exit_code == 0
    path.write_text(json.dumps({**config, "base_model_name_or_path": None}))
    result = CliRunner().invoke(main, ["merge", str(given), "-o", str(tmp_path / "more")])
    assert result.exit_code == 2
    assert "does not say which model it was trained on; give --model" in result.stderr
    path.write_text(json.dumps({**config, "base_model_name_or_path": "acme/SmolLM2-135M"}))
    words = ["merge", str(given), "-o", str(tmp_path / "more"), "--model", "smollm2"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "trained on 'acme/SmolLM2-135M', not on 'smollm2'" in result.stderr


def test_a_base_that_was_named_from_here_is_found_from_elsewhere(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(Path(tiny).parent)
    done = train.train_sft(
        pairs(4),
        base=Path(tiny).name,
        adapter=None,
        out=tmp_path / "adapter",
        config=replace(SFT, max_steps=1),
        lora=LORA,
        run=settings(),
    )
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["merge", str(done.adapter), "-o", "merged"])
    assert (result.exit_code, result.stdout) == (0, "merged\n"), result.stderr
    assert "README.md says how prompts were written" in result.stderr
    assert "takes no tools" in (tmp_path / "merged/README.md").read_text()


def test_what_is_there_is_not_written_over(adapter, tmp_path):
    result = CliRunner().invoke(main, ["merge", str(adapter), "-o", str(tmp_path)])
    assert result.exit_code == 2
    assert result.stderr == (
        f"misstep: {tmp_path}: is there already; give another folder with -o, or remove it\n"
    )


def test_a_folder_without_an_adapter_is_named(tmp_path):
    result = CliRunner().invoke(main, ["merge", str(tmp_path), "-o", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "holds no adapter; give a run folder or an adapter folder" in result.stderr
