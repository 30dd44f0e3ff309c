"""Trainings in which only the tokens at the place of the failure count."""

from __future__ import annotations

from dataclasses import replace

import pytest

from training import DPO, KTO, LORA, labelled, say, settings

torch = pytest.importorskip("torch")

from misstep import train  # noqa: E402
from misstep.types import Context, Mark  # noqa: E402


def loops(count):
    """Pairs with a loop that is marked, but for every third; the last mark is out of range."""
    for at in range(count):
        before, unit = f"well {at} ", "so on "
        start = len(before)
        mark = Mark(
            side="rejected",
            code="REP_LOOP",
            channel="content",
            span=(start + len(unit), start + 5 * len(unit)),
            again=(start + len(unit), start + 2 * len(unit)),
        )
        yield train.Row(
            id=f"r{at}",
            prompt=(say("user", f"question {at // 2}"),),
            context=Context(),
            chosen=say("assistant", f"well {at} enough"),
            rejected=say("assistant", before + unit * 5),
            cut=True,
            codes=("REP_LOOP",),
            marks=() if at % 3 == 0 else (mark,),
            unplaced=("places/0: [0, 99] lies outside of 35 characters",) if at == 8 else (),
        )


def go(tiny, out, **changes):
    run = changes.pop("run", None) or settings()
    return train.train_dpo(
        list(loops(9)),
        base=tiny,
        adapter=None,
        out=out,
        config=replace(DPO, **changes),
        lora=LORA,
        run=run,
    )


def losses(trained):
    return [entry["loss"] for entry in trained.log if "loss" in entry]


@pytest.mark.parametrize("kind", ["failing", "onset"])
def test_what_was_counted_stands_in_the_facts_and_is_said(tiny, tmp_path, kind):
    heard = []
    trained = go(tiny, tmp_path / "o", preference_tokens=kind, run=settings(say=heard.append))
    facts = dict(trained.focus)
    assert 0 < facts.pop("share") < 1
    assert facts == {"tokens": kind, "placed": 6, "unplaced": 3, "spans_set_aside": 1}
    said = f"dpo.preference_tokens: {kind}: 3 of 9 "
    assert heard[0].startswith(f"training: {said}")
    assert any(entry.get("note", "").startswith(said) for entry in trained.log)


def test_other_tokens_make_another_training(tiny, tmp_path):
    kinds = ("all", "differing", "failing", "onset")
    every = {kind: go(tiny, tmp_path / kind, preference_tokens=kind) for kind in kinds}
    assert len({trained.sha256 for trained in every.values()}) == len(kinds)
    assert every["all"].focus["share"] == 1.0
    near = go(tiny, tmp_path / "near", preference_tokens="onset", onset_tokens=0)
    assert near.focus["share"] < every["onset"].focus["share"]
    wide = go(tiny, tmp_path / "wide", preference_tokens="onset", onset_tokens=99)
    assert losses(wide) == losses(every["all"])
    assert wide.focus["share"] == 1.0


def test_a_budget_and_the_layout_leave_the_losses_as_they_are(tiny, tmp_path):
    whole = go(tiny, tmp_path / "whole", preference_tokens="failing")
    parted = go(tiny, tmp_path / "parted", preference_tokens="failing", tokens_per_batch=48)
    apart = go(tiny, tmp_path / "apart", preference_tokens="failing", share_prompts=False)
    assert losses(parted) == pytest.approx(losses(whole), abs=1e-4)
    assert losses(apart) == pytest.approx(losses(whole), abs=1e-4)


def test_accumulated_batches_give_the_weights_of_one_large_batch(tiny, tmp_path):
    once = {"preference_tokens": "onset", "loss_type": ("sigmoid",), "loss_weights": (1.0,)}
    large = go(tiny, tmp_path / "large", per_device_train_batch_size=9, **once)
    small = {"per_device_train_batch_size": 3, "gradient_accumulation_steps": 3}
    steps = go(tiny, tmp_path / "small", **small, **once)
    assert steps.steps == large.steps == 1
    assert weights(steps) == pytest.approx(weights(large), abs=1e-5)


def weights(trained):
    from safetensors.torch import load_file

    tensors = load_file(trained.adapter / "adapter_model.safetensors")
    return torch.cat([tensors[name].flatten() for name in sorted(tensors)]).tolist()


def test_kto_pays_no_heed_to_marks(tiny, tmp_path):
    mark = Mark(side="rejected", code="REP_LOOP", channel="content", span=(0, 1), again=(0, 1))
    shas = set()
    for name, marks in (("bare", ()), ("marked", (mark,))):
        trained = train.train_kto(
            [replace(row, marks=marks) for row in labelled(8)],
            base=tiny,
            adapter=None,
            out=tmp_path / name,
            config=KTO,
            lora=LORA,
            run=settings(),
        )
        shas.add(trained.sha256)
    assert len(shas) == 1
