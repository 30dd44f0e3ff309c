"""What transformers itself generates: the yardstick of the decoding here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from misstep.models.generate import stop_ids


def by_transformers(loaded: Any, prompt: Sequence[int], tokens: int) -> tuple[int, ...]:
    """Its greedy continuation of one prompt alone."""
    with torch.inference_mode():
        out = loaded.model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            max_new_tokens=tokens,
            eos_token_id=sorted(stop_ids(loaded)),
            pad_token_id=0,
        )
    return tuple(out[0, len(prompt) :].tolist())
