"""Both stages on a tiny model: what moves, what repeats, what resumes, what is refused."""

from __future__ import annotations

import errno
import json
from dataclasses import replace

import pytest

from training import DPO, KTO, LORA, SFT, labelled, pairs, say, settings

pytest.importorskip("torch")

from misstep import train
from misstep.errors import ModelError, StageError

STAGES = {
    "sft": (train.train_sft, SFT),
    "dpo": (train.train_dpo, DPO),
    "kto": (train.train_kto, KTO),
}


def go(stage, tiny, out, **changes):
    run, config = STAGES[stage]
    given = {
        "rows": labelled(18) if stage == "kto" else pairs(18),
        "base": tiny,
        "adapter": None,
        "config": config,
        "lora": LORA,
        "run": settings(),
        **changes,
    }
    return run(given.pop("rows"), out=out, **given)


def losses(trained):
    return [entry["loss"] for entry in trained.log if "loss" in entry]


@pytest.fixture(scope="module")
def sft(tiny, tmp_path_factory):
    return go("sft", tiny, tmp_path_factory.mktemp("stages") / "sft")


@pytest.fixture(scope="module")
def dpo(tiny, sft, tmp_path_factory):
    return go("dpo", tiny, tmp_path_factory.mktemp("stages") / "dpo", adapter=sft.adapter)


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def test_sft_moves_the_adapter(sft):
    assert (sft.steps, sft.rows) == (5, 18)
    assert max(t.abs().max().item() for n, t in weights(sft.adapter).items() if "lora_B" in n) > 0


