"""The unpaired stage: couples for the KL term, batches that mix labels, losses equal to TRL's."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep.train.rows import Ids, mixed_batches, plan, tokenise
from training import KTO, LORA, Letters, labelled, settings

torch = pytest.importorskip("torch")

IDS = [
    Ids(id="a", prompt=(1, 20), chosen=(5, 6, 9)),
    Ids(id="b", prompt=(1, 20), chosen=(5, 7, 9), label=False),
    Ids(id="c", prompt=(1, 30, 3), chosen=(8, 9)),
    Ids(id="d", prompt=(1, 40), chosen=(6, 6, 6, 9), label=False),
]


def trainer_for(tiny, out, config=KTO, **reads):
    from misstep.models import load
    from misstep.train import stage
    from misstep.train.kto import label_trainer

    job = stage.Job(
        name="kto",
        loaded=load(tiny, dtype="float32"),
        adapter=None,
        out=out,
        config=config,
        lora=LORA,
        run=settings(),
    )
    with stage.quiet():
        trainer = label_trainer(job, config, IDS)
    reading = replace(trainer.route.reading, **reads)
    trainer.route = replace(trainer.route, reading=reading, batches=[[0, 1, 2, 3]])
    return trainer


def stirred(trainer):
    """The adapter moved away from the reference, by the same draw each time."""
    torch.manual_seed(3)
    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    return trainer


def inputs_of(trainer):
    trainer.model.train()
    return trainer._prepare_inputs(trainer.data_collator(list(trainer.train_dataset)))


def loss_and_gradients(trainer):
    loss = trainer._compute_loss(trainer.model, inputs_of(trainer), False)
    loss.backward()
    found = {n: p.grad for n, p in trainer.model.named_parameters() if p.grad is not None}
    return loss.item(), found


@pytest.mark.parametrize("loss_type", ["kto", "apo_zero_unpaired"])
def test_loss_and_gradients_equal_those_of_trl(tiny, tmp_path, loss_type):
    from trl import KTOTrainer

    config = replace(KTO, loss_type=loss_type, beta=0.3, undesirable_weight=0.7)
    ours = trainer_for(tiny, tmp_path / "a", config)
    ours.refer(ours.references())
    mine = loss_and_gradients(stirred(ours))

    theirs = trainer_for(tiny, tmp_path / "b", config, own_head=False, shared=False)
    theirs.precompute_ref_logps = False  # TRL measures the reference with the adapter off
    stirred(theirs)._score = None
    theirs._compute_kl_logps = lambda *given: KTOTrainer._compute_kl_logps(theirs, *given)
    loss = KTOTrainer._compute_loss(theirs, theirs.model, inputs_of(theirs), False)
    loss.backward()
    assert mine[0] == pytest.approx(loss.item(), abs=1e-5)
    for name, parameter in theirs.model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(mine[1][name], parameter.grad, atol=1e-5, rtol=1e-3)


def test_the_loss_is_the_one_worked_by_hand(tiny, tmp_path):
    from trl.trainer.utils import FusedCausalLMOutput

    def scored(sums):
        column = torch.tensor(sums)[:, None]
        return FusedCausalLMOutput(
            log_probs=torch.cat((column, torch.zeros(len(sums), 4)), 1),
            entropy=torch.zeros(len(sums), 5),
            mean_logits=torch.zeros(len(sums), 5),
            is_top1=torch.zeros(len(sums), 5, dtype=torch.bool),
        )

    trainer = trainer_for(tiny, tmp_path / "a", replace(KTO, beta=0.5, undesirable_weight=2.0))
    now, coupled = [-2.0, -3.0, -4.0, -1.0], [-9.0, -8.0, -7.0, -5.0]
    trainer._score = lambda model, inputs, prefix="": scored(coupled if prefix else now)
    mates = {0: 2, 1: 3, 2: 0, 3: 1}
    trainer.refer({(at, at): -3.0 for at in range(4)} | dict.fromkeys(mates.items(), -8.0))
    loss = trainer._compute_loss(None, inputs_of(trainer), False)
    ratio = [1.0, 0.0, -1.0, 2.0]
    kl = max((-1.0 + 0.0 + 1.0 + 3.0) / 4, 0)

    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    expected = [
        1 - sigmoid(0.5 * (ratio[0] - kl)),
        2 * (1 - sigmoid(0.5 * (kl - ratio[1]))),
        1 - sigmoid(0.5 * (ratio[2] - kl)),
        2 * (1 - sigmoid(0.5 * (kl - ratio[3]))),
    ]
    assert loss.item() == pytest.approx(sum(expected) / 4, abs=1e-6)


def test_a_completion_is_coupled_with_another_prompt_where_there_is_one():
    from misstep.train.labels import mated

    same, other = (1, 2), (3,)
    assert mated([same, same, other, other]) == [2, 3, 0, 1]
    assert mated([same, other, (4,)]) == [2, 0, 1]
    assert mated([same]) == [0]


def test_accepted_answers_become_likelier_than_failures(tiny, tmp_path):
    from misstep import train

    config = replace(KTO, num_train_epochs=6.0, learning_rate=5e-3, max_chosen_drop=0.0)
    trained = train.train_kto(
        labelled(16),
        base=tiny,
        adapter=None,
        out=tmp_path / "o",
        config=config,
        lora=LORA,
        run=settings(),
    )
    first, *_, last = (entry for entry in trained.log if "loss" in entry)
    assert first["rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert last["rewards/chosen"] > 0 > last["rewards/rejected"]


def test_rows_of_one_label_are_not_trained_on(tiny, tmp_path):
    from misstep import train

    rows = [row for row in labelled(8) if not row.label]
    trained = train.train_kto(
        rows, base=tiny, adapter=None, out=tmp_path / "o", config=KTO, lora=LORA, run=settings()
    )
    assert (trained.steps, trained.rows) == (0, 0)
    assert trained.stopped == "nothing was trained: KTO needs accepted and failed answers"


def test_a_failure_that_never_ended_carries_no_end_of_turn():
    rows = [replace(row, cut=True) for row in labelled(2)]
    kept, _ = tokenise(rows, Letters(), max_length=100, pairs=False)
    assert [(ids.label, ids.chosen[-1] == 0) for ids in kept] == [(True, True), (False, False)]


@given(
    labels=st.lists(st.booleans(), min_size=2, max_size=60),
    batch=st.integers(4, 9),
    seed=st.integers(0, 3),
)
def test_an_epoch_has_every_row_once_and_no_batch_of_one(labels, batch, seed):
    rows = [
        Ids(id=str(at), prompt=(at // 2,), chosen=(at,), label=label)
        for at, label in enumerate(labels)
    ]
    epoch = -(-len(rows) // batch)
    found = mixed_batches(rows, batch=batch, count=epoch, seed=seed)
    every = mixed_batches(rows, batch=batch, count=9 * epoch, seed=seed)
    first = [at for group in every for at in group][: len(rows)]
    assert sorted(first) == list(range(len(rows)))
    assert every[: len(found)] == found
    assert all(len(group) > 1 for group in every)


@given(
    count=st.integers(2, 60),
    batch=st.integers(4, 9),
    accumulate=st.integers(1, 4),
    epochs=st.integers(1, 3),
)
def test_the_steps_of_some_epochs_read_every_row_once_in_each(count, batch, accumulate, epochs):
    rows = [
        Ids(id=str(at), prompt=(at // 2,), chosen=(at,), label=at % 2 == 0) for at in range(count)
    ]
    steps, micro = plan(count, batch=batch, accumulate=accumulate, epochs=epochs, max_steps=-1)
    read = Counter(
        at for group in mixed_batches(rows, batch=batch, count=micro, seed=1) for at in group
    )
    assert read == dict.fromkeys(range(count), epochs)
    assert steps == -(-micro // accumulate)


def test_labels_that_weigh_unevenly_are_told_with_what_to_set():
    from misstep.train.kto import unbalanced

    def told(accepted, failed, **weights):
        rows = [
            Ids(id=str(at), prompt=(at,), chosen=(at,), label=at < accepted)
            for at in range(accepted + failed)
        ]
        return unbalanced(rows, replace(KTO, **weights))

    assert told(3, 30) == (
        "3 accepted and 30 failed answers weigh 3 to 30; set kto.desirable_weight to 10 up to 13, "
        "or kto.undesirable_weight accordingly"
    )
    assert told(3, 30, desirable_weight=10.0) == told(3, 30, undesirable_weight=0.1) == ""
    assert told(192, 208) == told(4, 3) == told(2, 1) == ""
    assert "desirable_weight to 0.33 up to 0.44" in told(30, 10)
    assert told(30, 10, undesirable_weight=0.0) == ""


def test_a_last_row_is_not_alone(tiny, tmp_path):
    from misstep import train

    trained = [
        train.train_kto(
            labelled(18)[:count],
            base=tiny,
            adapter=None,
            out=tmp_path / str(count),
            config=replace(KTO, per_device_train_batch_size=16, num_train_epochs=epochs),
            lora=LORA,
            run=settings(),
        )
        for count, epochs in ((16, 1.0), (17, 1.0), (17, 2.0))
    ]
    assert [each.steps for each in trained] == [1, 2, 4]


def test_batches_hold_the_labels_in_the_proportion_of_the_whole():
    rows = [Ids(id=str(at), prompt=(at,), chosen=(at,), label=at % 4 == 0) for at in range(64)]
    for group in mixed_batches(rows, batch=16, count=4, seed=1):
        assert 2 <= sum(rows[at].label for at in group) <= 6
