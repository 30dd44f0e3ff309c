"""The two terms of a preference loss that TRL cannot work out for our batches.

In: log-probabilities of a batch, all chosen sides before all rejected ones. Out: a scalar each,
with TRL's arithmetic. Where TRL can do a term itself, it does (`trainers.PairTrainer`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import logsigmoid


def aligned(policy: Any, reference: Any, *, beta: float, smoothing: float) -> Any:
    """`aot`: the margins of a batch against those of the reference, each sorted (arXiv 2406.05882).

    TRL sorts sums over all tokens; which token counts matters before they are sorted.

    Args:
        policy: [rows], each row's sum over the tokens that count.
        reference: (chosen, rejected), [pairs] each, summed over the same tokens.
    """
    chosen, rejected = policy.chunk(2)
    apart = (chosen - rejected).sort().values - (reference[0] - reference[1]).sort().values
    right, wrong = logsigmoid(beta * apart), logsigmoid(-beta * apart)
    return (-right * (1 - smoothing) - wrong * smoothing).mean()


def weighted_sft(outputs: Any, mask: Any) -> Any:
    """`sft` under `use_weighting`: the mean over all chosen tokens, times the pairs' mean weight.

    TRL weighs its scalar in place after spreading it over the pairs, which PyTorch refuses for more
    than one. The weights are those of the other terms (arXiv 2406.11827, equation 2).

    Args:
        outputs: `log_probs` and `log_sum_sq_probs`, [rows, length - 1].
        mask: [rows, length - 1], 1 where a token is of the answer.
    """
    with torch.no_grad():
        beside = (outputs.log_probs - outputs.log_sum_sq_probs) * mask
        weights = (beside.sum(1) / mask.sum(1).clamp_min(1)).exp()
        chosen, rejected = weights.chunk(2)
    answers = outputs.log_probs.chunk(2)[0][mask.chunk(2)[0].bool()]
    return -answers.mean() * (chosen * rejected).mean()
