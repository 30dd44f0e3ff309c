"""Decoding through transformers' own cache: for models whose attention `shared` cannot replace.

Imported lazily. Slower than `shared`: the prompt is encoded once per answer, and rows stay in the
batch until all of them ended. Same calls, same draws, same answers up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


class Plain:
    """The state of one batch; rows as in `shared.Shared`. Prompts are padded on the left."""

    def __init__(self, model: Any, *, answers: int) -> None:
        self._model = model
        self._answers = answers
        self._cache: Any = None
        self._mask: Any = None

    def start(self, prompts: Sequence[Sequence[int]]) -> Any:
        """Encode the prompts; logits of each one's next token, (prompts, vocabulary)."""
        width = max(map(len, prompts))
        ids = torch.zeros(len(prompts), width, dtype=torch.long)
        mask = torch.zeros(len(prompts), width, dtype=torch.long)
        for i, prompt in enumerate(prompts):
            ids[i, width - len(prompt) :] = torch.tensor(list(prompt))
            mask[i, width - len(prompt) :] = 1
        repeated = ids.repeat_interleave(self._answers, 0).to(self._model.device)
        self._mask = mask.repeat_interleave(self._answers, 0).to(self._model.device)
        return self._run(repeated)[:: self._answers]

    def step(self, tokens: Any, rows: Any) -> Any:
        """Logits behind `tokens` of the answers `rows`, (len(rows), vocabulary)."""
        ids = torch.zeros(len(self._mask), 1, dtype=torch.long, device=self._mask.device)
        ids[rows, 0] = tokens
        self._mask = torch.cat([self._mask, torch.ones_like(ids)], dim=1)
        return self._run(ids)[rows]

    def _run(self, ids: Any) -> Any:
        positions = (self._mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        out = self._model(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._cache = out.past_key_values
        return out.logits[:, -1]
