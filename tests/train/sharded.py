"""Run by two processes at once: log-probabilities and gradients of a model that they share.

Each has rows of its own, which under a budget are one sequence in one of them and several in the
other. What is left says how far they are from the mean over whole models.

torchrun --nproc-per-node 2 sharded.py MODEL FOLDER
"""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.distributed
from torch.distributed.fsdp import fully_shard

from misstep.models import load
from misstep.train import logps, ranks, rounding, stage

ROWS = (
    [[1, 20, 3, 40, 5, 60, 7], [1, 20, 3, 40, 5, 60, 8, 9, 10], [1, 20, 9, 7, 7, 8, 5]],
    [[2, 5, 6, 7, 8], [2, 5, 6, 7, 9]],
)
"""Of each process."""


KINDS = {"adapter": "float32", "half": "bfloat16", "model": "float32"}
"""What is trained, and the base's number format; `half` is an adapter, too."""


def model_for(tiny: str, kind: str) -> object:
    """The model with a LoRA that does something, or with all weights to train."""
    from peft import LoraConfig, get_peft_model

    model = load(tiny, dtype=KINDS[kind]).model
    torch.manual_seed(0)
    lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    if kind == "model":
        return model.requires_grad_(True)
    return rounding.round_once(get_peft_model(model, lora))


def found(model: object, rows: list[list[int]], *, budget: int = 0, shared: bool = True) -> dict:
    """Log-probabilities and gradients of a loss that weighs every token differently."""
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    real = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    labels = ids.masked_fill((real == 0) | (torch.arange(width) < 3), -100)
    inputs = {"input_ids": ids, "attention_mask": real}
    model.zero_grad()
    asked = {"inputs": inputs, "labels": labels, "shared": shared, "budget": budget}
    scored = model(scored=asked).log_probs
    (scored * torch.arange(scored.numel()).view_as(scored).sin()).sum().backward()
    out = {"log_probs": scored.detach()}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            whole = parameter.grad
            out[name] = whole.full_tensor() if hasattr(whole, "full_tensor") else whole
    return out


def alike() -> bool:
    """The choice of checkpointing where activations fit in the first process alone."""
    stage.needs_checkpointing = lambda *_: ranks.rank() == 1
    job = SimpleNamespace(run=SimpleNamespace(gradient_checkpointing="auto"))
    return stage._checkpointing(job, None, 1)


def main(tiny: str, folder: str) -> None:
    """Leave the largest difference between the shared and the whole model, for each kind."""
    torch.distributed.init_process_group("gloo", timeout=timedelta(seconds=60))
    apart = {"checkpointing": alike()}
    for what, dtype in KINDS.items():
        whole, parted = model_for(tiny, what), model_for(tiny, what)
        logps.listen(whole)
        logps.listen(parted)
        inner = parted if what == "model" else parted.get_base_model()
        for layer in inner.model.layers:
            fully_shard(layer)
        fully_shard(parted)
        half = torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bfloat16")
        with half:
            own, *others = [found(whole, rows) for rows in (ROWS[ranks.rank()], *ROWS)]
        scored = own.pop("log_probs")
        mean = {name: sum(each[name] for each in others) / len(others) for name in own}
        ways = ((0, True), (10, True), (10, False))
        for budget, shared in ways[:1] if what == "half" else ways:
            with half:
                got = found(parted, ROWS[ranks.rank()], budget=budget, shared=shared)
            expected = {"log_probs": scored, **mean}
            differences = [(got[name] - value).abs().max() for name, value in expected.items()]
            kind = f"{what} {budget} {'tree' if shared else 'rows'}"
            apart[kind] = [len(got), max(differences).item()]
    path = Path(folder) / f"apart.{ranks.rank()}"
    path.write_text(json.dumps(apart), encoding="utf-8")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
    # a thread of gloo that still runs while the interpreter is taken down aborts the process now
    # and then (pytorch/pytorch pull 179291); what is compared is on the disk by now
    sys.stderr.flush()
    os._exit(0)
