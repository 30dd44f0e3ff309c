"""Which tokens of a pair count in the preference.

In: the token ids of a pair. Out: a number for each token of each side, by which its log-ratio
counts. Chosen and rejected usually agree in most of their tokens (braces, key names, whatever both
got right), and a preference that counts those moves them as well. Pure: no torch, no files.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Literal

from misstep.train.rows import Ids

Kind = Literal["all", "differing"]
Counts = tuple[tuple[float, ...], tuple[float, ...]]
"""Of the chosen and of the rejected side; a number for each token."""


def counts(ids: Ids, kind: Kind) -> Counts:
    """What each token of the two sides counts."""
    chosen, rejected = ids.chosen, ids.rejected or ()
    if kind == "all":
        return (1.0,) * len(chosen), (1.0,) * len(rejected)
    left, right = differing(chosen, rejected)
    return tuple(map(float, left)), tuple(map(float, right))


def differing(
    chosen: Sequence[int], rejected: Sequence[int]
) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
    """Which tokens of each side the sides differ in, by a diff of their ids.

    A stretch that only one side has also marks the token that stands in its place on the other
    side: between `{"a": 1}` and `{"a": 1` the choice is `}` or end-of-turn, so both are marked.
    """
    left, right = [False] * len(chosen), [False] * len(rejected)
    matcher = difflib.SequenceMatcher(None, chosen, rejected, autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag != "equal":
            _mark(left, i1, i2)
            _mark(right, j1, j2)
    return tuple(left), tuple(right)


def _mark(marks: list[bool], start: int, stop: int) -> None:
    for at in range(start, min(max(stop, start + 1), len(marks))):
        marks[at] = True
