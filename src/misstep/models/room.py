"""How much memory a batch of answers may take where its model is, and how much it takes.

In: a loaded model; how many prompts, how long, how many answers. Out: bytes. On a CPU keys and
values get a fixed 2 GB, so that equal calls divide prompts alike on every machine. On a GPU they
get half of what is free once the weights are there; the other half is for reading the prompts,
whose activations are there at the same time. Not run by misstep's own tests beyond the arithmetic:
they have no GPU.
"""

from __future__ import annotations

from typing import Any

from misstep.models.load import Loaded

GB = 1_000_000_000
ON_CPU = 2 * GB
"""Keys and values of one batch; longer prompts make smaller batches."""
_READ = 4
"""Of the widths of a layer and of its MLP, what reading a token holds at once: at the peak three of
the MLP and two of the layer, the rest to spare."""


def room(loaded: Loaded) -> int:
    """Bytes that a batch may take.

    On a GPU in whole GB, so that a little memory that comes and goes divides prompts no otherwise,
    and less the weights of other workers that are still to load (`Loaded.sharing`).
    """
    device = loaded.reader.device
    if device.type != "cuda":
        return ON_CPU
    each = sum(weight.numel() * weight.element_size() for weight in loaded.network.parameters())
    others = loaded.sharing - 1
    return half_of(max(0, free(device) - others * each) // loaded.sharing)


def half_of(size: int) -> int:
    """Half of a free memory, in whole GB where it is one at least."""
    half = size // 2
    return half // GB * GB or half


def free(device: Any) -> int:
    """Free bytes of a GPU, what PyTorch keeps of it for its next tensors included."""
    import torch

    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + int(kept)


def columns(length: int, answers: int, max_new_tokens: int, *, once: bool) -> int:
    """Columns of keys and values of one prompt; `once`: its answers share those of the prompt."""
    shared, own = (length, 0) if once else (0, length)
    return shared + answers * (own + max_new_tokens)


def read_bytes(config: Any, length: int, size: int) -> int:
    """Activations of a prompt while it is read, in numbers of `size` bytes."""
    text = config.get_text_config()
    width = int(text.hidden_size)
    middle = int(getattr(text, "intermediate_size", None) or 4 * width)
    return _READ * (width + middle) * size * length
