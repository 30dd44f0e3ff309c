"""Rows that share a beginning, laid out so that the shared tokens are read once.

In: token rows. Out: a `Tree`: a trie of the rows flattened into one sequence, in which each token
sees its own ancestors only and keeps the position it has in its row. A model that honours
`position_ids` and a 4D mask computes the same log-probabilities as on the separate rows.
No weights and no model in here; the arithmetic is numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A flattened trie of token rows; n is its number of tokens."""

    ids: NDArray[np.int64]
    """[n] tokens, each before its descendants."""
    positions: NDArray[np.int64]
    """[n] depth of each token: its position in every row through it."""
    sees: NDArray[np.bool_]
    """[n, n] whether the row's token attends to the column's: itself and its ancestors."""
    paths: tuple[NDArray[np.int64], ...]
    """For each input row: where its tokens lie in `ids`, in order."""


def grow(rows: Sequence[Sequence[int]]) -> Tree:
    """The tree of the rows; rows without a common first token become separate trunks."""
    children: dict[tuple[int, int], int] = {}
    ids: list[int] = []
    parents: list[int] = []
    positions: list[int] = []
    paths: list[NDArray[np.int64]] = []
    for row in rows:
        at, path = -1, []
        for position, token in enumerate(row):
            found = children.get((at, token))
            if found is None:
                found = children[at, token] = len(ids)
                ids.append(token)
                parents.append(at)
                positions.append(position)
            path.append(found)
            at = found
        paths.append(np.asarray(path, dtype=np.int64))
    return Tree(
        ids=np.asarray(ids, dtype=np.int64),
        positions=np.asarray(positions, dtype=np.int64),
        sees=_ancestors(parents),
        paths=tuple(paths),
    )


def _ancestors(parents: Sequence[int]) -> NDArray[np.bool_]:
    sees = np.zeros((len(parents), len(parents)), dtype=np.bool_)
    for at, parent in enumerate(parents):
        if parent >= 0:
            sees[at, : parent + 1] = sees[parent, : parent + 1]
        sees[at, at] = True
    return sees


def group(rows: Sequence[Sequence[int]], heads: Sequence[int]) -> list[list[int]]:
    """Indices of the rows that go into one tree: those whose first `heads[i]` tokens are equal.

    Groups and their rows keep the order of first appearance.
    """
    trunks: dict[tuple[int, ...], list[int]] = {}
    for at, (row, head) in enumerate(zip(rows, heads, strict=True)):
        trunks.setdefault(tuple(row[:head]), []).append(at)
    return list(trunks.values())
