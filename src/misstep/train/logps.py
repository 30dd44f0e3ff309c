"""Log-probabilities of completions: the one thing that our trainers compute in their own way.

In: a batch as TRL collates it. Out: TRL's `FusedCausalLMOutput`, with the same numbers that its
own fused head gives, so losses, metrics and everything after them stay TRL's. Two savings: the
vocabulary is scored at completion positions only (off the GPU, TRL scores all), and what the rows
of a batch have in common is read once (`tree`): tools and instructions, the prompt of a pair, the
earlier steps of a session. Models for which the second would be wrong are read row by row, those
with an unusual head take TRL's path; `reading` finds out which.

Under a token budget the rows are read in several sequences, and only the last keeps its
activations: those before it are read again when gradients are asked of them, so memory follows the
budget and not the batch. What comes out is the same. Processes that share a model's weights read
equally many sequences: each layer waits for its weights until every process has come to it.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from peft.helpers import disable_input_dtype_casting
from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel
from torch.distributed.tensor import DTensor
from torch.utils.checkpoint import checkpoint
from trl.trainer.utils import FusedCausalLMOutput

from misstep.models.sight import Sight
from misstep.train import attention, ranks
from misstep.train.head import ScoredPositions
from misstep.train.tree import grow, packed


def score(
    model: Any,
    inputs: dict[str, Any],
    labels: Any,
    *,
    shared: bool,
    budget: int = 0,
    squares: bool = False,
    sight: Any = None,
) -> FusedCausalLMOutput:
    """Per-token log-probabilities of the labelled tokens; the base of a PEFT model is found.

    Args:
        model: a causal language model, or the `PeftModel` around one.
        inputs: `input_ids` and `attention_mask`, [rows, length], padded on the right.
        labels: [rows, length], -100 where a token is not scored.
        shared: read what the rows have in common once.
        budget: tokens of one sequence at most, as in `tree.packed`.
        squares: give `log_sum_sq_probs` too, which `use_weighting` needs.
        sight: what reads rows with images.

    Returns:
        fields of shape [rows, length - 1], zero where the next token's label is -100.
    """
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    attention.switch(base if sight is None else sight.decoder, on=shared)
    mask = labels[:, 1:] != -100
    questions = _questions(inputs, mask, shared=shared, budget=budget, sight=sight)
    if budget > 0 and _parted(model):
        short = ranks.most(len(questions), mask.device) - len(questions)
        # in front, so that what keeps its activations is one of this process's own
        questions = [_nothing(inputs, shared=shared)] * short + questions
    states = []
    for asked in questions:
        read = functools.partial(_states, model, sight or base, asked)
        again = torch.is_grad_enabled() and asked is not questions[-1]
        states.append(checkpoint(read, use_reentrant=False) if again else read())
    targets = torch.cat([asked.targets for asked in questions])
    values = ScoredPositions.apply(torch.cat(states), _head(base), targets, squares)
    places = torch.cat([asked.places for asked in questions])
    before = _before(questions)
    where = torch.cat([asked.where + at for asked, at in zip(questions, before, strict=True)])
    scored, entropy, mean, top, square = (
        _spread(value.index_select(0, where), places, mask) if len(value) else None
        for value in values
    )
    return FusedCausalLMOutput(
        log_probs=scored,
        entropy=entropy,
        log_sum_sq_probs=square,
        mean_logits=mean,
        is_top1=top,
        label_mask=mask,
    )


def listen(model: Any) -> None:
    """Let `model(scored={...})` give `score` with these arguments.

    So what wraps the model (several processes, sharded weights) sees a forward pass of its own.
    """
    plain = model.forward

    @functools.wraps(plain)
    def forward(*given: Any, scored: dict[str, Any] | None = None, **named: Any) -> Any:
        return plain(*given, **named) if scored is None else score(model, **scored)

    model.forward = forward


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One sequence (or padded batch) for the model, and what is asked of it."""

    given: dict[str, Any]
    """Arguments of the model's backbone."""
    prompts: Sequence[int] = ()
    """Of padded rows: tokens before the first scored one."""
    spots: Any
    """[m] positions of its hidden states that predict a scored token, each question once."""
    targets: Any
    """[m] the token that is asked for there."""
    where: Any
    """[s] which of the m questions each scored token is."""
    places: Any
    """[s] where each scored token lies in the flattened [rows, length - 1]."""


def _questions(
    inputs: dict[str, Any], mask: Any, *, shared: bool, budget: int, sight: Sight | None
) -> list[_Asked]:
    """What is read, in the order in which it is read."""
    ids = inputs["input_ids"].cpu().numpy()
    lengths = inputs["attention_mask"].sum(1).tolist()
    scored = mask.cpu().numpy()
    rows = [row[:n].tolist() for row, n in zip(ids, lengths, strict=True)]
    make = functools.partial(_tree, sight=sight) if shared else _padded
    device = inputs["input_ids"].device
    return [
        make([rows[at] for at in part], np.asarray(part), scored, device)
        for part in packed(rows, budget=budget, shared=shared)
    ]


