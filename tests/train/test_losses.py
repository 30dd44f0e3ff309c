"""Loss arithmetic, worked by hand on four log-probabilities, against what the trainer computes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from training import DPO, pair_trainer_for

torch = pytest.importorskip("torch")

from misstep.train.rows import Ids  # noqa: E402

IDS = [Ids(id="a", prompt=(1,), chosen=(5, 6, 9), rejected=(5, 7, 9))]
THREE = [
    *IDS,
    Ids(id="b", prompt=(1, 20), chosen=(8, 9), rejected=(5, 7, 40, 6, 9)),
    Ids(id="c", prompt=(3,), chosen=(60, 6, 41, 9), rejected=(9,)),
]
"""Of different lengths, one with the longer chosen side and one with the longer rejected one."""


def trainer_for(tiny, tmp_path, config, ids=IDS):
    return pair_trainer_for(tiny, tmp_path, config, ids)


def loss_of(trainer, chosen, rejected, reference):
    """The trainer's loss, and its gradients, were the model to give these log-probabilities."""
    from trl.trainer.utils import FusedCausalLMOutput

    from misstep.train.trainers import Reference

    scored = torch.tensor([chosen, rejected], requires_grad=True)
    trainer._score = lambda *_: FusedCausalLMOutput(
        log_probs=scored,
        entropy=torch.zeros(2, 3),
        mean_logits=torch.zeros(2, 3),
        is_top1=torch.zeros(2, 3, dtype=torch.bool),
    )
    trainer.refer({0: Reference(*reference)})
    inputs = trainer.data_collator([trainer.train_dataset[0]])
    trainer.model.train()
    loss = trainer._compute_loss(trainer.model, inputs, False)
    loss.backward()
    return loss.item(), scored.grad.tolist()


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_dpo_and_sft_loss_of_one_pair(tiny, tmp_path):
    # policy: -2.0 and -3.5; reference: -2.5 and -3.0; log-ratios 0.5 and -0.5; beta 0.5
    config = replace(DPO, beta=0.5, loss_weights=(1.0, 0.3))
    trainer = trainer_for(tiny, tmp_path, config)
    loss, _ = loss_of(trainer, [-1.0, -0.5, -0.5], [-1.0, -2.0, -0.5], (-2.5, -3.0, -2.5))
    preference = -math.log(sigmoid(0.5 * (0.5 - -0.5)))  # 0.4741
    assert loss == pytest.approx(preference + 0.3 * 2.0 / 3, abs=1e-6)
    assert preference == pytest.approx(0.474077, abs=1e-6)
    logged = {name: values[-1] for name, values in trainer._metrics["train"].items()}
    assert logged["rewards/chosen"] == pytest.approx(0.25)
    assert logged["rewards/margins"] == pytest.approx(0.5)
    assert logged["logps/chosen"] == pytest.approx(-2.0)
    assert logged["logps/rejected"] == pytest.approx(-3.5)
    assert logged["logps/chosen_change"] == pytest.approx(0.5)


def test_only_differing_tokens_count_in_the_preference_and_all_in_the_sft_term(tiny, tmp_path):
    # the sides differ in their second token: policy -0.5 and -2.0, reference -1.0 and -1.5
    config = replace(DPO, beta=0.5, loss_weights=(1.0, 0.3), preference_tokens="differing")
    trainer = trainer_for(tiny, tmp_path, config)
    loss, grad = loss_of(trainer, [-1.0, -0.5, -0.25], [-1.0, -2.0, -0.75], (-1.0, -1.5, -2.0))
    sft = 0.3 * (1.0 + 0.5 + 0.25) / 3
    assert loss == pytest.approx(-math.log(sigmoid(0.5)) + sft, abs=1e-6)
    push = 0.5 * sigmoid(-0.5)
    assert grad[0] == pytest.approx([-0.1, -0.1 - push, -0.1], abs=1e-6)
    assert grad[1] == pytest.approx([0.0, push, 0.0], abs=1e-6)
    assert trainer._metrics["train"]["logps/chosen"][-1] == pytest.approx(-1.75)
    assert trainer._metrics["train"]["logps/chosen_change"][-1] == pytest.approx(0.25)


