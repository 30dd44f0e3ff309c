"""Decoding by a whole vision-language model: where its language model alone would read otherwise.

Imported lazily. Images inside which attention looks both ways, prompts that see themselves whole,
positions in two dimensions: such a model reads its own inputs. Each prompt and its images are read
once, whatever the number of answers. The prompts of a batch are equally long, so nothing is padded
and no position is off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from misstep.models.sight import Sight


class Whole:
    """The state of one batch; rows as in `shared.Shared`."""

    def __init__(self, sight: Sight, *, answers: int) -> None:
        self._sight = sight
        self._answers = answers
        self._cache: Any = None
        self._live: list[int] = []

    def start(self, prompts: Sequence[Sequence[int]]) -> Any:
        """Read the prompts; logits of each one's next token, (prompts, vocabulary)."""
        model = self._sight.network.base_model
        if "rope_deltas" in vars(model):
            model.rope_deltas = (
                None  # positions of an earlier batch, which a prompt of text would get
            )
        ids = torch.tensor([list(prompt) for prompt in prompts], device=self._sight.device)
        logits = self._run(**self._sight.given(ids, [len(prompt) for prompt in prompts]))
        self._cache.batch_repeat_interleave(self._answers)
        self._live = list(range(len(prompts) * self._answers))
        return logits

    def step(self, tokens: Any, rows: Any) -> Any:
        """Logits behind `tokens` of the answers `rows`, (len(rows), vocabulary)."""
        wanted = rows.tolist()
        fixed = self._sight.way == "whole" or self._sight.eye.typed == "modes"
        if not fixed and len(wanted) < len(self._live):
            places = {row: at for at, row in enumerate(self._live)}
            kept = torch.tensor([places[row] for row in wanted], device=tokens.device)
            self._cache.batch_select_indices(kept)
            self._live = wanted
        at = torch.tensor([self._live.index(row) for row in wanted], device=tokens.device)
        ids = torch.zeros(len(self._live), 1, dtype=torch.long, device=tokens.device)
        ids[at, 0] = tokens
        return self._run(input_ids=ids)[at]

    def _run(self, **given: Any) -> Any:
        out = self._sight.network(
            past_key_values=self._cache, use_cache=True, logits_to_keep=1, **given
        )
        self._cache = out.past_key_values
        return out.logits[:, -1]
