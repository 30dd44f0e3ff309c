"""Decoding through a cache of transformers: for models whose attention `shared` cannot replace.

Imported lazily. Each prompt is encoded once and what the model keeps of it is then copied for every
answer, so memory is that of all answers; rows stay in the batch until all of them ended. Same
calls, same draws, same answers as `shared` up to rounding. What a cache holds is void where rotary
positions change with the length of the text (`switch`); the text is then read once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

import torch
from transformers import DynamicCache

from misstep.errors import ModelError

_OWN_STATE = ("minimax", "recurrent_gemma", "reformer", "rwkv", "xlnet", "xlstm")
"""Model types whose state is no cache that can be passed in and copied: that of RecurrentGemma lies
in its layers, and of the others transformers' own `generate` makes an exception, too."""


def switch(config: Any) -> int | None:
    """Tokens up to which all positions of a text are of one kind, and beyond of another (longrope).

    None where a position is the same in every text. The longest row decides for its whole batch.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    by_layer = (each for each in rope.values() if isinstance(each, dict))
    longs = (each for each in (rope, *by_layer) if each.get("rope_type") == "longrope")
    return next((int(each["original_max_position_embeddings"]) for each in longs), None)


class Plain:
    """The state of one batch; rows as in `shared.Shared`. Prompts are padded on the left.

    Raises:
        ModelError: the model keeps its state in a way of its own, or keeps none.
    """

    def __init__(self, model: Any, *, answers: int) -> None:
        kind = model.config.model_type
        takes = signature(model.forward).parameters
        self._recurrent = "cache_params" in takes
        if kind in _OWN_STATE or not (self._recurrent or "past_key_values" in takes):
            own = kind in _OWN_STATE
            why = "its state in a way of its own" if own else "nothing of what it has read"
            raise ModelError(
                f"a model of type {kind!r} cannot be sampled here: it keeps {why}; serve it and "
                "give its address with --endpoint, or take another --model"
            )
        self._model = model
        self._answers = answers
        self._cache = DynamicCache(config=model.config)
        self._switch = switch(model.config)
        self._mask: Any = None
        self._text: Any = None

    def start(self, prompts: Sequence[Sequence[int]]) -> Any:
        """Encode the prompts; logits of each one's next token, (prompts, vocabulary)."""
        width = max(map(len, prompts))
        ids = torch.zeros(len(prompts), width, dtype=torch.long)
        mask = torch.zeros(len(prompts), width, dtype=torch.long)
        for i, prompt in enumerate(prompts):
            ids[i, width - len(prompt) :] = torch.tensor(list(prompt))
            mask[i, width - len(prompt) :] = 1
        device = self._model.device
        self._mask = mask.to(device)
        logits = self._run(ids.to(device), attention_mask=self._mask)
        rows = torch.arange(len(prompts), device=device).repeat_interleave(self._answers)
        self._cache.reorder_cache(rows)  # as for beams: layers of every kind can be picked so
        self._mask = self._mask[rows]
        self._text = ids.to(device)[rows]
        return logits

    def step(self, tokens: Any, rows: Any) -> Any:
        """Logits behind `tokens` of the answers `rows`, (len(rows), vocabulary)."""
        ids = torch.zeros(len(self._mask), 1, dtype=torch.long, device=self._mask.device)
        ids[rows, 0] = tokens
        self._mask = torch.cat([self._mask, torch.ones_like(ids)], dim=1)
        if self._switch is not None:
            self._text = torch.cat([self._text, ids], dim=1)
            if self._text.shape[1] == self._switch + 1:  # what the cache holds is placed otherwise
                self._cache = DynamicCache(config=self._model.config)
                ids = self._text
        # a recurrent state holds no padding, and a mask is laid over the new token alone
        return self._run(ids, attention_mask=None if self._recurrent else self._mask)[rows]

    def _run(self, ids: Any, **mask: Any) -> Any:
        positions = (self._mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        cache = {"cache_params" if self._recurrent else "past_key_values": self._cache}
        out = self._model(
            input_ids=ids,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
            **cache,
            **mask,
        )
        return out.logits[:, -1]
