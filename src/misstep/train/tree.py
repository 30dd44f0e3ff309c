"""Rows that share a beginning, laid out so that shared tokens are read once.

In: token rows. Out: a `Layout`: one sequence with the trunk (what all rows begin with) and then
blocks of equal width, each a trie of rows that go on together (the two sides of a pair, the steps
of a session). A token sees the trunk and its own ancestors only, and keeps the position it has in
its row, so a model that honours both computes the same log-probabilities as on separate rows.
No weights and no model in here; the arithmetic is numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Row = Sequence[int]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Trunk of T tokens and G blocks of L tokens; N = T + G * L."""

    ids: NDArray[np.int64]
    """[N] tokens; blocks are padded with 0."""
    positions: NDArray[np.int64]
    """[N] position of each token in its rows."""
    sees: NDArray[np.bool_]
    """[G, 1, L, T + L] whether a block's token attends to the trunk and to its own block."""
    paths: tuple[NDArray[np.int64], ...]
    """For each input row: where its tokens lie in `ids`, in order."""


def grow(rows: Sequence[Row]) -> Tree:
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


def lay_out(rows: Sequence[Row]) -> Layout:
    """The rows of a batch as trunk and blocks. Every row has at least two tokens."""
    order = sorted(range(len(rows)), key=lambda at: tuple(rows[at]))
    trunk = min(_common(rows[order[0]], rows[order[-1]]), min(map(len, rows)) - 1)
    groups = bundles([tuple(row[trunk:]) for row in rows])
    trees = [grow([rows[at][trunk:] for at in group]) for group in groups]
    width = max(len(tree.ids) for tree in trees)
    ids = np.zeros(trunk + len(trees) * width, dtype=np.int64)
    positions = np.zeros_like(ids)
    ids[:trunk], positions[:trunk] = rows[0][:trunk], range(trunk)
    sees = np.zeros((len(trees), 1, width, trunk + width), dtype=np.bool_)
    sees[..., :trunk] = True
    sees[:, :, range(width), range(trunk, trunk + width)] = True  # padding sees itself too
    paths: list[NDArray[np.int64]] = [np.arange(trunk)] * len(rows)
    for block, (group, tree) in enumerate(zip(groups, trees, strict=True)):
        start, n = trunk + block * width, len(tree.ids)
        ids[start : start + n] = tree.ids
        positions[start : start + n] = tree.positions + trunk
        sees[block, 0, :n, trunk : trunk + n] = tree.sees
        for at, path in zip(group, tree.paths, strict=True):
            paths[at] = np.concatenate((paths[at], path + start))
    return Layout(ids=ids, positions=positions, sees=sees, paths=tuple(paths))


def tokens_read(rows: Sequence[Row], *, shared: bool) -> int:
    """Tokens that a model reads for a batch, padding included."""
    return len(lay_out(rows).ids) if shared else len(rows) * max(map(len, rows))


def bundles(rows: Sequence[Row]) -> list[list[int]]:
    """Indices of rows that are worth one tree: neighbours in alphabetical order that share half.

    A row joins the bundle of its predecessor when their common beginning is at least half of the
    shorter of the two.
    """
    out: list[list[int]] = []
    for at in sorted(range(len(rows)), key=lambda at: tuple(rows[at])):
        last = rows[out[-1][-1]] if out else ()
        if last and 2 * _common(last, rows[at]) >= min(len(last), len(rows[at])):
            out[-1].append(at)
        else:
            out.append([at])
    return out


def _common(one: Row, other: Row) -> int:
    for at, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return at
    return min(len(one), len(other))