def test_dpo_continues_the_sft_adapter_into_one_adapter(sft, dpo):
    before, after = weights(sft.adapter), weights(dpo.adapter)
    assert before.keys() == after.keys()
    assert any((before[name] - after[name]).abs().max() > 0 for name in before)
    assert sorted(path.name for path in dpo.adapter.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
        "misstep_adapter.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_tokenizer_and_template_beside_the_adapter_are_those_of_the_base(tiny, dpo):
    from transformers import AutoTokenizer

    ours, theirs = (AutoTokenizer.from_pretrained(path) for path in (dpo.adapter, tiny))
    assert ours.chat_template == theirs.chat_template
    assert ours.get_vocab() == theirs.get_vocab()


def test_the_note_and_the_card_hold_the_settings_of_the_adapter(dpo):
    note = json.loads((dpo.adapter / "misstep_adapter.json").read_text(encoding="utf-8"))
    assert (note["lora"]["lora_r"], note["lora"]["lora_alpha"]) == (4, 8)
    assert (note["lora"]["lora_target_modules"], note["lora"]["lora_dropout"]) == ("all-linear", 0)
    assert (note["dtype"], note["processes"]) == ("float32", 1)
    assert "- `lora.lora_r`: 4" in (dpo.adapter / "README.md").read_text(encoding="utf-8")


def test_the_adapter_is_kept_in_float32(dpo):
    assert {str(tensor.dtype) for tensor in weights(dpo.adapter).values()} == {"torch.float32"}


def test_dpo_starts_from_equal_policy_and_reference(dpo):
    margins = [entry["rewards/margins"] for entry in dpo.log if "loss" in entry]
    assert margins[0] == pytest.approx(0, abs=1e-5)
    assert margins[-1] > 0


def test_the_base_does_not_move(tiny, tmp_path):
    import torch

    from misstep.models import load
    from misstep.train import stage
    from misstep.train.dpo import pair_trainer
    from misstep.train.rows import tokenise

    loaded = load(tiny, dtype="float32")
    before = {name: p.clone() for name, p in loaded.model.named_parameters()}
    job = stage.Job(
        name="dpo",
        loaded=loaded,
        adapter=None,
        out=tmp_path / "o",
        config=DPO,
        lora=LORA,
        run=settings(),
    )
    ids, _ = tokenise(pairs(8), loaded.template, max_length=999, pairs=True)
    with stage.quiet():
        trainer = pair_trainer(job, DPO, ids)
        trainer.refer(trainer.references([list(range(8))]))
        trainer.train()
    after = dict(trainer.model.get_base_model().named_parameters())
    moved = [name for name, p in after.items() if "lora" in name and p.abs().sum() > 0]
    assert moved
    for name, value in before.items():
        tuned = after.get(name, after.get(name.replace(".weight", ".base_layer.weight")))
        assert torch.equal(value, tuned), name


@pytest.mark.parametrize("stage", list(STAGES))
def test_the_same_seed_gives_the_same_losses_and_the_same_adapter(stage, tiny, tmp_path):
    one, other = (go(stage, tiny, tmp_path / name) for name in ("one", "other"))
    assert losses(one) == losses(other)
    assert one.sha256 == other.sha256


def test_another_seed_gives_another_adapter(sft, tiny, tmp_path):
    assert go("sft", tiny, tmp_path / "out", run=settings(seed=7)).sha256 != sft.sha256


class Killed(BaseException):
    """What a test kills a run with."""


def kill_at(step):
    def report(now, total, loss):
        if now == step:
            raise Killed

    return report


@pytest.mark.parametrize("stage", list(STAGES))
def test_a_killed_and_resumed_run_gives_the_adapter_of_an_unbroken_one(stage, tiny, tmp_path):
    lora = replace(LORA, lora_dropout=0.1)
    config = replace(STAGES[stage][1], num_train_epochs=2.0, gradient_accumulation_steps=2)
    unbroken = go(stage, tiny, tmp_path / "unbroken", lora=lora, config=config)
    with pytest.raises(Killed):
        go(
            stage,
            tiny,
            tmp_path / "o",
            lora=lora,
            config=config,
            run=settings(progress=kill_at(3)),
        )
    assert (tmp_path / "o.work" / "checkpoint-2").is_dir()
    steps = []
    seen = settings(progress=lambda step, total, loss: steps.append(step))
    resumed = go(stage, tiny, tmp_path / "o", lora=lora, config=config, run=seen)
    assert steps == [3, 4, 5]
    assert resumed.sha256 == unbroken.sha256
    assert losses(resumed) == losses(unbroken)
    assert not (tmp_path / "o.work").exists()


def test_a_checkpoint_cut_short_by_a_kill_is_passed_over(tmp_path):
    from misstep.train.disk import last_checkpoint

    for step in (9, 10, 11):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-9" / "trainer_state.json").write_text("{}")
    (tmp_path / "checkpoint-10" / "trainer_state.json").write_text('{"global')
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-9")
    assert not (tmp_path / "checkpoint-11").exists()


def test_what_other_inputs_left_behind_is_not_resumed(tiny, tmp_path):
    with pytest.raises(Killed):
        go("sft", tiny, tmp_path / "o", run=settings(progress=kill_at(3)))
    steps = []
    seen = settings(progress=lambda step, total, loss: steps.append((step, total)))
    go("sft", tiny, tmp_path / "o", rows=pairs(12), run=seen)
    assert steps == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("stage", list(STAGES))
def test_without_rows_the_adapter_stays_as_it_was(stage, sft, tiny, tmp_path):
    trained = go(stage, tiny, tmp_path / "o", rows=[], adapter=sft.adapter)
    assert (trained.steps, trained.rows, trained.sha256) == (0, 0, sft.sha256)
    assert trained.stopped == "no rows were given"
    assert trained.log == ({"note": "no rows were given"},)


def test_rows_that_cannot_be_used_are_set_aside_and_counted(tiny, tmp_path):
    rows = pairs(6)
    rows[0] = replace(rows[0], rejected=rows[0].chosen)
    rows[1] = replace(rows[1], chosen=say("assistant", "long " * 300))
    trained = go("dpo", tiny, tmp_path / "o", rows=rows)
    assert trained.rows == 4
    assert sorted(each.reason for each in trained.set_aside) == ["same-sides", "too-long"]
    assert trained.rows + len(trained.set_aside) == len(rows)
    card = (trained.adapter / "README.md").read_text(encoding="utf-8")
    assert "| too-long | 1 |" in card


def test_the_run_stops_when_chosen_answers_lose_too_much(tiny, tmp_path):
    # a negative weight unlearns the chosen answers, which is what the guard is for
    unlearn = replace(DPO, loss_type=("sft",), loss_weights=(-1.0,), learning_rate=0.01)
    config = replace(unlearn, num_train_epochs=6.0, max_chosen_drop=3.0, save_steps=100)
    trained = go("dpo", tiny, tmp_path / "o", config=config)
    assert 0 < trained.steps < 30
    assert trained.stopped.startswith(f"stopped at step {trained.steps} of 30: the chosen answers")
    assert trained.log[-1] == {"note": trained.stopped}
    note = json.loads((trained.adapter / "misstep_adapter.json").read_text(encoding="utf-8"))
    assert note["stopped"] == trained.stopped


@pytest.mark.parametrize(
    ("changes", "stops"),
    [([-9.0], False), ([-9.0, 1.5], False), ([-9.0, 1.0], True), ([-9.0, 0, 0, 0, 0], False)],
)
def test_the_guard_judges_the_mean_of_the_last_four_steps(changes, stops):
    from types import SimpleNamespace

    from misstep.train.watch import CHANGE, Guard

    guard = Guard(3.9)
    control = SimpleNamespace(should_training_stop=False)
    history = [{CHANGE: value} for value in changes]
    state = SimpleNamespace(log_history=history, global_step=len(changes), max_steps=9)
    guard.on_log(None, state, control, logs=history[-1])
    assert control.should_training_stop is stops
    assert bool(guard.stopped) is stops


def test_the_control_arm_is_sft_with_the_steps_of_dpo(sft, tiny, tmp_path):
    config = replace(SFT, max_steps=7)
    run = settings(control=True)
    trained = go("sft", tiny, tmp_path / "o", adapter=sft.adapter, config=config, run=run)
    assert trained.steps == 7
    assert json.loads((trained.adapter / "misstep_adapter.json").read_text())["control"] is True


def test_an_adapter_of_another_base_is_refused(sft, tmp_path):
    from tiny import build_tiny

    other = str(build_tiny(tmp_path / "other", seed=1))
    with pytest.raises(ModelError, match="give that model with --model"):
        go("dpo", other, tmp_path / "o", adapter=sft.adapter)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"),
    ],
)
def test_a_full_disk_names_the_path_and_says_how_to_go_on(tiny, tmp_path, monkeypatch, error):
    from peft import PeftModel

    def full(*args, **kwargs):
        raise error

    monkeypatch.setattr(PeftModel, "save_pretrained", full)
    with pytest.raises(StageError) as raised:
        go("sft", tiny, tmp_path / "o")
    assert str(raised.value) == (
        f"{tmp_path / 'o'}: no space left on the disk; free some and run the same command again, "
        "it goes on from the last checkpoint"
    )


