"""Reference log-probabilities: measured once for all trainings that begin alike."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from training import DPO, KTO, LORA, SFT, labelled, pairs, settings

pytest.importorskip("torch")

from misstep import train

STAGES = {
    "dpo": (train.train_dpo, replace(DPO, preference_tokens="differing")),
    "kto": (train.train_kto, KTO),
}


def go(stage, tiny, out, **changes):
    run, config = STAGES[stage]
    given = {"adapter": None, "config": config, "lora": LORA, "run": settings(), **changes}
    return run(labelled(18) if stage == "kto" else pairs(18), base=tiny, out=out, **given)


@pytest.fixture
def measured(monkeypatch):
    """Names of the stages that measured."""
    from misstep.train.labels import LabelTrainer
    from misstep.train.trainers import PairTrainer

    counted = []
    for kind, stage in ((PairTrainer, "dpo"), (LabelTrainer, "kto")):

        def count(self, *given, plain=kind.references, stage=stage):
            counted.append(stage)
            return plain(self, *given)

        monkeypatch.setattr(kind, "references", count)
    return counted


def kept(tmp_path):
    return sorted((tmp_path / "cache" / "references").glob("*"))


@pytest.mark.parametrize("stage", list(STAGES))
def test_a_second_training_with_another_beta_reads_the_same_numbers(
    stage, tiny, tmp_path, measured, monkeypatch
):
    config = STAGES[stage][1]
    go(stage, tiny, tmp_path / "one")
    assert measured == [stage]
    (file,) = kept(tmp_path)
    numbers = file.read_bytes()
    other = replace(config, beta=0.05, learning_rate=5e-4)
    read = go(stage, tiny, tmp_path / "two", config=other)
    assert measured == [stage]
    assert kept(tmp_path) == [file]
    assert file.read_bytes() == numbers
    monkeypatch.setenv("MISSTEP_CACHE", str(tmp_path / "empty"))
    again = go(stage, tiny, tmp_path / "three", config=other)
    assert measured == [stage] * 2
    assert again.sha256 == read.sha256
    assert again.log == read.log


def test_whatever_decides_the_numbers_is_measured_anew(tiny, tmp_path, measured):
    start = train.train_sft(
        pairs(8),
        base=tiny,
        adapter=None,
        out=tmp_path / "sft",
        config=SFT,
        lora=LORA,
        run=settings(),
    ).adapter
    config = STAGES["dpo"][1]
    others = [
        {},
        {"adapter": start},
        {"config": replace(config, ld_alpha=0.5)},
        {"config": replace(config, preference_tokens="all")},
        {"config": replace(config, max_pairs=10)},
        {"config": replace(config, share_prompts=False)},
        {"run": settings(dtype="bfloat16")},
        {"run": settings(seed=7)},
    ]
    for at, changes in enumerate(others):
        go("dpo", tiny, tmp_path / f"o{at}", **changes)
    assert len(measured) == len(kept(tmp_path)) == len(others)


def test_an_adapter_of_the_same_weights_and_another_scale_is_another_start(
    tiny, tmp_path, measured
):
    start = train.train_sft(
        pairs(8), base=tiny, adapter=None, out=tmp_path / "a", config=SFT, lora=LORA, run=settings()
    ).adapter
    go("dpo", tiny, tmp_path / "one", adapter=start)
    path = start / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "lora_alpha": 64}))
    go("dpo", tiny, tmp_path / "two", adapter=start)
    assert measured == ["dpo"] * 2


def test_what_accelerate_computes_in_is_part_of_the_key(tiny, tmp_path, measured, monkeypatch):
    go("dpo", tiny, tmp_path / "one")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    go("dpo", tiny, tmp_path / "two")
    assert measured == ["dpo"] * 2


def test_a_file_that_was_cut_short_is_measured_again(tiny, tmp_path, measured):
    go("dpo", tiny, tmp_path / "one")
    (file,) = kept(tmp_path)
    file.write_text("[[1.0")
    go("dpo", tiny, tmp_path / "two")
    assert measured == ["dpo"] * 2


def test_without_a_cache_training_goes_on(tiny, tmp_path, measured, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MISSTEP_CACHE", str(tmp_path / "file"))
    assert go("dpo", tiny, tmp_path / "one").steps == 5
    assert measured == ["dpo"]


def test_the_files_that_were_used_last_are_kept(tmp_path, monkeypatch):
    from misstep.train import references

    monkeypatch.setattr(references, "_MOST", 2)
    paths = [tmp_path / f"{name}.json" for name in "abc"]
    for at, path in enumerate(paths[:2]):
        references._put(path, [[1.0]])
        os.utime(path, (at, at))
    references._put(paths[0], [[1.0]])  # used again
    references._put(paths[2], [[2.0]])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "c.json"]
    assert references._first(paths[1], paths[2]) == [[2.0]]
