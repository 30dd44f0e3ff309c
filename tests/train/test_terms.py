"""Every loss over several pairs at once, against its formula over the tokens that count."""

from __future__ import annotations

import typing
from dataclasses import replace

import pytest

from misstep.tuning import DpoLoss
from training import DPO, pair_trainer_for

torch = pytest.importorskip("torch")

from torch.nn.functional import logsigmoid  # noqa: E402

from misstep.train.rows import Ids  # noqa: E402

BETA, SMOOTHING, TAU = 0.4, 0.1, 0.05
PAIRS = [
    Ids(id="a", prompt=(1,), chosen=(5, 6, 9), rejected=(5, 7, 9, 9, 9)),
    Ids(id="b", prompt=(1, 2), chosen=(8, 6, 4, 9), rejected=(7, 9)),
    Ids(id="c", prompt=(3,), chosen=(5, 9), rejected=(6, 9)),
]
PLACED = [
    ((0.0, 1.0, 0.0), (0.0, 1.0, 0.0, 0.0, 1.0)),
    ((1.0, 0.0, 1.0, 0.0), (1.0, 0.0)),
    ((1.0, 0.0), (1.0, 1.0)),
]
SIZES = torch.tensor([*(float(len(p.chosen)) for p in PAIRS), *(len(p.rejected) for p in PAIRS)])
"""Tokens of each side, all chosen ones first."""
COUNTS = {
    "all": [((1.0,) * len(row.chosen), (1.0,) * len(row.rejected)) for row in PAIRS],
    "differing": [  # worked out by hand: what is not in the longest common part of the two
        ((0.0, 1.0, 0.0), (0.0, 1.0, 0.0, 1.0, 1.0)),
        ((1.0, 1.0, 1.0, 0.0), (1.0, 0.0)),
        ((1.0, 0.0), (1.0, 0.0)),
    ],
    "failing": PLACED,
    "onset": PLACED,
}


def by_formula(name, *, sums, reference):
    """[pairs] a loss from log-probabilities of both sides, summed over the tokens that count."""
    (won, lost), (start_won, start_lost) = sums, reference
    lengths = SIZES.chunk(2)
    up, down = won - start_won, lost - start_lost
    margin = BETA * (up - down)
    if name == "aot":
        shift = BETA * ((won - lost).sort()[0] - (start_won - start_lost).sort()[0])
    elif name == "aot_unpaired":
        shift = BETA * (up.sort()[0] - down.sort()[0])
    elif name == "sigmoid_norm":
        shift = BETA * (up / lengths[0] - down / lengths[1])
    else:
        shift = margin
    right, wrong = logsigmoid(shift), logsigmoid(-shift)
    smoothed = -right * (1 - SMOOTHING) - wrong * SMOOTHING
    mixed = (margin / TAU).sigmoid()
    each = up / lengths[0] - down / lengths[1]
    return {
        "sigmoid": lambda: -right,
        "sigmoid_norm": lambda: -right,
        "hinge": lambda: (1 - margin).clamp(min=0),
        "ipo": lambda: (each - 1 / (2 * BETA)) ** 2,
        "exo_pair": lambda: (
            margin.sigmoid() * (right - torch.tensor(1 - SMOOTHING).log())
            + (-margin).sigmoid() * (wrong - torch.tensor(SMOOTHING).log())
        ),
        "nca_pair": lambda: (
            -logsigmoid(BETA * up) - 0.5 * logsigmoid(-BETA * up) - 0.5 * logsigmoid(-BETA * down)
        ),
        "robust": lambda: ((1 - SMOOTHING) * -right - SMOOTHING * -wrong) / (1 - 2 * SMOOTHING),
        "bco_pair": lambda: -logsigmoid(BETA * up) - logsigmoid(-BETA * down),
        "sppo_hard": lambda: (up - 0.5 / BETA) ** 2 + (down + 0.5 / BETA) ** 2,
        "aot": lambda: smoothed,
        "aot_unpaired": lambda: smoothed,
        "apo_zero": lambda: 1 - (BETA * up).sigmoid() + (BETA * down).sigmoid(),
        "apo_down": lambda: (BETA * up).sigmoid() + 1 - margin.sigmoid(),
        "discopop": lambda: -right * (1 - mixed) + (-margin).exp() * mixed,
    }[name]()


def batch_of(tiny, folder, config, kind):
    """A trainer, a batch of all pairs, and log-probabilities for it that no model gave."""
    from trl.trainer.utils import FusedCausalLMOutput

    from misstep.train.trainers import Reference

    marked = kind in ("failing", "onset")
    rows = [
        replace(row, counts=counts if marked else None)
        for row, counts in zip(PAIRS, PLACED, strict=True)
    ]
    trainer = pair_trainer_for(tiny, folder, replace(config, preference_tokens=kind), rows)
    torch.manual_seed(3)
    start = 4 * torch.rand(len(PAIRS), 2) - 6
    trainer.refer({at: Reference(*pair, -5.0) for at, pair in enumerate(start.tolist())})
    inputs = trainer.data_collator([trainer.train_dataset[at] for at in range(len(PAIRS))])
    mask = inputs["completion_mask"][:, 1:].float()
    scored = (-3 * torch.rand(mask.shape) * mask).requires_grad_()
    nothing = torch.zeros_like(mask)
    trainer._score = lambda *_: FusedCausalLMOutput(
        log_probs=scored,
        entropy=nothing,
        mean_logits=nothing,
        is_top1=nothing.bool(),
        log_sum_sq_probs=-mask,
    )
    trainer.model.train()
    return trainer, inputs, scored, start.T


