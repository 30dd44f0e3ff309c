"""Full fine-tuning: every weight is trained, the reference is the model as it was."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest

from training import DPO, KTO, LORA, SFT, labelled, pairs, settings

torch = pytest.importorskip("torch")

from misstep import train  # noqa: E402
from misstep.models import load  # noqa: E402

WHOLE = replace(LORA, enabled=False)
STAGES = {
    "sft": (train.train_sft, replace(SFT, learning_rate=1e-3)),
    "dpo": (train.train_dpo, DPO),
    "kto": (train.train_kto, KTO),
}


def go(stage, tiny, out, **changes):
    run, config = STAGES[stage]
    rows = labelled(12) if stage == "kto" else pairs(12)
    given = {"base": tiny, "adapter": None, "config": config, "lora": WHOLE, "run": settings()}
    return run(rows, out=out, **{**given, **changes})


@pytest.mark.parametrize("stage", list(STAGES))
def test_what_is_written_is_a_model_that_moved_everywhere(stage, tiny, tmp_path):
    trained = go(stage, tiny, tmp_path / "o")
    before, after = (
        dict(load(str(f), dtype="float32").model.named_parameters())
        for f in (tiny, trained.adapter)
    )
    assert all((after[name] - value).abs().max() > 0 for name, value in before.items())
    names = {path.name for path in trained.adapter.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= names
    assert "adapter_config.json" not in names
    note = json.loads((trained.adapter / "misstep_adapter.json").read_text(encoding="utf-8"))
    assert (note["trained"], note["sha256"]) == ("model", trained.sha256)
    card = (trained.adapter / "README.md").read_text(encoding="utf-8")
    assert "All weights, trained by misstep" in card
    assert "library_name: transformers" in card


@pytest.mark.parametrize("stage", ["dpo", "kto"])
def test_policy_and_reference_are_equal_at_the_start(stage, tiny, tmp_path):
    log = [entry for entry in go(stage, tiny, tmp_path / "o").log if "loss" in entry]
    assert log[0]["rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert log[-1]["rewards/margins"] != 0


def test_a_model_is_continued_from_its_folder_and_is_the_reference_there(tiny, tmp_path):
    sft = go("sft", tiny, tmp_path / "sft")
    dpo = go("dpo", tiny, tmp_path / "dpo", adapter=sft.adapter)
    same = go("dpo", str(sft.adapter), tmp_path / "same")
    assert dpo.log[0]["rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert dpo.sha256 == same.sha256
    note = json.loads((dpo.adapter / "misstep_adapter.json").read_text(encoding="utf-8"))
    assert note["continued"] == sft.sha256


def test_loss_and_gradients_equal_those_of_trl_with_a_second_model(tiny, tmp_path):
    from trl import DPOTrainer

    from misstep.train import stage
    from misstep.train.dpo import pair_trainer
    from misstep.train.rows import tokenise

    class Plain(DPOTrainer):
        def _prepare_dataset(self, dataset, *_):
            return dataset

    job = stage.Job(
        name="dpo",
        loaded=stage.opened(tiny, None, WHOLE, settings()),
        adapter=None,
        out=tmp_path / "o",
        config=DPO,
        lora=WHOLE,
        run=settings(),
    )
    ids, _ = tokenise(pairs(4), job.loaded.template, max_length=999, pairs=True)
    with stage.quiet():
        ours = pair_trainer(job, DPO, ids)
        columns = ours.train_dataset
        first = copy.deepcopy(ours.model.state_dict())
        args = replace(ours.args, precompute_ref_log_probs=False)
        twin, reference = (load(tiny, dtype="float32").model for _ in range(2))
        theirs = Plain(
            model=twin.requires_grad_(True),
            ref_model=reference,
            args=args,
            train_dataset=columns,
            processing_class=job.loaded.tokenizer,
        )
    assert ours.ref_model is None
    ours.refer(ours.references([[0, 1, 2, 3]]))
    results = []
    for trainer in (ours, theirs):
        trainer.model.load_state_dict(first)
        torch.manual_seed(1)
        with torch.no_grad():
            for parameter in trainer.model.parameters():
                parameter += 0.01 * torch.randn_like(parameter)
        trainer.model.train()
        rows = [trainer.train_dataset[at] for at in range(4)]
        loss = trainer._compute_loss(trainer.model, trainer.data_collator(rows), False)
        loss.backward()
        grads = {n: p.grad for n, p in trainer.model.named_parameters() if p.grad is not None}
        results.append((loss.item(), grads))
    (loss, grads), (their_loss, their_grads) = results
    assert loss == pytest.approx(their_loss, abs=1e-4)
    assert grads.keys() == their_grads.keys()
    for name, grad in their_grads.items():
        torch.testing.assert_close(grads[name], grad, atol=1e-4, rtol=1e-3)


def test_weights_are_float32_whatever_the_products_are_made_in(tiny, tmp_path):
    trained = go("sft", tiny, tmp_path / "o", run=settings(dtype="bfloat16"))
    exact = go("sft", tiny, tmp_path / "e")
    model = load(str(trained.adapter), dtype="float32").model
    kept = json.loads((trained.adapter / "config.json").read_text(encoding="utf-8"))
    assert "float32" in (kept.get("dtype"), kept.get("torch_dtype"))
    assert trained.sha256 != exact.sha256
    assert trained.log[-1]["loss"] == pytest.approx(exact.log[-1]["loss"], rel=0.05)
    assert {str(p.dtype) for p in model.parameters()} == {"torch.float32"}
