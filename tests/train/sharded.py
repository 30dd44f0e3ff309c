"""Run by two processes at once: log-probabilities and gradients of a model that they share.

torchrun --nproc-per-node 2 sharded.py MODEL FOLDER
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed
from torch.distributed.fsdp import fully_shard

from misstep.models import load
from misstep.train import logps, ranks

ROWS = [[1, 20, 3, 40, 5, 60, 7], [1, 20, 3, 40, 5, 60, 8, 9, 10], [1, 20, 9, 7, 7, 8, 5]]


def model_for(tiny: str, adapter: bool) -> object:
    """The model with a LoRA that does something, or with all weights to train."""
    from peft import LoraConfig, get_peft_model

    model = load(tiny, dtype="float32").model
    torch.manual_seed(0)
    lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    return get_peft_model(model, lora) if adapter else model.requires_grad_(True)


def found(model: object, budget: int) -> dict[str, torch.Tensor]:
    """Log-probabilities and gradients of a loss that weighs every token differently."""
    width = max(map(len, ROWS))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in ROWS])
    real = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ROWS])
    labels = ids.masked_fill((real == 0) | (torch.arange(width) < 3), -100)
    inputs = {"input_ids": ids, "attention_mask": real}
    model.zero_grad()
    asked = {"inputs": inputs, "labels": labels, "shared": True, "budget": budget}
    scored = model(scored=asked).log_probs
    (scored * torch.arange(scored.numel()).view_as(scored).sin()).sum().backward()
    out = {"log_probs": scored.detach()}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            whole = parameter.grad
            out[name] = whole.full_tensor() if hasattr(whole, "full_tensor") else whole
    return out


def main(tiny: str, folder: str) -> None:
    """Leave the largest difference between the shared and the whole model, for each kind."""
    torch.distributed.init_process_group("gloo")
    apart = {}
    for adapter in (True, False):
        whole, parted = model_for(tiny, adapter), model_for(tiny, adapter)
        logps.listen(whole)
        logps.listen(parted)
        inner = parted.get_base_model() if adapter else parted
        for layer in inner.model.layers:
            fully_shard(layer)
        fully_shard(parted)
        for budget in (0, 10):
            expected, got = found(whole, 0), found(parted, budget)
            differences = [(got[name] - value).abs().max() for name, value in expected.items()]
            kind = f"{'adapter' if adapter else 'model'} {budget}"
            apart[kind] = [len(got), max(differences).item()]
    if ranks.is_main():
        (Path(folder) / "apart.json").write_text(json.dumps(apart), encoding="utf-8")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
    # a thread of gloo that still runs while the interpreter is taken down aborts the process now
    # and then (pytorch/pytorch pull 179291); what is compared is on the disk by now
    sys.stderr.flush()
    os._exit(0)