def counts_of(kind, width):
    """[rows, width] what each token counts, laid where the collator lays answers."""
    table = torch.zeros(2 * len(PAIRS), width)
    for at, (row, sides) in enumerate(zip(PAIRS, COUNTS[kind], strict=True)):
        for side, counts in enumerate(sides):
            first = len(row.prompt) - 1
            table[at + side * len(PAIRS), first : first + len(counts)] = torch.tensor(counts)
    return table


@pytest.mark.parametrize("kind", list(COUNTS))
@pytest.mark.parametrize("name", [name for name in typing.get_args(DpoLoss) if name != "sft"])
def test_a_loss_sums_the_tokens_that_count_and_moves_no_others(tiny, tmp_path, name, kind):
    config = replace(
        DPO, loss_type=(name,), loss_weights=(0.7,), beta=BETA, label_smoothing=SMOOTHING
    )
    trainer, inputs, scored, reference = batch_of(tiny, tmp_path, config, kind)
    trainer._compute_loss(trainer.model, inputs, False).backward()
    counted = counts_of(kind, scored.shape[1])
    plain = scored.detach().clone().requires_grad_()
    expected = 0.7 * by_formula(name, sums=(plain * counted).sum(1).chunk(2), reference=reference)
    expected.mean().backward()
    moved = scored.grad * inputs["completion_mask"][:, 1:]
    torch.testing.assert_close(moved, plain.grad, atol=1e-6, rtol=1e-5)
    assert moved[counted == 0].abs().max() < 1e-6
    assert moved[counted == 1].abs().max() > 1e-4


@pytest.mark.parametrize("kind", ["all", "failing"])
@pytest.mark.parametrize("name", ["sigmoid", "aot", "ipo", "robust"])
def test_the_value_of_the_loss_is_that_of_the_formula(tiny, tmp_path, name, kind):
    losses = {"loss_type": (name, "sft"), "loss_weights": (0.7, 0.3)}
    config = replace(DPO, **losses, beta=BETA, label_smoothing=SMOOTHING)
    trainer, inputs, scored, reference = batch_of(tiny, tmp_path, config, kind)
    loss = trainer._compute_loss(trainer.model, inputs, False).item()
    counted = counts_of(kind, scored.shape[1])
    sums = (scored.detach() * counted).sum(1).chunk(2)
    chosen = scored.detach().chunk(2)[0].sum() / SIZES[:3].sum()
    preference = by_formula(name, sums=sums, reference=reference).mean()
    assert loss == pytest.approx((0.7 * preference - 0.3 * chosen).item(), abs=1e-5)


@pytest.mark.parametrize("kind", ["all", "failing"])
def test_weighting_weighs_the_sft_term_by_the_mean_weight_of_the_pairs(tiny, tmp_path, kind):
    config = replace(DPO, beta=BETA, loss_weights=(1.0, 0.3), use_weighting=True)
    trainer, inputs, scored, reference = batch_of(tiny, tmp_path, config, kind)
    loss = trainer._compute_loss(trainer.model, inputs, False)
    loss.backward()
    plain = scored.detach().clone().requires_grad_()
    with torch.no_grad():  # each token has log_sum_sq_probs -1
        chosen, rejected = ((plain.sum(1) + SIZES) / SIZES).exp().chunk(2)
    sums = (plain * counts_of(kind, plain.shape[1])).sum(1).chunk(2)
    preference = by_formula("sigmoid", sums=sums, reference=reference)
    answers = plain.chunk(2)[0].sum() / SIZES[:3].sum()
    expected = (preference * chosen * rejected).mean() - 0.3 * answers * (chosen * rejected).mean()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    mask = inputs["completion_mask"][:, 1:]
    torch.testing.assert_close(scored.grad * mask, plain.grad * mask, atol=1e-6, rtol=1e-5)


USABLE = [name for name in typing.get_args(DpoLoss) if name not in ("aot", "aot_unpaired", "hinge")]


@pytest.mark.parametrize("name", USABLE)
def test_every_loss_that_can_be_weighted_is(tiny, tmp_path, name):
    config = replace(DPO, loss_type=(name,), loss_weights=(1.0,), label_smoothing=SMOOTHING)
    trainer, inputs, scored, _ = batch_of(
        tiny, tmp_path, replace(config, use_weighting=True), "failing"
    )
    trainer._compute_loss(trainer.model, inputs, False).backward()
    assert scored.grad.abs().max() > 1e-5
