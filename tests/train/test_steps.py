"""Steps of a training: accumulated and uneven batches, token budgets, several processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from training import DPO, KTO, LORA, SFT, labelled, pairs, settings

torch = pytest.importorskip("torch")

from misstep import train  # noqa: E402

STAGES = {
    "sft": (train.train_sft, SFT),
    "dpo": (train.train_dpo, replace(DPO, loss_weights=(1.0, 0.5))),
    "kto": (train.train_kto, KTO),
}


def losses(trained):
    return [entry["loss"] for entry in trained.log if "loss" in entry]


def go(stage, tiny, out, rows=None, run=None, **changes):
    do, config = STAGES[stage]
    rows = rows or (labelled(18) if stage == "kto" else pairs(18))
    return do(
        rows,
        base=tiny,
        adapter=None,
        out=out,
        config=replace(config, **changes),
        lora=LORA,
        run=run or settings(),
    )


@pytest.mark.parametrize("stage", list(STAGES))
def test_a_token_budget_leaves_the_losses_of_a_training_as_they_are(stage, tiny, tmp_path):
    whole = go(stage, tiny, tmp_path / "whole")
    parted = go(stage, tiny, tmp_path / "parted", tokens_per_batch=64)
    assert len(losses(whole)) == 5
    assert losses(parted) == pytest.approx(losses(whole), abs=1e-4)


def test_a_budget_below_the_longest_row_is_refused():
    from misstep.config import load_config
    from misstep.errors import ConfigError

    with pytest.raises(ConfigError, match=r"tokens_per_batch: out of range, expected 0, or at"):
        load_config(overrides={"dpo.tokens_per_batch": 512})
    assert load_config(overrides={"dpo.tokens_per_batch": 1024}).dpo.tokens_per_batch == 1024


@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_accumulated_steps_with_an_uneven_last_one_have_the_losses_of_trl(stage, tiny, tmp_path):
    ours = trainer_for(stage, tiny, tmp_path / "a")
    theirs = by_trl(ours, trainer_for(stage, tiny, tmp_path / "b").model)
    if stage == "dpo":
        ours.refer(ours.references(ours.route.batches))
    found = []
    for trainer in (ours, theirs):
        trainer.train()
        logs = [log["loss"] for log in trainer.state.log_history if "loss" in log]
        weights = {n: p.detach() for n, p in trainer.model.named_parameters() if ".default." in n}
        found.append((logs, weights))
    (mine, moved), (yours, their_moved) = found
    assert len(yours) == 3  # of 5 micro-batches, the last of 2 rows
    assert mine == pytest.approx(yours, abs=1e-4)
    for name, value in their_moved.items():
        torch.testing.assert_close(moved[name], value, atol=1e-3, rtol=1e-2)


def trainer_for(name, tiny, out):
    from misstep.models import load
    from misstep.train import stage
    from misstep.train.dpo import pair_trainer
    from misstep.train.rows import tokenise
    from misstep.train.sft import answer_trainer

    config = replace(STAGES[name][1], gradient_accumulation_steps=2, learning_rate=1e-3)
    job = stage.Job(
        name=name,
        loaded=load(tiny, dtype="float32"),
        adapter=None,
        out=out,
        config=config,
        lora=LORA,
        run=settings(),
    )
    ids, _ = tokenise(pairs(18), job.loaded.template, max_length=999, pairs=name == "dpo")
    with stage.quiet():
        trainer = (pair_trainer if name == "dpo" else answer_trainer)(job, config, ids)
    order = [list(range(at, min(at + 4, 18))) for at in range(0, 18, 4)]
    trainer.route = replace(trainer.route, batches=order)
    return trainer


def by_trl(ours, model):
    """TRL's own trainer on the same rows in the same order."""
    import trl

    from misstep.train import stage

    kind = trl.DPOTrainer if hasattr(ours, "references") else trl.SFTTrainer

    class Plain(kind):
        def _prepare_dataset(self, dataset, *_):
            return dataset

        def create_model_card(self, *_, **__):
            pass

    with stage.quiet():
        return Plain(
            model=model,
            args=replace(ours.args, train_sampling_strategy="sequential"),
            train_dataset=ours.train_dataset,
            data_collator=None if kind is trl.DPOTrainer else ours.data_collator,
            processing_class=ours._tokenizer,
        )


# --- several processes -----------------------------------------------------------------------

LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2"]
LAUNCH += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
LAUNCH += ["--main_process_port", "0"]
"""`--multi_gpu` starts several processes on a machine without a GPU too; `--cpu` starts one."""


# KTO compares with a mean over the batches of all processes, so here without that term;
# of 14 rows one batch has 2, so that the processes meet with 4 rows and with 2
CALM = {
    "sft": {"max_rows": 14, "tokens_per_batch": 90},
    "dpo": {"max_pairs": 14, "tokens_per_batch": 90},
    "kto": {"max_rows": 14, "loss_type": "apo_zero_unpaired"},
}
WILD = {"learning_rate": 1e25, "num_train_epochs": 2.0}


