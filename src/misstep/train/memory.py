"""Whether a training step fits in memory without recomputing activations.

An estimate, on purpose on the large side; it decides speed (gradient checkpointing costs about a
third more time), never results.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

_BYTES = 110
"""Of activations per token, layer and hidden unit in bfloat16 with LoRA on every linear layer;
measured 100 for a 135M Llama-type model (2,720 tokens, 4.7 GB)."""
_STATE = 12
"""Bytes of a trained weight's gradient and of what AdamW keeps of it, in float32."""
_SHARE = 0.6
"""Of the free memory that activations may take."""


def needs_checkpointing(model: Any, tokens: int) -> bool:
    """Whether activations of `tokens` tokens would take more than the free memory allows."""
    config = model.config.get_text_config()
    size = tokens * config.num_hidden_layers * config.hidden_size * _BYTES
    size *= next(model.parameters()).element_size() / 2
    size += _STATE * sum(p.numel() for p in model.parameters() if p.requires_grad)
    return bool(size > _SHARE * free_bytes(model.device.type))


def free_bytes(device: str) -> float:
    """Free memory of the device; on a CPU within the limits of the control group."""
    if device == "cuda":
        import torch

        return float(torch.cuda.mem_get_info()[0])
    free = float("inf")
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = 1024.0 * int(next(li for li in lines if li.startswith("MemAvailable")).split()[1])
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        used = int((group / "memory.current").read_text(encoding="ascii"))
        free = min(free, float(limit - used))
    return free
