"""Log-probabilities of completions: the one thing that our trainers compute in their own way.

In: a batch as TRL collates it. Out: TRL's `FusedCausalLMOutput`, with the same numbers that its
own fused head gives, so losses, metrics and everything after them stay TRL's. Two savings: the
vocabulary is scored at completion positions only (off the GPU, TRL scores all), and rows with one
prompt are read as a tree (`tree`), so the prompt is read once. Models for which the second would
be wrong (sliding windows, recurrent layers) are read row by row; those with an unusual head
(scaled or capped logits) take TRL's own path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from peft.helpers import disable_input_dtype_casting
from trl.trainer.utils import FusedCausalLMOutput

from misstep.train.head import ScoredPositions
from misstep.train.tree import Tree, group, grow

_TRANSFORMS = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a model's rows are read."""

    own_head: bool
    """Score completion positions only; False leaves everything to TRL."""
    shared: bool
    """Read rows with one prompt as a tree."""


def reading(model: Any, *, shared: bool) -> Reading:
    """What is right for this model, from its config.

    The tree needs full attention in every layer, through PyTorch's SDPA, and rotary positions
    that do not depend on the length of the input.
    """
    config = model.config.get_text_config().to_dict()
    plain = all(config.get(name) in (None, 1.0) for name in (*_TRANSFORMS, "logits_scaling"))
    head = model.get_output_embeddings()
    own_head = plain and type(head) is torch.nn.Linear and head.bias is None
    layers = config.get("layer_types") or ["full_attention"]
    windowed = config.get("sliding_window") is not None and config.get("use_sliding_window", True)
    full = set(layers) == {"full_attention"} and not ("layer_types" not in config and windowed)
    known = model.config._attn_implementation == "sdpa"
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    return Reading(
        own_head=own_head,
        shared=shared and own_head and full and known and kind in ("default", "linear", "llama3", "yarn"),
    )


def score(model: Any, inputs: dict[str, Any], labels: Any, *, shared: bool) -> FusedCausalLMOutput:
    """Per-token log-probabilities of the labelled tokens; the base of a PEFT model is found.

    Args:
        model: a causal language model, or the `PeftModel` around one.
        inputs: `input_ids` and `attention_mask`, [rows, length], padded on the right.
        labels: [rows, length], -100 where a token is not scored.
        shared: read rows with one prompt as a tree.

    Returns:
        fields of shape [rows, length - 1], zero where the next token's label is -100.
    """
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    mask = labels[:, 1:] != -100
    # under autocast, PEFT's own casts would go up to float32 and straight back down
    with disable_input_dtype_casting(model, active=torch.is_autocast_enabled(mask.device.type)):
        hidden, at = (_tree_states if shared else _row_states)(base, inputs, mask)
    targets = labels[:, 1:][mask]
    spots, where = _distinct(at, targets)
    weight = base.get_output_embeddings().weight
    # index_select, not indexing: its backward adds up in a fixed order
    asked = hidden.index_select(0, at.index_select(0, spots))
    values = ScoredPositions.apply(asked, weight, targets.index_select(0, spots))
    scored, entropy, mean, top = (_spread(value.index_select(0, where), mask) for value in values)
    return FusedCausalLMOutput(
        log_probs=scored, entropy=entropy, mean_logits=mean, is_top1=top, label_mask=mask
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
    """The same as `_row_states` from trees of the rows that share a prompt."""
    device = inputs["input_ids"].device
    lengths = inputs["attention_mask"].sum(1).tolist()
    rows = [row[:n] for row, n in zip(inputs["input_ids"].tolist(), lengths, strict=True)]
    scored = mask.cpu().numpy()
    heads = [int(line.argmax()) + 1 for line in scored]
    groups = group(rows, heads)
    trees = [grow([rows[at] for at in members]) for members in groups]
    width = max(len(tree.ids) for tree in trees)
    places: dict[int, Any] = {
        at: tree.paths[turn] + number * width
        for number, (members, tree) in enumerate(zip(groups, trees, strict=True))
        for turn, at in enumerate(members)
    }
    at = np.concatenate([places[i][np.flatnonzero(scored[i])] for i in range(len(rows))])
    ids, positions, sees = (torch.from_numpy(part).to(device) for part in _padded(trees, width))
    out = base.base_model(
        input_ids=ids, position_ids=positions, attention_mask=sees, use_cache=False
    )
    return out.last_hidden_state.flatten(0, 1), torch.from_numpy(at).to(device)


def _padded(trees: Sequence[Tree], width: int) -> tuple[Any, Any, Any]:
    ids = np.zeros((len(trees), width), dtype=np.int64)
    positions = np.zeros((len(trees), width), dtype=np.int64)
    sees = np.zeros((len(trees), 1, width, width), dtype=np.bool_)
    sees[:, :, range(width), range(width)] = True  # padding sees itself: no row of all -inf
    for at, tree in enumerate(trees):
        n = len(tree.ids)
        ids[at, :n], positions[at, :n], sees[at, 0, :n, :n] = tree.ids, tree.positions, tree.sees
    return ids, positions, sees
