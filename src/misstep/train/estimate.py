"""How much memory a training would take, before anything is loaded.

In: the name of a model and the settings. Out: bytes of weights, adapter, optimizer and of the
activations of a token, and the most tokens that fit into so much memory. Weights are counted on a
model without storage. An estimate: within a factor of 1.5 of what was measured
(`tests/train/test_estimate.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from misstep.config import LoraConfig, RunConfig
from misstep.models import resolve, unpacked
from misstep.models.eye import sees
from misstep.models.load import best_dtype
from misstep.train.memory import Shape, free_bytes, shape_of, trained_bytes

GB = 1e9
_FOUR_BITS = 0.53
"""Bytes of a weight in NF4 with its scales."""
_RESERVE = 0.1
"""Of a memory that is left free: other processes, fragments, the processor's context."""
_MOST = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Memory of one training step, in bytes."""

    parameters: int
    trained: int
    """Weights that are trained."""
    dtype: str
    """Of the weights: float32, bfloat16, or `4 bits`."""
    weights: float
    adapter: float
    optimizer: float
    """Gradients and moments."""
    shape: Shape
    checkpointing: str
    """`auto`, `always` or `never`, as configured."""

    def fixed(self) -> float:
        """What is there whatever is read; the reference is measured beforehand and takes none."""
        return self.weights + self.adapter + self.optimizer + self.shape.logits()

    def step(self, tokens: int, *, checkpointing: bool = False) -> float:
        """All of it, at the peak of a step that reads so many tokens at once."""
        return self.fixed() + self.shape.activations(tokens, checkpointing=checkpointing)

    def fits(self, room: float, *, checkpointing: bool) -> int:
        """The most tokens at once for which a step fits into `room` bytes; 0 where none does."""
        free = room * (1 - _RESERVE)
        low, high = 0, _MOST
        while low < high:
            middle = (low + high + 1) // 2
            if self.step(middle, checkpointing=checkpointing) <= free:
                low = middle
            else:
                high = middle - 1
        return low


def estimate(config: RunConfig) -> Estimate:
    """The memory that training `config.model` with these settings takes.

    Raises:
        ModelError: the model cannot be found or has no configuration that is known.
    """
    from transformers import AutoConfig

    folder, _ = unpacked(resolve(config.model))
    settings = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    network = _hollow(settings, images=sees(folder))
    lora = config.lora
    count = sum(weight.numel() for weight in network.parameters())
    linear = _linear(network)
    trained = _adapter(linear, lora) if lora.enabled else count
    dtype = best_dtype() if config.dtype == "auto" else config.dtype
    size = 2 if dtype == "bfloat16" else 4
    weights, name = float(size * count), dtype
    if not lora.enabled:
        weights, name = 4.0 * count, "float32"
    elif lora.load_in_4bit:
        packed = sum(layer.weight.numel() for layer in linear.values())
        # embeddings, norms and head are made float32 for training (PEFT)
        weights, name = _FOUR_BITS * packed + 4.0 * (count - packed), "4 bits"
    return Estimate(
        parameters=count,
        trained=trained,
        dtype=name,
        weights=weights,
        adapter=4.0 * trained if lora.enabled else 0.0,
        optimizer=trained_bytes(trained),
        shape=shape_of(settings, size),
        checkpointing=config.gradient_checkpointing,
    )


def _hollow(settings: Any, *, images: bool) -> Any:
    """The network without storage."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    kind = AutoModelForImageTextToText if images else AutoModelForCausalLM
    with torch.device("meta"):
        return kind.from_config(settings, trust_remote_code=False)


def _linear(network: Any) -> dict[str, Any]:
    """The linear layers of the language model, by name, without its head."""
    import torch

    decoder, head = network.get_decoder(), network.get_output_embeddings()
    return {
        name: layer
        for name, layer in decoder.named_modules()
        if isinstance(layer, torch.nn.Linear) and layer is not head
    }


def _adapter(linear: dict[str, Any], lora: LoraConfig) -> int:
    """Weights of an adapter on these layers."""
    wanted = lora.lora_target_modules
    total = 0
    for name, layer in linear.items():
        if wanted == "all-linear" or re.fullmatch(wanted, name):
            total += lora.lora_r * (layer.in_features + layer.out_features)
            total += layer.out_features if lora.use_dora else 0
    return total


def table(found: Estimate, *, max_length: int, answer: int, device: str = "cpu") -> list[str]:
    """The estimate in lines, with what fits here, in 24 GB and in 80 GB.

    Args:
        max_length: tokens of the longest row, from the settings of the preference stage.
        answer: tokens of the longest answer, so that a pair that shares its prompt has a length.
    """
    shape, pair = found.shape, max_length + min(answer, max_length)
    each = shape.activations(1000, checkpointing=False) / 1000
    less = shape.activations(1000, checkpointing=True) / 1000
    lines = [
        "Memory of a training step (an estimate, docs/training.md)",
        f"  weights      {_gb(found.weights)}  {found.parameters / 1e6:,.0f} M in {found.dtype}",
        f"  adapter      {_gb(found.adapter)}  {found.trained / 1e6:,.1f} M trained, float32",
        f"  optimizer    {_gb(found.optimizer)}  gradients and AdamW's moments",
        f"  logits       {_gb(shape.logits())}  of 128 positions at a time",
        f"  reference    {_gb(0.0)}  measured once before the first step",
        f"  activations  {each / 1e6:.2f} MB a token, {less / 1e6:.2f} MB with checkpointing",
        "  what fits    tokens at once; in pairs of the longest rows; the same with checkpointing",
    ]
    for name, room in (
        ("here", free_bytes(device)),
        ("24 GB", 24 * GB),
        ("80 GB", 80 * GB),
    ):
        title = f"{name} ({room / GB:.1f} GB free)" if name == "here" else name
        counts = (found.fits(room, checkpointing=on) for on in (False, True))
        cells = (f"{tokens:9,} {tokens // pair:6,} pairs" for tokens in counts)
        lines.append(f"    {title:22} {'  '.join(cells)}")
    return lines


def _gb(size: float) -> str:
    return f"{size / GB:7.2f} GB"
