"""misstep's preference trainer beside TRL's, on the same pairs, in one run.

    python benchmarks/trainer.py [--quick] [--folder F] --json FILE

Two works, with SmolLM2-135M-Instruct and a fresh LoRA (r 16) on every linear layer; a group of
pairs is one optimizer step:

- `multi_turn`: a group is a session of tau-bench with a pair for each of its first six steps;
  chosen is what the log holds, rejected what the model itself answers there.
- `single_turn`: a group is eight BFCL questions; chosen is the reference, rejected what the model
  itself answers.

Every arm is a process of its own: TRL's DPOTrainer as it is; the same with its option to measure
the reference once (two steps, for the time); misstep's; and, for float32 alone, TRL's once more
with every weight in float64, which only says what the gradient is. All get the same token ids,
adapter, groups and order. TRL reads `--trl-batch` pairs at a time and accumulates gradients over
the group. An arm reports log-probabilities and gradients of the first group at one and the same
stirred adapter, the losses of free-running steps, processor seconds for each step and for its
references, and its peak memory. Pairs a second are those of one epoch, references included. Ratios
are theirs over ours; `gradient_difference` is relative, over all weights, and so are
`gradient_error` and `gradient_error_of_trl`, which are distances to float64.

Each arm is kept in `--folder` when it ends; asked again with the same options, a run that was
killed goes on there.
MISSTEP_CORPUS names the folder of real logs, BFCL_EVAL the package `bfcl_eval`.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from parts import preference_pairs

WORKS = {"multi_turn": 1, "single_turn": 4}
"""With the pairs that TRL reads at a time: more do not fit in 24 GB beside anything else."""
ARMS = ("misstep", "trl", "trl-precomputed", "float64")
FEW = 2
"""Steps of an arm whose losses are not compared."""
# --- one arm, in a process of its own ------------------------------------------------------------


def arm(given: argparse.Namespace) -> dict[str, Any]:
    """What one arm reports."""
    import torch

    from misstep.train import stage

    rows = json.loads(Path(given.pairs).read_text(encoding="utf-8"))
    groups = [
        [i for i, row in enumerate(rows) if row["group"] == group]
        for group in range(max(row["group"] for row in rows) + 1)
    ]
    job = _job(given)
    with stage.quiet():
        trainer, reference = (_ours if given.arm == "misstep" else _theirs)(
            job, given, rows, groups
        )
        model = trainer.model
        fresh = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
        first = groups[0]
        size = len(first) if given.arm == "misstep" else min(given.trl_batch, len(first))
        look = _look(trainer, [first[at : at + size] for at in range(0, len(first), size)])
        np.savez(given.out + ".npz", **look)
        if given.arm == "float64":
            return {"n": len(rows), "steps": 0}
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in fresh:
                    parameter.copy_(fresh[name])
        model.zero_grad()
        seconds, losses = _train(trainer)
    tokens = _tokens(rows, groups, shared=given.arm == "misstep")
    steps = len(seconds)
    pairs = sum(len(groups[at % len(groups)]) for at in range(steps))
    epoch = sum(seconds) * len(rows) / pairs + reference
    return {
        "n": len(rows),
        "threads": torch.get_num_threads(),
        "steps": steps,
        "seconds": round(epoch, 2),
        "pairs_per_second": round(len(rows) / epoch, 4),
        "seconds_per_step": round(sum(seconds) / steps, 2),
        "reference_seconds": round(reference, 2),
        "tokens_per_pair": round(tokens / len(rows)),
        "checkpointing": bool(trainer.args.gradient_checkpointing),
        "losses": [round(loss, 6) for loss in losses],
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
    }


def _job(given: argparse.Namespace) -> Any:
    from misstep.config import DpoConfig, LoraConfig
    from misstep.models import load
    from misstep.train import TrainSettings, stage

    config = DpoConfig(
        loss_type=("sigmoid",),
        loss_weights=(1.0,),
        beta=0.5,
        warmup_ratio=0.0,
        preference_tokens="all",
    )
    return stage.Job(
        name="dpo",
        loaded=load("smollm2", dtype=given.dtype),
        adapter=None,
        out=Path(given.out).with_suffix(".adapter"),
        config=config,
        lora=LoraConfig(),
        run=TrainSettings(seed=1, dtype=given.dtype),
    )


def _ours(
    job: Any, given: argparse.Namespace, rows: Sequence[dict[str, Any]], groups: list[list[int]]
) -> tuple[Any, float]:
    """Our trainer, and the processor seconds that its references took."""
    from dataclasses import replace

    from misstep.train.dpo import pair_trainer
    from misstep.train.rows import Ids

    ids = [
        Ids(
            id=str(at),
            prompt=tuple(row["prompt_ids"]),
            chosen=tuple(row["chosen_ids"]),
            rejected=tuple(row["rejected_ids"]),
        )
        for at, row in enumerate(rows)
    ]
    size = max(map(len, groups))
    config = replace(job.config, per_device_train_batch_size=size, max_steps=given.steps)
    trainer = pair_trainer(replace(job, config=config), config, ids)
    order = [groups[at % len(groups)] for at in range(given.steps)]
    trainer.route = replace(trainer.route, batches=order)
    start = time.process_time()
    trainer.refer(trainer.references(groups))
    return trainer, time.process_time() - start


def _theirs(
    job: Any, given: argparse.Namespace, rows: Sequence[dict[str, Any]], groups: list[list[int]]
) -> tuple[Any, float]:
    """TRL's trainer, and the processor seconds that its references took beforehand."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    from misstep.train import stage

    class Given(DPOTrainer):
        """DPOTrainer on rows that are token ids already."""

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

        def create_model_card(self, *_: Any, **__: Any) -> None:
            """None is wanted."""

        def _precompute_ref_logps(self, *given: Any) -> Any:
            start = time.process_time()
            dataset = super()._precompute_ref_logps(*given)
            spent.append(time.process_time() - start)
            return dataset

    spent: list[float] = []
    model = stage.attach(job)
    if given.arm == "float64":
        model.double()
    size = min(len(groups[0]), given.trl_batch)
    same = stage.arguments(job, model, steps=given.steps, tokens=0)
    trainer = Given(
        model=model,
        args=DPOConfig(
            **same
            | {
                "gradient_checkpointing": False,
                "per_device_train_batch_size": size,
                "gradient_accumulation_steps": len(groups[0]) // size,
                "train_sampling_strategy": "sequential",
            },
            beta=job.config.beta,
            precompute_ref_log_probs=given.arm == "trl-precomputed",
        ),
        train_dataset=Dataset.from_list(
            [{k: v for k, v in row.items() if k != "group"} for row in rows]
        ),
        processing_class=job.loaded.tokenizer,
    )
    return trainer, sum(spent)


