"""Random draws and picks: from logits to the next token, the same for any batching.

Each answer has its own stream of uniform numbers, keyed by the seed, the prompt's token ids, the
how-manyth occurrence of that prompt in the call this is, and the number of the answer. Neither the
order of the prompts nor what else is in a batch, nor `num_generations` or `max_new_tokens`, changes
an answer's draws. Logits come from matrix products whose rounding may depend on the shape of a
batch, so equal answers are certain for equal calls only.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Sequence
from typing import Any

from misstep.errors import ModelError

_BELOW_ONE = 1 - 1e-6
_BLOCK = 256


def prompt_keys(prompts: Sequence[Sequence[int]], seed: int) -> list[bytes]:
    """A key per prompt; equal prompts get different ones by their occurrence."""
    seen: Counter[bytes] = Counter()
    keys = []
    for prompt in prompts:
        ids = array("q", prompt).tobytes()
        keys.append(hashlib.blake2b(f"{seed} {seen[ids]} ".encode() + ids).digest())
        seen[ids] += 1
    return keys


def uniforms(key: bytes, answers: int, length: int) -> Any:
    """Draws in [0, 1), float32, shape (answers, length)."""
    import torch

    rows = []
    for answer in range(answers):
        digest = hashlib.blake2b(key + answer.to_bytes(4, "big"), digest_size=7).digest()
        stream = torch.Generator().manual_seed(int.from_bytes(digest, "big"))
        rows.append(torch.rand(length, generator=stream))
    return torch.stack(rows)


def pick(logits: Any, draws: Any, *, temperature: float, top_p: float) -> Any:
    """The next token of each row: the most likely one at temperature 0, else by inverse CDF.

    Args:
        logits: (rows, vocabulary), any float type; computed with in float32.
        draws: (rows,) in [0, 1).

    Raises:
        ModelError: the logits of a row are no numbers.
    """
    if temperature == 0:
        tokens = logits.float().argmax(-1)
        _numbers(logits.gather(-1, tokens[:, None]))
        return tokens
    scores = logits.float() / temperature
    if top_p < 1:
        return _nucleus(scores, draws, top_p)
    return _invert(scores.softmax(-1), draws)


def _numbers(found: Any) -> None:
    """Looks at one number of each row, which is none if any of the row is none."""
    if bool(found.isnan().any()):
        raise ModelError(
            "what the model gives for its next token is not a number (NaN): its weights, or those "
            "of its adapter, are broken; train anew or take another --model"
        )


def _invert(weights: Any, draws: Any) -> Any:
    """The index at which the running sum first exceeds draw × total; its weight is above zero.

    Sums of blocks come first, then the sums within the block that is hit: a running sum over a
    whole vocabulary would cost more than the model's largest layer.
    """
    import torch

    rows, size = weights.shape
    padded = torch.nn.functional.pad(weights, (0, -size % _BLOCK)).view(rows, -1, _BLOCK)
    sums = padded.sum(-1).cumsum(-1)
    _numbers(sums[:, -1])
    target = draws.to(sums)[:, None] * (sums[:, -1:] * _BELOW_ONE)
    block = torch.searchsorted(sums, target, right=True)
    before = torch.where(block > 0, sums.gather(-1, (block - 1).clamp(min=0)), 0.0)
    inside = padded.gather(1, block[:, :, None].expand(-1, -1, _BLOCK))[:, 0].cumsum(-1)
    # the two roundings may differ by a hair, so the target stays below the block's own sum
    rest = torch.minimum(target - before, inside[:, -1:] * _BELOW_ONE)
    return (block * _BLOCK + torch.searchsorted(inside, rest, right=True)).squeeze(-1)


def _nucleus(scores: Any, draws: Any, top_p: float) -> Any:
    """Draw from the smallest set of tokens whose probability reaches `top_p`.

    Sorting a whole vocabulary is slow, so the largest 256 are tried first, then 16 times as many.
    """
    probabilities = scores.softmax(-1)
    size = probabilities.shape[-1]
    count = min(256, size)
    top, index = probabilities.topk(count)
    while count < size and bool((top.sum(-1) < top_p).any()):
        count = min(count * 16, size)
        top, index = probabilities.topk(count)
    before = top.cumsum(-1) - top
    chosen = _invert(top.masked_fill(before >= top_p, 0.0), draws)
    return index.gather(-1, chosen[:, None]).squeeze(-1)