def test_nothing_is_printed(tiny, tmp_path, capfd):
    go("dpo", tiny, tmp_path / "o")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("losses", "logged", "steps", "kind", "said"),
    [
        (
            ("sigmoid",),
            {"logps/chosen_change": -1.5},
            (4, 40),
            "displaced",
            "step 4: the chosen answers lost 1.5 nats each, 0.037 per token (40 in the mean); add "
            "sft (dpo.loss_type and dpo.loss_weights), raise dpo.beta or lower dpo.learning_rate",
        ),
        (
            ("sigmoid", "sft"),
            {"logps/chosen_change": -1.5},
            (4, 40),
            "displaced",
            "step 4: the chosen answers lost 1.5 nats each, 0.037 per token (40 in the mean); give "
            "the sft loss more weight (dpo.loss_weights), raise dpo.beta or lower "
            "dpo.learning_rate",
        ),
        (
            ("sigmoid", "sft"),
            {"rewards/margins": 4.5},
            (9, 40),
            "saturated",
            "step 9 of 40: the margins are saturated (mean 4.5), the rest teaches little; fewer "
            "epochs (dpo.num_train_epochs) or more pairs do",
        ),
        (
            ("ipo",),
            {"rewards/accuracies": 1.0},
            (5, 40),
            "trivial",
            "step 5: all pairs of the last 4 steps are told apart already; `misstep lint` says "
            "whether one feature, such as length, tells chosen from rejected",
        ),
        (("sigmoid",), {"rewards/accuracies": 1.0}, (30, 40), None, None),
        (("sigmoid",), {"rewards/margins": 4.5}, (39, 40), None, None),
        (("ipo", "sft"), {"rewards/margins": 4.5}, (9, 40), None, None),
        (("sigmoid_norm",), {"rewards/margins": 4.5}, (9, 40), None, None),
        (
            ("sigmoid",),
            {"logps/chosen_change": -0.5, "rewards/accuracies": 0.9},
            (5, 40),
            None,
            None,
        ),
    ],
)
def test_a_training_that_goes_wrong_is_told_once_with_what_to_change(
    losses, logged, steps, kind, said
):
    from types import SimpleNamespace

    from misstep.train.watch import Advice

    heard = []
    advice = Advice("dpo", heard.append, losses=losses, length=40, rows=4)
    step, most = steps
    for now in (step, step + 1):
        state = SimpleNamespace(log_history=[logged] * 4, global_step=now, max_steps=most)
        advice.on_log(None, state, None, logs=logged)
    assert advice.notes == ({kind: said} if kind else {})
    assert heard == ([f"training: {said}"] if kind else [])


