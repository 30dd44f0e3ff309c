"""Log-probabilities of completions: the one thing that our trainers compute in their own way.

In: a batch as TRL collates it. Out: TRL's `FusedCausalLMOutput`, with the same numbers that its
own fused head gives, so losses, metrics and everything after them stay TRL's. Two savings: the
vocabulary is scored at completion positions only (off the GPU, TRL scores all), and what the rows
of a batch have in common is read once (`tree`): tools and instructions, the prompt of a pair, the
earlier steps of a session. Models for which the second would be wrong (sliding windows, recurrent
layers) are read row by row; those with an unusual head (scaled or capped logits) take TRL's path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from peft.helpers import disable_input_dtype_casting
from trl.trainer.utils import FusedCausalLMOutput

from misstep.train import attention
from misstep.train.head import ScoredPositions
from misstep.train.tree import lay_out

_TRANSFORMS = (
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "output_multiplier",
    "lm_head_multiplier",
)
"""Fields of a config by which TRL sees that logits are capped or scaled."""
_FIXED_ROPE = ("default", "linear", "llama3", "yarn")
"""Kinds of rotary positions that do not depend on the length of the input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a model's rows are read."""

    own_head: bool
    """Score completion positions only; False leaves everything to TRL."""
    shared: bool
    """Read what the rows of a batch have in common once."""


def reading(model: Any, *, shared: bool) -> Reading:
    """What is right for this model, from its config.

    The tree needs full attention in every layer, through PyTorch's SDPA, and rotary positions
    that do not depend on the length of the input.
    """
    config = model.config.get_text_config().to_dict()
    head = model.get_output_embeddings()
    plain = all(config.get(name) in (None, 1.0) for name in _TRANSFORMS)
    own_head = plain and type(head) is torch.nn.Linear and head.bias is None
    usual = _full_attention(config) and _fixed_positions(config)
    sdpa = model.config._attn_implementation in ("sdpa", attention.NAME)
    return Reading(own_head=own_head, shared=shared and own_head and usual and sdpa)


def _full_attention(config: dict[str, Any]) -> bool:
    if "layer_types" in config and config["layer_types"] is not None:
        return set(config["layer_types"]) == {"full_attention"}
    return config.get("sliding_window") is None or config.get("use_sliding_window") is False


def _fixed_positions(config: dict[str, Any]) -> bool:
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return rope.get("rope_type", "default") in _FIXED_ROPE


def score(
    model: Any, inputs: dict[str, Any], labels: Any, *, shared: bool, squares: bool = False
) -> FusedCausalLMOutput:
    """Per-token log-probabilities of the labelled tokens; the base of a PEFT model is found.

    Args:
        model: a causal language model, or the `PeftModel` around one.
        inputs: `input_ids` and `attention_mask`, [rows, length], padded on the right.
        labels: [rows, length], -100 where a token is not scored.
        shared: read what the rows have in common once.
        squares: give `log_sum_sq_probs` too, which `use_weighting` needs.

    Returns:
        fields of shape [rows, length - 1], zero where the next token's label is -100.
    """
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    mask = labels[:, 1:] != -100
    attention.switch(base, on=shared)
    # under autocast, PEFT's own casts would go up to float32 and straight back down
    with disable_input_dtype_casting(model, active=torch.is_autocast_enabled(mask.device.type)):
        hidden, at = (_tree_states if shared else _row_states)(base, inputs, mask)
    targets = labels[:, 1:][mask]
    spots, where = _distinct(at, targets)
    weight = base.get_output_embeddings().weight
    # index_select, not indexing: its backward adds up in a fixed order
    asked = hidden.index_select(0, at.index_select(0, spots))
    values = ScoredPositions.apply(asked, weight, targets.index_select(0, spots), squares)
    scored, entropy, mean, top, square = (
        _spread(value.index_select(0, where), mask) if len(value) else None for value in values
    )
    return FusedCausalLMOutput(
        log_probs=scored,
        entropy=entropy,
        log_sum_sq_probs=square,
        mean_logits=mean,
        is_top1=top,
        label_mask=mask,
    )


def _distinct(at: Any, targets: Any) -> tuple[Any, Any]:
    """Indices of the distinct (position, token) questions, and which of them each one is."""
    both = torch.stack((at, targets)).cpu().numpy()
    _, first, where = np.unique(both, axis=1, return_index=True, return_inverse=True)
    device = at.device
    return torch.from_numpy(first).to(device), torch.from_numpy(where.reshape(-1)).to(device)


def _spread(values: Any, mask: Any) -> Any:
    return values.new_zeros(mask.shape).masked_scatter(mask, values)


def _row_states(base: Any, inputs: dict[str, Any], mask: Any) -> tuple[Any, Any]:
    """Hidden states [rows * length, H] of the rows, and where each scored token is predicted."""
    ids = inputs["input_ids"]
    out = base.base_model(input_ids=ids, attention_mask=inputs["attention_mask"], use_cache=False)
    rows, columns = torch.nonzero(mask, as_tuple=True)
    return out.last_hidden_state.flatten(0, 1), rows * ids.shape[1] + columns


def _tree_states(base: Any, inputs: dict[str, Any], mask: Any) -> tuple[Any, Any]:
    """The same as `_row_states`, with what the rows share read once."""
    device = inputs["input_ids"].device
    lengths = inputs["attention_mask"].sum(1).tolist()
    rows = [row[:n] for row, n in zip(inputs["input_ids"].tolist(), lengths, strict=True)]
    layout = lay_out(rows)
    out = base.base_model(
        input_ids=torch.from_numpy(layout.ids)[None].to(device),
        position_ids=torch.from_numpy(layout.positions)[None].to(device),
        attention_mask=torch.from_numpy(layout.sees).to(device),
        use_cache=False,
    )
    scored = mask.cpu().numpy()
    at = np.concatenate([layout.paths[i][np.flatnonzero(scored[i])] for i in range(len(rows))])
    return out.last_hidden_state[0], torch.from_numpy(at).to(device)
