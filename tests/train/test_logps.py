"""Log-probabilities: ours equal TRL's own, values and gradients, for every kind of batch."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from tiny import build_tiny  # noqa: E402

FIELDS = ("log_probs", "entropy", "mean_logits", "is_top1")
ROWS = [
    {"prompt_ids": [1, 20, 3, 40], "chosen_ids": [5, 60, 7], "rejected_ids": [5, 60, 8, 9, 10]},
    {"prompt_ids": [1, 20, 9, 7, 7, 8], "chosen_ids": [5], "rejected_ids": [6, 70]},
    {"prompt_ids": [1, 20, 3, 40], "chosen_ids": [5, 60, 7], "rejected_ids": [90]},
]


def adapted(folder, kind="llama", dtype="float32", **more):
    """A model with a LoRA that does something, so that every gradient is non-zero."""
    from peft import LoraConfig, get_peft_model

    from misstep.models import load

    loaded = load(str(build_tiny(folder / kind, kind=kind)), dtype=dtype)
    torch.manual_seed(0)
    lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, **more)
    return get_peft_model(loaded.model, lora)


def batch(rows=ROWS):
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    inputs = DataCollatorForPreference(pad_token_id=0)(rows)
    mask = inputs.pop("completion_mask")
    return inputs, inputs["input_ids"].masked_fill(mask == 0, -100)


def by_trl(model, inputs, labels):
    from peft import PeftModel
    from trl.trainer.utils import add_fused_lm_head

    from misstep.train.attention import switch

    base = model.get_base_model() if isinstance(model, PeftModel) else model
    switch(base, on=False)
    add_fused_lm_head(base, outputs=FIELDS)
    return model(**inputs, labels=labels, fused_lm_head=True, use_cache=False)


def gradients(model, outputs):
    """Of a loss that weighs every token differently."""
    scored = outputs.log_probs
    weights = torch.arange(scored.numel()).view_as(scored).sin()
    model.zero_grad()
    (scored * weights).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
def test_values_and_gradients_equal_those_of_trl(tmp_path, kind, shared):
    from misstep.train.logps import score

    model = adapted(tmp_path, kind)
    inputs, labels = batch()
    ours = score(model, inputs, labels, shared=shared)
    mine = gradients(model, ours)
    theirs = by_trl(model, inputs, labels)
    yours = gradients(model, theirs)
    assert ours.log_probs.abs().max() > 1
    for name in FIELDS:
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), atol=1e-4, rtol=1e-4)
    assert mine.keys() == yours.keys()
    for name, grad in yours.items():
        torch.testing.assert_close(mine[name], grad, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("more", [{"use_dora": True}, {"use_rslora": True}])
def test_other_kinds_of_adapters_give_the_same_too(tmp_path, more):
    from misstep.train.logps import score

    model = adapted(tmp_path, **more)
    inputs, labels = batch()
    ours = score(model, inputs, labels, shared=True)
    mine = gradients(model, ours)
    yours = gradients(model, by_trl(model, inputs, labels))
    assert any("magnitude" in name for name in yours) is bool(more.get("use_dora"))
    for name, grad in yours.items():
        torch.testing.assert_close(mine[name], grad, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("budget", [8, 12, 20])
@pytest.mark.parametrize("shared", [True, False])
def test_a_token_budget_changes_neither_values_nor_gradients(tmp_path, shared, budget):
    from misstep.train.logps import score

    model = adapted(tmp_path)
    inputs, labels = batch()
    ours = score(model, inputs, labels, shared=shared, budget=budget)
    mine = gradients(model, ours)
    theirs = by_trl(model, inputs, labels)
    yours = gradients(model, theirs)
    for name in FIELDS:
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), atol=1e-4, rtol=1e-4)
    for name, grad in yours.items():
        torch.testing.assert_close(mine[name], grad, atol=1e-4, rtol=1e-3)


def test_with_a_token_budget_only_the_last_sequence_keeps_its_activations(tmp_path):
    from misstep.train.logps import score

    model = adapted(tmp_path)
    rows = [
        {"prompt_ids": [at, *range(9, 200)], "chosen_ids": [5, 6], "rejected_ids": [7]}
        for at in range(1, 5)
    ]
    inputs, labels = batch(rows)

    def kept(budget):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: sizes.append(tensor.nbytes) or tensor, lambda tensor: tensor
        ):
            score(model, inputs, labels, shared=True, budget=budget)
        return sum(sizes)

    assert kept(200) < 0.4 * kept(0)


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("tied", [True, False])
def test_all_weights_get_the_gradients_of_trl_where_no_adapter_is_there(tmp_path, kind, tied):
    from misstep.models import load
    from misstep.train.logps import score

    folder = build_tiny(tmp_path / "model", kind=kind, tie_word_embeddings=tied)
    model = load(str(folder), dtype="float32").model.requires_grad_(True)
    inputs, labels = batch()
    mine = gradients(model, score(model, inputs, labels, shared=True, budget=20))
    yours = gradients(model, by_trl(model, inputs, labels))
    assert ("lm_head.weight" in yours) is not tied
    assert mine.keys() == yours.keys()
    for name, grad in yours.items():
        torch.testing.assert_close(mine[name], grad, atol=1e-4, rtol=1e-3)


def test_in_bfloat16_checkpoints_and_budgets_change_nothing(tmp_path):
    from misstep.train.logps import score

    model = adapted(tmp_path, dtype="bfloat16")
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    inputs, labels = batch()

    def found(budget):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return gradients(model, score(model, inputs, labels, shared=True, budget=budget))

    plain = found(0)
    several = found(12)
    model.train()
    model.enable_input_require_grads()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for again in (several, found(0), found(12)):
        for name, grad in plain.items():
            assert (again[name] - grad).norm() < 0.05 * grad.norm()


@pytest.mark.parametrize("shared", [True, False])
def test_bfloat16_is_as_near_to_float32_as_that_of_trl(tmp_path, shared):
    from misstep.train.logps import score

    inputs, labels = batch()
    exact, half = (adapted(tmp_path / kind, dtype=kind) for kind in ("float32", "bfloat16"))
    half.load_state_dict(exact.state_dict())
    for parameter in half.parameters():
        parameter.data = parameter.data.float() if parameter.requires_grad else parameter.data
    whole = gradients(exact, score(exact, inputs, labels, shared=shared))
    apart = []
    for by in (
        lambda: score(half, inputs, labels, shared=shared),
        lambda: by_trl(half, inputs, labels),
    ):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = gradients(half, by())
        apart.append(sum((found[name] - grad).norm() ** 2 for name, grad in whole.items()) ** 0.5)
    assert 0 < apart[0] < 2 * apart[1]


def test_gradient_checkpointing_changes_nothing_but_memory(tmp_path):
    from misstep.train.logps import score

    model = adapted(tmp_path)
    inputs, labels = batch()
    plain = gradients(model, score(model, inputs, labels, shared=True))
    model.train()
    model.enable_input_require_grads()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    again = gradients(model, score(model, inputs, labels, shared=True))
    for name, grad in plain.items():
        torch.testing.assert_close(again[name], grad, atol=1e-5, rtol=1e-4)


def test_log_probabilities_are_those_of_a_plain_forward_pass(tmp_path):
    from misstep.train.attention import switch
    from misstep.train.logps import score

    model = adapted(tmp_path)
    inputs, labels = batch(ROWS[:1])
    scored = score(model, inputs, labels, shared=True).log_probs
    switch(model.get_base_model(), on=False)
    row = torch.tensor([[1, 20, 3, 40, 5, 60, 7]])
    plain = model(input_ids=row).logits.log_softmax(-1)[0]
    expected = torch.stack([plain[3, 5], plain[4, 60], plain[5, 7]])
    torch.testing.assert_close(scored[0, 3:6], expected, atol=1e-5, rtol=1e-5)


def test_the_head_is_scored_in_slices_without_a_seam():
    from misstep.train import head

    torch.manual_seed(0)
    hidden = torch.randn(300, 8, requires_grad=True)
    weight, targets = torch.randn(50, 8), torch.randint(0, 50, (300,))
    scored, *_ = head.ScoredPositions.apply(hidden, weight, targets)
    weights = torch.randn(300)
    (mine,) = torch.autograd.grad((scored * weights).sum(), hidden)
    plain = (hidden @ weight.t()).log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    (theirs,) = torch.autograd.grad((plain * weights).sum(), hidden)
    torch.testing.assert_close(scored, plain)
    torch.testing.assert_close(mine, theirs)