def test_the_reference_counts_the_same_tokens_as_the_policy(tiny, tmp_path):
    from misstep.train.attention import switch

    trainers = {
        name: trainer_for(tiny, tmp_path, replace(DPO, preference_tokens=name))
        for name in ("all", "differing")
    }
    whole, part = (trainers[name].references([[0]])[0] for name in ("all", "differing"))
    assert whole.chosen == whole.whole == part.whole
    switch(trainers["all"].model.get_base_model(), on=False)
    row = torch.tensor([[1, 5, 6, 9], [1, 5, 7, 9]])
    plain = trainers["all"].model(input_ids=row).logits.log_softmax(-1)
    assert part.chosen == pytest.approx(plain[0, 1, 6].item(), abs=1e-5)
    assert part.rejected == pytest.approx(plain[1, 1, 7].item(), abs=1e-5)


PLACED = {
    # the sides differ in tokens 0 and 2; the failure is token 2
    "failing": ((0.0, 0.0, 1.0), (0.0, 0.0, 1.0)),
    # the loop begins to repeat itself at token 1
    "onset": ((1.0, 1.0, 1.0), (0.0, 1.0, 0.0)),
}


@pytest.mark.parametrize("kind", list(PLACED))
def test_only_tokens_at_the_place_count_in_the_preference_and_all_in_the_sft_term(
    tiny, tmp_path, kind
):
    # policy over the tokens that count, failing: -0.25 and -0.75, onset: -1.75 and -2.0;
    # reference -0.5 and -0.25, so log-ratios 0.25 and -0.5, or -1.25 and -1.75
    ids = [Ids(id="a", prompt=(1,), chosen=(5, 6, 9), rejected=(7, 6, 8), counts=PLACED[kind])]
    config = replace(DPO, beta=0.5, loss_weights=(1.0, 0.3), preference_tokens=kind)
    trainer = trainer_for(tiny, tmp_path, config, ids)
    reference = (-0.5, -0.25, -2.0)
    loss, grad = loss_of(trainer, [-1.0, -0.5, -0.25], [-1.0, -2.0, -0.75], reference)
    margin = {"failing": 0.25 - -0.5, "onset": -1.25 - -1.75}[kind]
    sft = 0.3 * (1.0 + 0.5 + 0.25) / 3
    assert loss == pytest.approx(-math.log(sigmoid(0.5 * margin)) + sft, abs=1e-6)
    push = 0.5 * sigmoid(-0.5 * margin)
    left, right = PLACED[kind]
    assert grad[0] == pytest.approx([-0.1 - push * each for each in left], abs=1e-6)
    assert grad[1] == pytest.approx([push * each for each in right], abs=1e-6)
    # what watches a training sees the whole chosen side
    assert trainer._metrics["train"]["logps/chosen"][-1] == pytest.approx(-1.75)
    assert trainer._metrics["train"]["logps/chosen_change"][-1] == pytest.approx(0.25)


def test_a_token_behind_the_shorter_side_has_both_weights(tiny, tmp_path):
    # rejected is longer by its last token: ld_alpha 0.5 weighs it, and it alone counts there
    counts = ((1.0, 1.0), (0.0, 0.0, 1.0))
    ids = [Ids(id="a", prompt=(1,), chosen=(5, 6), rejected=(5, 7, 8), counts=counts)]
    config = replace(DPO, beta=1.0, loss_type=("sigmoid",), loss_weights=(1.0,), ld_alpha=0.5)
    trainer = trainer_for(tiny, tmp_path, config, ids)
    loss, grad = loss_of(trainer, [-1.0, -1.0, 0.0], [-1.0, -1.0, -2.0], (-2.5, -0.5, -2.5))
    # chosen: -2.0 against -2.5; rejected: 0.5 * -2.0 against -0.5; margin 0.5 + 0.5
    assert loss == pytest.approx(-math.log(sigmoid(1.0)), abs=1e-6)
    assert grad[1] == pytest.approx([0.0, 0.0, 0.5 * sigmoid(-1.0)], abs=1e-6)


@pytest.mark.parametrize("changes", [{}, {"ld_alpha": 0.3}, {"loss_type": ("ipo", "sft")}])
def test_marks_that_cover_everything_give_the_loss_and_gradients_of_all(tiny, tmp_path, changes):
    whole = ((1.0,) * 3, (1.0,) * 3)
    results = []
    for kind, counts in (("all", None), ("failing", whole), ("onset", whole)):
        config = replace(DPO, preference_tokens=kind, **changes)
        trainer = trainer_for(tiny, tmp_path, config, [replace(IDS[0], counts=counts)])
        reference = (-2.5, -3.0, -2.5)
        results.append(loss_of(trainer, [-1.0, -0.5, -0.5], [-1.0, -2.0, -0.5], reference))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("budget", [0, 6])