def test_what_kto_does_not_have_is_not_advised():
    from types import SimpleNamespace

    from misstep.train.watch import CHANGE, Advice

    advice = Advice("kto", losses=(), length=1000, rows=4)
    log = {CHANGE: -1.5, "rewards/margins": 4.5}
    state = SimpleNamespace(log_history=[log] * 4, global_step=4, max_steps=40)
    advice.on_log(None, state, None)
    assert advice.notes.keys() == {"displaced"}
    assert advice.notes["displaced"] == (
        "step 4: the chosen answers lost 1.5 nats each, 0.0015 per token (1000 in the mean); "
        "raise kto.beta or lower kto.learning_rate"
    )


@pytest.mark.parametrize(("rows", "steps"), [(1, 16), (5, 4), (100, 4)])
def test_few_pairs_that_are_told_apart_are_no_sign(rows, steps):
    from types import SimpleNamespace

    from misstep.train.watch import Advice

    advice = Advice("dpo", losses=("sigmoid",), length=40, rows=rows)
    for step in range(1, steps + 1):
        assert not advice.notes
        log = [{"rewards/accuracies": 1.0}] * step
        state = SimpleNamespace(log_history=log, global_step=step, max_steps=100)
        advice.on_log(None, state, None)
    assert advice.notes.keys() == {"trivial"}


@pytest.mark.parametrize("stage", ["sft", "dpo", "kto"])
def test_a_stage_of_one_step_learns(tiny, tmp_path, stage):
    given = labelled(4) if stage == "kto" else pairs(4)
    trained = go(stage, tiny, tmp_path / "o", rows=given)
    assert trained.steps == 1
    assert any(t.abs().max() > 0 for n, t in weights(trained.adapter).items() if "lora_B" in n)


@pytest.mark.parametrize("stage", ["dpo", "kto"])
def test_what_the_base_says_of_padding_and_of_sampling_is_left_as_it_came(tmp_path, stage):
    from tiny import build_tiny

    base = build_tiny(tmp_path / "base", pad_token_id=None)
    words = json.loads((base / "tokenizer_config.json").read_text())
    del words["pad_token"]
    (base / "tokenizer_config.json").write_text(json.dumps(words))
    asked = {"eos_token_id": [2, 0], "temperature": 0.6}  # saved only if nobody wrote to it
    (base / "generation_config.json").write_text(json.dumps(asked))
    for enabled in (True, False):
        lora = replace(LORA, enabled=enabled)
        out = go(stage, str(base), tmp_path / f"{enabled}", lora=lora).adapter
        assert json.loads((out / "tokenizer_config.json").read_text()).get("pad_token") is None
    read = {name: json.loads((out / name).read_text()) for name in _CONFIGS}
    assert read["config.json"].get("pad_token_id") is None
    assert read["generation_config.json"].items() >= asked.items()
    assert "pad_token_id" not in read["generation_config.json"]


_CONFIGS = ("config.json", "generation_config.json")


@pytest.mark.parametrize("stage", ["sft", "dpo", "kto"])
def test_a_row_beyond_the_models_window_is_set_aside(tmp_path, stage):
    from tiny import build_tiny

    base = str(build_tiny(tmp_path / "short", max_position_embeddings=35))
    trained = go(stage, base, tmp_path / "o", config=replace(STAGES[stage][1], max_steps=1))
    assert trained.rows > 0
    assert {each.reason for each in trained.set_aside} == {"too-long"}
    assert all(each.said.endswith("the model reads at most 35") for each in trained.set_aside)


def test_a_resumed_training_has_the_warnings_of_before(tiny, tmp_path):
    config = replace(DPO, num_train_epochs=4.0, learning_rate=0.05, beta=1.0, max_chosen_drop=0.0)
    config = replace(config, save_steps=8)
    whole = go("dpo", tiny, tmp_path / "whole", config=config)
    notes = [entry["note"] for entry in whole.log if "note" in entry]
    assert any("told apart already" in note for note in notes)  # which is said of first steps only
    with pytest.raises(Killed):
        go("dpo", tiny, tmp_path / "o", config=config, run=settings(progress=kill_at(10)))
    assert (tmp_path / "o.work" / "checkpoint-8").is_dir()
    heard = []
    resumed = go("dpo", tiny, tmp_path / "o", config=config, run=settings(say=heard.append))
    assert [entry["note"] for entry in resumed.log if "note" in entry] == notes
    assert heard == [f"training: {note}" for note in notes]


def test_warnings_stand_in_the_log_of_the_stage(tiny, tmp_path):
    heard = []
    config = replace(DPO, num_train_epochs=4.0, learning_rate=0.05, beta=1.0, max_chosen_drop=0.0)
    trained = go("dpo", tiny, tmp_path / "o", config=config, run=settings(say=heard.append))
    notes = [entry["note"] for entry in trained.log if "note" in entry]
    assert notes
    assert heard == [f"training: {note}" for note in notes]