@pytest.fixture(scope="module")
def launched(tiny, tmp_path_factory):
    """What each of two processes gives for every stage, calm and wild, and where it lies."""
    folder = tmp_path_factory.mktemp("launched")
    jobs = {stage: (stage, changes) for stage, changes in CALM.items()}
    jobs |= {f"wild {stage}": (stage, WILD) for stage in STAGES}
    here = Path(__file__).parent
    script = [str(here / "several.py"), tiny, str(folder), json.dumps(jobs)]
    env = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    env |= {"PYTHONPATH": str(here.parent), "MISSTEP_CACHE": str(folder / "cache")}
    command = [*LAUNCH, "--multi_gpu", *script]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    told = [json.loads((folder / f"told.{rank}").read_text()) for rank in range(2)]
    heard = [{name: job.pop("heard") for name, job in each.items()} for each in told]
    assert told[0] == told[1]
    return told[0], heard, folder


@pytest.mark.slow
@pytest.mark.parametrize("stage", list(CALM))
def test_two_processes_give_the_losses_and_weights_of_one(stage, tiny, tmp_path, launched):
    told, heard, folder = launched
    assert [each[stage] for each in heard] == [[1, 2], []]  # said once
    one = go(stage, tiny, tmp_path / "one", gradient_accumulation_steps=2, **CALM[stage])
    assert len(losses(one)) == 2
    assert told[stage]["losses"] == pytest.approx(losses(one), abs=1e-4)
    if stage == "dpo":
        mean = [entry["logps/chosen_change"] for entry in one.log if "loss" in entry]
        assert told[stage]["change"][0] == pytest.approx(mean[0], abs=1e-4)
    theirs = weights(folder / stage)
    for name, value in weights(tmp_path / "one").items():
        torch.testing.assert_close(theirs[name], value, atol=1e-4, rtol=1e-2)
    assert not (folder / f"{stage}.work").exists()


@pytest.mark.slow
@pytest.mark.parametrize("stage", list(STAGES))
def test_processes_end_together_before_a_step_that_is_not_finite(stage, launched):
    told = launched[0][f"wild {stage}"]
    assert told["stopped"].startswith(f"stopped at step {told['steps'] + 1} of 5: ")
    assert 0 < told["steps"] < 5


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


@pytest.mark.slow
def test_a_model_sharded_over_two_processes_gives_what_the_whole_one_gives(tiny, tmp_path):
    # FSDP2 over gloo, by PyTorch alone: accelerate shards on GPUs only; each process has other
    # rows, under the budget three sequences and one
    here = Path(__file__).parent
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--standalone", str(here / "sharded.py"), tiny, str(tmp_path)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(here.parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in range(2):
        apart = json.loads((tmp_path / f"apart.{rank}").read_text())
        assert apart.pop("checkpointing") is True
        ways = ("0 tree", "10 tree", "10 rows")
        named = {f"{kind} {way}" for kind in ("adapter", "model") for way in ways}
        assert set(apart) == named | {"half 0 tree"}
        for compared, difference in apart.values():
            assert compared > 10
            assert difference < 1e-4


# --- accelerate --------------------------------------------------------------------------------

PAGE = Path(__file__).resolve().parents[2] / "docs" / "training.md"


@pytest.mark.parametrize(("kind", "stage"), [("FSDP", None), ("DEEPSPEED", 2)])
def test_the_configurations_of_the_docs_are_read_by_accelerate(tmp_path, kind, stage):
    from accelerate.commands.config.config_args import load_config_from_file

    blocks = re.findall(r"```yaml\n(compute_environment.*?)```", PAGE.read_text(), re.DOTALL)
    (text,) = [block for block in blocks if f"distributed_type: {kind}\n" in block]
    path = tmp_path / "config.yaml"
    path.write_text(text)
    read = load_config_from_file(str(path))
    assert read.distributed_type.name == kind
    assert (read.num_processes, read.mixed_precision) == (4, "bf16")
    assert read.deepspeed_config.get("zero_stage") == stage
    assert read.fsdp_config.get("fsdp_version") == (2 if kind == "FSDP" else None)


@pytest.mark.slow
def test_the_command_of_the_docs_trains_a_folder_with_two_processes(tiny, tmp_path):
    from logs import mixed
    from misstep import api
    from misstep.config import load_config

    changes = {"model": tiny, "dtype": "float32", "mine.min_votes": 1, "sft.max_steps": 2}
    config = load_config(None, {**changes, "dpo.max_steps": 2})
    folder = tmp_path / "run"
    facts = api.mine([mixed(tmp_path / "log.jsonl", 24)], folder, config, resample=False)
    assert facts["pairs"] > 0
    words = [f"--set={key}={value}" for key, value in (*changes.items(), ("dpo.max_steps", 2))]
    env = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    command = [*LAUNCH, "--multi_gpu", "-m", "misstep", "train", str(folder), *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout)["steps"] == 2  # said once
    note = json.loads((folder / "adapter" / "misstep_adapter.json").read_text())
    assert (note["processes"], note["steps"], note["stage"]) == (2, 2, "dpo")