def test_the_reference_counts_the_tokens_of_the_place_in_every_layout(tiny, tmp_path, budget):
    rows = [
        Ids(id="a", prompt=(1, 2), chosen=(5, 6, 9), rejected=(7, 6, 8), counts=PLACED["failing"]),
        Ids(id="b", prompt=(1, 2, 3), chosen=(5, 6, 9), rejected=(7, 6, 8), counts=PLACED["onset"]),
    ]
    config = replace(DPO, preference_tokens="failing", tokens_per_batch=budget)
    trainer = trainer_for(tiny, tmp_path, config, rows)
    found = trainer.references([[0, 1]])
    for at, row in enumerate(rows):
        plain = list(scored_alone(trainer, row))
        for side, (values, counts) in enumerate(zip(plain, row.counts, strict=True)):
            expected = sum(v * c for v, c in zip(values, counts, strict=True))
            assert (found[at].chosen, found[at].rejected)[side] == pytest.approx(expected, abs=1e-4)
        assert found[at].whole == pytest.approx(sum(plain[0]), abs=1e-4)


def scored_alone(trainer, row):
    """Log-probabilities of the tokens of both sides, each read by itself."""
    from misstep.train.attention import switch

    switch(trainer.model.get_base_model(), on=False)
    for side in (row.chosen, row.rejected):
        ids = torch.tensor([row.prompt + side])
        with torch.no_grad():
            plain = trainer.model(input_ids=ids).logits.log_softmax(-1)[0]
        first = len(row.prompt) - 1
        yield [plain[first + at, token].item() for at, token in enumerate(side)]


KINDS = """
sigmoid hinge ipo nca_pair bco_pair sppo_hard aot aot_unpaired apo_zero apo_down discopop sft
sigmoid_norm
"""
LOSSES = [{"loss_type": (name,), "loss_weights": (1.0,)} for name in KINDS.split()] + [
    {},
    {"loss_type": ("robust",), "loss_weights": (1.0,), "label_smoothing": 0.1},
    {"loss_type": ("exo_pair",), "loss_weights": (1.0,), "label_smoothing": 0.1},
    {"loss_type": ("sigmoid", "sft", "ipo"), "loss_weights": (0.5, 0.3, 0.2)},
    {"ld_alpha": 0.3},
    {"use_weighting": True, "loss_type": ("sigmoid", "ipo"), "loss_weights": (0.7, 0.3)},
    {"use_weighting": True},  # of one pair: TRL has none over more for these losses
    {"f_divergence_type": "js_divergence"},
    {"f_divergence_type": "forward_kl"},
    {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 0.7},
]


@pytest.mark.parametrize("changes", LOSSES, ids=lambda c: "-".join(map(str, c.values())) or "-")
def test_loss_and_gradients_of_a_batch_equal_those_of_trl(tiny, tmp_path, changes):
    from trl import DPOTrainer

    from misstep.train import stage

    class Plain(DPOTrainer):
        def _prepare_dataset(self, dataset, *_):
            return dataset

    config = replace(DPO, **changes)
    rows = IDS if changes == {"use_weighting": True} else THREE
    every = list(range(len(rows)))
    ours = trainer_for(tiny, tmp_path, config, rows)
    columns = ours.train_dataset
    stir(ours.model)
    ours.refer(ours.references([every]))
    with stage.quiet():
        other = trainer_for(tiny, tmp_path, config).model
        stir(other)
        theirs = Plain(
            model=other,
            args=ours.args,
            train_dataset=columns,
            processing_class=ours._tokenizer,
        )
    assert "ref" in theirs.model.peft_config
    results = []
    for trainer in (ours, theirs):
        stir(trainer.model)
        trainer.model.train()
        inputs = trainer.data_collator([trainer.train_dataset[at] for at in every])
        loss = trainer._compute_loss(trainer.model, inputs, False)
        loss.backward()
        grads = {n: p.grad for n, p in trainer.model.named_parameters() if p.grad is not None}
        metrics = {name: values[-1] for name, values in trainer._metrics["train"].items()}
        metrics.pop("logps/chosen_change", None)
        results.append((loss.item(), grads, metrics))
    (loss, grads, metrics), (their_loss, their_grads, their_metrics) = results
    assert loss == pytest.approx(their_loss, abs=1e-4)
    assert metrics == pytest.approx(their_metrics, abs=1e-4)
    assert abs(metrics["rewards/margins"]) > 1e-3
    assert grads.keys() == their_grads.keys()
    for name, grad in their_grads.items():
        torch.testing.assert_close(grads[name], grad, atol=1e-4, rtol=1e-3)


def stir(model):
    """Move the trainable adapter by the same random step in every model."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if ".default." in name:
                parameter += 0.1 * torch.randn_like(parameter)
