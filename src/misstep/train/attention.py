"""Attention over a `tree.Layout`: the trunk once, then every block on the trunk and itself.

Registered with transformers under `NAME`; a model that runs it takes the layout's `sees` as its
4D `attention_mask`, from whose shape everything else follows. Half of the work of a mask over the
whole sequence is saved, because blocks never see each other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import repeat_kv

NAME = "misstep_trunk"


def trunk_attention(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **options: Any
) -> tuple[Any, None]:
    """query [1, H, N, D], key and value [1, H / groups, N, D] -> [1, N, H, D].

    `attention_mask` is [G, 1, L, T + L] with N = T + G * L.
    """
    blocks, _, width, seen = attention_mask.shape
    trunk = seen - width
    groups = query.shape[1] // key.shape[1]
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    scale = options.get("scaling")
    parts = []
    if trunk:
        q, k, v = (side[:, :, :trunk] for side in (query, key, value))
        parts.append(scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale))

    def split(side: Any, prefix: bool) -> Any:
        _, heads, _, size = side.shape
        own = side[0, :, trunk:].reshape(heads, blocks, width, size).transpose(0, 1)
        if not (prefix and trunk):
            return own
        return torch.cat((side[:, :, :trunk].expand(blocks, -1, -1, -1), own), dim=2)

    out = scaled_dot_product_attention(
        split(query, False), split(key, True), split(value, True), attention_mask, scale=scale
    )
    parts.append(out.transpose(0, 1).flatten(1, 2)[None])
    return torch.cat(parts, dim=2).transpose(1, 2), None


def switch(model: Any, on: bool) -> None:
    """Let the model use it, or PyTorch's plain attention again."""
    if on and model.config._attn_implementation != NAME:
        AttentionInterface.register(NAME, trunk_attention)
        model.set_attn_implementation(NAME)
    elif not on and model.config._attn_implementation == NAME:
        model.set_attn_implementation("sdpa")