def _look(trainer: Any, batches: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Log-probabilities and gradients of one group, with the adapter stirred by a fixed draw."""
    import torch

    model = trainer.model
    torch.manual_seed(7)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.requires_grad and "lora_B" in name:
                parameter += 0.02 * torch.randn(parameter.shape).to(parameter.dtype)
    model.train()
    sums: list[Any] = []

    def see(_module: Any, _given: Any, out: Any) -> None:
        if out.log_probs.requires_grad:  # the policy, not the reference
            sums.append(out.log_probs.detach().double().sum(1).view(2, -1).numpy())

    seen = model.register_forward_hook(see)
    for batch in batches:
        inputs = trainer.data_collator([trainer.train_dataset[at] for at in batch])
        inputs = trainer._prepare_inputs(inputs)
        loss = trainer.compute_loss(model, inputs)
        (loss * len(batch)).backward()
    seen.remove()
    total = sum(map(len, batches))
    grads = {
        name.replace(".default", ""): (p.grad / total).double().numpy()
        for name, p in model.named_parameters()
        if p.grad is not None
    }
    return {**grads, "logps": np.concatenate(sums, axis=1)}


def _train(trainer: Any) -> tuple[list[float], list[float]]:
    """Processor seconds and loss of every optimizer step."""
    from transformers import PrinterCallback, TrainerCallback

    seconds: list[float] = []

    class Clock(TrainerCallback):
        """Times each step."""

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.start = time.process_time()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            seconds.append(time.process_time() - self.start)

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Clock())
    trainer.train()
    return seconds, [log["loss"] for log in trainer.state.log_history if "loss" in log]


def _tokens(rows: Sequence[dict[str, Any]], groups: list[list[int]], *, shared: bool) -> int:
    """Tokens that the policy reads in one epoch."""
    from misstep.train.tree import tokens_read

    def sides(at: int) -> list[tuple[int, ...]]:
        prompt = tuple(rows[at]["prompt_ids"])
        return [prompt + tuple(rows[at][side]) for side in ("chosen_ids", "rejected_ids")]

    if shared:
        return sum(tokens_read([s for at in g for s in sides(at)], shared=True) for g in groups)
    return sum(len(side) for at in range(len(rows)) for side in sides(at))


# --- all arms ------------------------------------------------------------------------------------


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--quick", action="store_true", help="one group of at most four pairs, one step"
    )
    parser.add_argument("--only", choices=list(WORKS))
    parser.add_argument("--dtypes", default="", help="float32,bfloat16 (float32 if quick)")
    parser.add_argument("--arms", default="", help=",".join(ARMS) + " (the first two if quick)")
    parser.add_argument("--steps", type=int, default=0, help="free-running steps (10; 1 if quick)")
    parser.add_argument("--pairs-per-group", type=int, default=8, help="at most")
    parser.add_argument("--folder", type=Path, help="where finished arms are kept")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    parser.add_argument("--dtype", help=argparse.SUPPRESS)
    parser.add_argument("--pairs", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    parser.add_argument("--trl-batch", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.arm:
        Path(given.out).write_text(json.dumps(arm(given)), encoding="utf-8")
        return
    dtypes = given.dtypes or ("float32" if given.quick else "float32,bfloat16")
    arms = given.arms.split(",") if given.arms else ARMS[: 2 if given.quick else None]
    rows, looks = [], {}
    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        for work in [given.only] if given.only else WORKS:
            pairs = folder / f"{work}.json"
            if not pairs.exists():
                groups, most = (1, 4) if given.quick else (2, given.pairs_per_group)
                made = preference_pairs.made(work, groups, most=most)
                pairs.write_text(json.dumps(made), encoding="utf-8")
            for dtype in dtypes.split(","):
                for name in arms:
                    if name == "float64" and dtype != "float32":
                        continue
                    row, look = _measure(given, work, dtype=dtype, arm_name=name, pairs=pairs)
                    rows.append(row)
                    looks[work, dtype, name] = look
                    print(json.dumps(row), flush=True)
    result = {
        "name": "trainer",
        "machine": f"{platform.machine()}, {platform.system()}, {os.cpu_count()} cores",
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("misstep", "torch", "transformers", "trl", "peft")
        },
        "rows": rows,
        "ratios": ratios(rows, looks),
    }
    print(json.dumps(result["ratios"], indent=2))
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _measure(
    given: argparse.Namespace, work: str, *, dtype: str, arm_name: str, pairs: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    out = pairs.with_name(f"{work}-{dtype}-{arm_name}")
    steps = given.steps or (1 if given.quick else 10)
    steps = min(steps, FEW) if arm_name == "trl-precomputed" else steps
    words = ["--work", work, "--arm", arm_name, "--dtype", dtype, "--pairs", str(pairs)]
    words += ["--out", str(out), "--steps", str(steps)]
    batch = 1 if arm_name == "float64" else given.trl_batch or WORKS[work]
    words += ["--trl-batch", str(batch)]
    row = {"arm": arm_name, "work": f"{work} {dtype}"}
    done = None if out.exists() else subprocess.run([sys.executable, __file__, *words], check=False)
    if done is not None and done.returncode:
        return {**row, "failed": f"ended with {done.returncode}"}, {}
    with np.load(f"{out}.npz") as look:
        return {**row, **json.loads(out.read_text(encoding="utf-8"))}, dict(look)


def ratios(
    rows: Sequence[dict[str, Any]], looks: dict[tuple[str, str, str], dict[str, Any]]
) -> dict[str, float]:
    """Theirs over ours; larger is better, but for the differences."""
    of = {(row["work"], row["arm"]): row for row in rows if "failed" not in row}
    out: dict[str, float] = {}
    for (work, name), row in of.items():
        ours = of.get((work, "misstep"))
        if name not in ("trl", "trl-precomputed") or ours is None:
            continue
        kind, dtype = work.split()
        tail = ("" if dtype == "float32" else "_bf16") + ("" if name == "trl" else "_precomputed")
        out[f"{kind}_vs_trl{tail}"] = round(row["seconds"] / ours["seconds"], 2)
        out[f"{kind}_memory_vs_trl{tail}"] = round(row["peak_mb"] / ours["peak_mb"], 2)
        if name == "trl":
            mine, theirs = looks[kind, dtype, "misstep"], looks[kind, dtype, name]
            exact = looks.get((kind, dtype, "float64"))
            sides = np.abs(mine["logps"] - theirs["logps"]).max()
            found = {"max_logp_difference": sides, "gradient_difference": _apart(mine, theirs)}
            if exact is not None:
                found["gradient_error"] = _apart(mine, exact)
                found["gradient_error_of_trl"] = _apart(theirs, exact)
            out |= {f"{kind}_{each}{tail}": float(f"{value:.1e}") for each, value in found.items()}
            losses = zip(ours["losses"], row["losses"], strict=True)
            out[f"{kind}_loss_difference{tail}"] = round(max(abs(a - b) for a, b in losses), 6)
    return out


def _apart(mine: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Norm of the difference of all gradients over the norm of theirs."""
    names = [name for name in theirs if name != "logps"]
    apart = sum(float(((mine[name] - theirs[name]) ** 2).sum()) for name in names)
    whole = sum(float((theirs[name] ** 2).sum()) for name in names)
    return float((apart / whole) ** 0.5)


if __name__ == "__main__":
    main()
