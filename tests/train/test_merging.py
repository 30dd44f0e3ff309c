"""Merging: the merged folder answers as base and adapter do, and loads as a model of its own."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from click.testing import CliRunner

from training import LORA, SFT, pairs, settings

torch = pytest.importorskip("torch")

from misstep import train  # noqa: E402
from misstep.cli import main  # noqa: E402
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