def _parted(model: Any) -> bool:
    """Whether several processes hold a part of its weights each (FSDP).

    Those that DeepSpeed parts are read by TRL, in one sequence (`reading`).
    """
    kinds = (FSDPModule, FullyShardedDataParallel)
    return ranks.count() > 1 and any(isinstance(each, kinds) for each in model.modules())


def _nothing(inputs: dict[str, Any], *, shared: bool) -> _Asked:
    """A sequence of two tokens that is read and counts for nothing, its gradient being zero."""
    row = [inputs["input_ids"][0, 0].item()] * 2
    make = functools.partial(_tree, sight=None) if shared else _padded
    asked = make([row], np.zeros(1, dtype=np.int64), np.ones((1, 1)), inputs["input_ids"].device)
    return replace(asked, where=asked.where[:0], places=asked.places[:0])


def _tree(
    rows: Sequence[Sequence[int]], part: Any, scored: Any, device: Any, *, sight: Sight | None
) -> _Asked:
    """The rows with what they share read once."""
    tree = grow(rows)
    given = {
        "input_ids": torch.from_numpy(tree.ids)[None].to(device),
        "position_ids": torch.from_numpy(tree.positions)[None].to(device),
        "attention_mask": torch.from_numpy(tree.ends)[None, None, None].to(device),
    }
    own = None if sight is None else sight.positions(rows)
    if own is not None:
        table = torch.zeros(len(own[0]), 1, len(tree.ids), dtype=own[0].dtype, device=device)
        for path, placed in zip(tree.paths, own, strict=True):
            table[:, 0, torch.from_numpy(path).to(device)] = placed
        given["position_ids"] = table
    places = [np.flatnonzero(scored[at]) for at in part]
    spots = [path[at] for path, at in zip(tree.paths, places, strict=True)]
    return _asked(given, rows, spots, places, part=part, width=scored.shape[1])


def _padded(rows: Sequence[Sequence[int]], part: Any, scored: Any, device: Any) -> _Asked:
    """The rows one below the other."""
    width = max(map(len, rows))
    ids, real = (np.zeros((len(rows), width), dtype=np.int64) for _ in range(2))
    for at, row in enumerate(rows):
        ids[at, : len(row)], real[at, : len(row)] = row, 1
    given = {
        "input_ids": torch.from_numpy(ids).to(device),
        "attention_mask": torch.from_numpy(real).to(device),
    }
    places = [np.flatnonzero(scored[at]) for at in part]
    spots = [at * width + place for at, place in enumerate(places)]
    asked = _asked(given, rows, spots, places, part=part, width=scored.shape[1])
    first = [
        int(place[0]) + 1 if len(place) else len(row)
        for place, row in zip(places, rows, strict=True)
    ]
    return replace(asked, prompts=first)


def _asked(
    given: dict[str, Any],
    rows: Sequence[Sequence[int]],
    spots: Sequence[Any],
    places: Sequence[Any],
    *,
    part: Any,
    width: int,
) -> _Asked:
    """Questions from where each row's scored tokens are predicted; equal ones are asked once."""
    targets = [np.asarray(row)[place + 1] for row, place in zip(rows, places, strict=True)]
    both = np.stack((np.concatenate(spots), np.concatenate(targets)))
    once, where = np.unique(both, axis=1, return_inverse=True)
    flat = [at * width + place for at, place in zip(part, places, strict=True)]
    device = given["input_ids"].device
    found = (once[0], once[1], where.reshape(-1), np.concatenate(flat))
    spots_, targets_, where_, places_ = (torch.from_numpy(each).to(device) for each in found)
    return _Asked(given=given, spots=spots_, targets=targets_, where=where_, places=places_)


def _states(model: Any, reader: Any, asked: _Asked) -> Any:
    """[m, H] hidden states at the asked spots; `reader` is a model or the sight of one."""
    with _uncast(model, asked.spots.device.type):
        if isinstance(reader, Sight) and asked.prompts:
            mask = asked.given["attention_mask"]
            states = reader.states(asked.given["input_ids"], mask, asked.prompts)
        else:
            states = reader.base_model(**asked.given, use_cache=False).last_hidden_state
    # index_select, not indexing: its backward adds up in a fixed order
    return states.flatten(0, 1).index_select(0, asked.spots)


def _uncast(model: Any, kind: str) -> Any:
    """Under autocast, PEFT's own casts would go up to float32 and straight back down.

    With gradient checkpointing they stay: layers are read again where nobody switches them off.
    """
    if not isinstance(model, PeftModel) or not torch.is_autocast_enabled(kind):
        return contextlib.nullcontext()
    return disable_input_dtype_casting(model, active=not model.is_gradient_checkpointing)


def _head(base: Any) -> Any:
    """[V, H] the head's weight, whole where it is sharded, in the number format of the products."""
    weight = base.get_output_embeddings().weight
    if isinstance(weight, DTensor):
        weight = weight.full_tensor()
    kind = weight.device.type
    return weight.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else weight


def _before(questions: Sequence[_Asked]) -> list[int]:
    """How many questions stand before those of each sequence."""
    return list(itertools.accumulate((len(asked.targets) for asked in questions[:-1]), initial=0))


def _spread(values: Any, places: Any, mask: Any) -> Any:
    flat = values.new_zeros(mask.numel())
    return flat.index_copy(0, places, values).view(mask.shape)
