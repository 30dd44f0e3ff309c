"""What a training step takes of memory, from the shape of the model.

Saved for the way back, per token and layer, are about `_HIDDEN` times the hidden width and
`_MIDDLE` times the width of the MLP, counted on models of five shapes with LoRA on every linear
layer. What else is held meanwhile, and what the allocator does not give back, is `_SLACK`. The
estimate decides speed (gradient checkpointing costs about a third more time), never results.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HIDDEN = {4: 8.5, 2: 10.7}
"""By bytes of a product; in bfloat16 some are kept in float32."""
_MIDDLE = 4.0
_SLACK = 1.6
"""Peak over what is saved; measured 1.55 in bfloat16 and 1.8 in float32 on a CPU, whose allocator
keeps more than that of a GPU."""
_STATE = 12
"""Bytes of a trained weight's gradient and of what AdamW keeps of it, in float32."""
_SHARE = 0.6
"""Of the free memory that activations may take."""
_SLICE = 128
"""Positions of which logits exist at once (`head`), in four copies of float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the memory of a step depends on."""

    layers: int
    hidden: int
    middle: int
    """Width of the MLP."""
    vocabulary: int
    size: int
    """Bytes of a product: 4 or 2."""

    def kept(self) -> float:
        """Bytes of activations that one token leaves in one layer."""
        return self.size * (_HIDDEN[self.size] * self.hidden + _MIDDLE * self.middle)

    def activations(self, tokens: int, *, checkpointing: bool) -> float:
        """Bytes at the peak of a step over so many tokens in one sequence."""
        per_token = self.kept() * self.layers
        if checkpointing:
            per_token = self.kept() + self.layers * self.size * self.hidden
        return _SLACK * per_token * tokens + self.size * tokens**2

    def logits(self) -> float:
        """Bytes of the logits of one slice."""
        return 4.0 * 4 * _SLICE * self.vocabulary


def shape_of(config: Any, size: int) -> Shape:
    """The shape of a language model, from its configuration."""
    text = config.get_text_config()
    hidden = int(text.hidden_size)
    return Shape(
        layers=int(text.num_hidden_layers),
        hidden=hidden,
        middle=int(getattr(text, "intermediate_size", None) or 4 * hidden),
        vocabulary=int(text.vocab_size),
        size=size,
    )


def needs_checkpointing(model: Any, tokens: int) -> bool:
    """Whether activations of `tokens` tokens would take more than the free memory allows."""
    size = 2 if next(model.parameters()).element_size() < 4 else 4
    wanted = shape_of(model.config, size).activations(tokens, checkpointing=False)
    wanted += _STATE * sum(p.numel() for p in model.parameters() if p.requires_grad)
    return bool(wanted > _SHARE * free_bytes(model.device.type))


def trained_bytes(count: int) -> float:
    """Gradients and AdamW's moments of so many trained weights."""
    return float(_STATE * count)


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
