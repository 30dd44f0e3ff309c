"""Dropout of a base: off in training, whatever form it has, and written as it was."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from architectures import build
from training import DPO, KTO, LORA, SFT, labelled, pairs, settings

torch = pytest.importorskip("torch")

from misstep import train  # noqa: E402
from misstep.models import load  # noqa: E402
from tiny import build_tiny  # noqa: E402

BASES = {
    # a number beside the weights
    "llama": lambda folder: str(build_tiny(folder, attention_dropout=0.3)),
    # a number in the configuration, asked at every pass
    "falcon": lambda folder: build(folder, "falcon", attention_dropout=0.3, hidden_dropout=0.3),
    # modules, and a number
    "gpt_neox": lambda folder: build(folder, "gpt_neox", attention_dropout=0.3, hidden_dropout=0.3),
    # numbers of four kinds, one of which leaves out whole layers
    "biogpt": lambda folder: build(
        folder,
        "biogpt",
        attention_probs_dropout_prob=0.3,
        hidden_dropout_prob=0.3,
        activation_dropout=0.3,
        layerdrop=0.3,
    ),
}


@pytest.fixture(scope="module", params=list(BASES))
def base(request, tmp_path_factory):
    return BASES[request.param](tmp_path_factory.mktemp(request.param) / "model")


def trainer_for(stage, base, out, lora=LORA):
    from misstep.train import stage as stages
    from misstep.train.dpo import pair_trainer
    from misstep.train.kto import label_trainer
    from misstep.train.rows import tokenise
    from misstep.train.sft import answer_trainer

    make, config, rows = {
        "sft": (answer_trainer, SFT, pairs(4)),
        "dpo": (pair_trainer, DPO, pairs(4)),
        "kto": (label_trainer, KTO, labelled(4)),
    }[stage]
    job = stages.Job(
        name=stage,
        loaded=load(base, dtype="float32"),
        adapter=None,
        out=out,
        config=config,
        lora=lora,
        run=settings(),
    )
    ids, _ = tokenise(rows, job.loaded.template, max_length=999, pairs=stage == "dpo")
    with stages.quiet():
        return make(job, config, ids)


def scored(trainer, stage, *, shared, training):
    """Log-probabilities of the trainer's first batch."""
    batch = trainer.data_collator([trainer.train_dataset[at] for at in trainer.route.batches[0]])
    if stage == "sft":
        labels = batch["labels"]
    else:
        labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
    trainer.route = replace(trainer.route, reading=replace(trainer.route.reading, shared=shared))
    trainer.model.train(training)
    with torch.no_grad():
        return trainer.read(trainer.model, batch, labels).log_probs


@pytest.mark.filterwarnings("ignore:The following (rank|alpha)_pattern keys")
@pytest.mark.parametrize("stage", ["sft", "dpo", "kto"])
def test_a_batch_scored_while_training_is_scored_as_it_is_otherwise(stage, base, tmp_path):
    trainer = trainer_for(stage, base, tmp_path / "o")
    rows = scored(trainer, stage, shared=False, training=False)
    assert rows.abs().sum() > 0
    assert torch.equal(scored(trainer, stage, shared=False, training=True), rows)
    if trainer.route.reading.why == "":
        tree = scored(trainer, stage, shared=True, training=True)
        torch.testing.assert_close(tree, rows, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("stage", "share"), [("sft", 0.5), ("dpo", 0), ("kto", 0)])
def test_dropout_of_the_adapter_is_that_of_trl(stage, share, tiny, tmp_path):
    trainer = trainer_for(stage, tiny, tmp_path / "o", replace(LORA, lora_dropout=0.5))
    found = {m.p for m in trainer.model.modules() if isinstance(m, torch.nn.Dropout)}
    assert found == {share}


@pytest.mark.parametrize("stage", ["sft", "dpo", "kto"])
def test_a_model_is_written_with_the_configuration_that_it_had(stage, tmp_path):
    base = build(
        tmp_path / "base", "falcon", attention_dropout=0.3, hidden_dropout=0.2, use_cache=True
    )
    run, config, rows = {
        "sft": (train.train_sft, SFT, pairs(8)),
        "dpo": (train.train_dpo, DPO, pairs(8)),
        "kto": (train.train_kto, KTO, labelled(8)),
    }[stage]
    whole = replace(LORA, enabled=False)
    out = tmp_path / "o"
    given = {"config": replace(config, learning_rate=1e-4), "lora": whole, "run": settings()}
    run(rows, base=base, adapter=None, out=out, **given)
    before, after = (
        json.loads((folder / "config.json").read_text(encoding="utf-8"))
        for folder in (tmp_path / "base", out)
    )
    assert before["attention_dropout"] == 0.3
    assert after == before
