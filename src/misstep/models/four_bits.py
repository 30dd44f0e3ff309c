"""Weights in 4 bits (QLoRA, arXiv 2305.14314), through bitsandbytes.

In: nothing but what is installed. Out: how transformers is to load a base, or why it cannot. Only
the base of a training is loaded so; what answers has its weights whole. Not run by misstep's own
tests beyond its refusals: they have no GPU.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from misstep.errors import ConfigError


def check_four_bits() -> None:
    """Whether a base can be loaded in 4 bits at all; loads nothing.

    Raises:
        ConfigError: bitsandbytes is not installed.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ConfigError(
            "lora.load_in_4bit: needs bitsandbytes, which is not installed; "
            "pip install bitsandbytes, or set lora.load_in_4bit=false"
        )


def in_four_bits(dtype: Any) -> dict[str, Any]:
    """Arguments of `from_pretrained`: NF4 with double quantisation, products in `dtype`.

    Raises:
        ConfigError: bitsandbytes is not installed, or there is no CUDA device.
    """
    check_four_bits()
    import torch
    from transformers import BitsAndBytesConfig

    if not torch.cuda.is_available():
        raise ConfigError(
            "lora.load_in_4bit: needs a CUDA device, and PyTorch sees none; "
            "set lora.load_in_4bit=false"
        )
    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        ),
        "device_map": {"": torch.cuda.current_device()},
    }
