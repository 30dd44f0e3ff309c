"""Sentence BLEU-4 on white-space tokens, as published for DharmaOCR.

In: a reference and a hypothesis as tokens. Out: a number in [0, 1], equal to that of
`nltk.translate.bleu_score.sentence_bleu` with `SmoothingFunction().method1` (Chen and Cherry 2014,
a count of zero becomes 0.1); a test holds the two together. NLTK itself takes a second to import
and brings a dozen packages for these twenty lines.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

ORDER = 4
EPSILON = 0.1


def sentence_bleu(reference: Sequence[str], hypothesis: Sequence[str]) -> float:
    """BLEU-4 of one hypothesis against one reference."""
    counts = [_precision(reference, hypothesis, order) for order in range(1, ORDER + 1)]
    if not counts[0][0]:
        return 0.0
    logs = (math.log((matched or EPSILON) / all_) for matched, all_ in counts)
    short = len(reference) / len(hypothesis) if len(hypothesis) < len(reference) else 1.0
    return math.exp(1 - short) * math.exp(math.fsum(logs) / ORDER)


def _precision(reference: Sequence[str], hypothesis: Sequence[str], order: int) -> tuple[int, int]:
    """n-grams of the hypothesis that the reference has, clipped, and all of them (at least 1)."""
    have, want = _grams(reference, order), _grams(hypothesis, order)
    return sum((have & want).values()), max(1, sum(want.values()))


def _grams(tokens: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + order]) for i in range(len(tokens) - order + 1))
