"""Rows that share a beginning, laid out so that shared tokens are read once.

In: token rows. Out: a `Tree`: one sequence that holds every distinct beginning once, in the order
in which a walk through the rows' trie meets it. A token keeps the position it has in its rows and
sees its own ancestors only, so a model that honours both computes the same log-probabilities as on
separate rows. Rows without a common beginning are trees side by side in the same sequence, and
nothing is padded. `packed` parts the rows of a batch into several sequences under a token budget.
No weights and no model in here; the arithmetic is numpy.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Row = Sequence[int]
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A flattened trie of token rows; n is its number of tokens."""

    ids: Whole
    """[n] tokens, each before its descendants, which follow it without a gap."""
    positions: Whole
    """[n] depth of each token: its position in every row through it."""
    ends: Whole
    """[n] where the descendants of each token end: i attends to j when j <= i < ends[j]."""
    paths: tuple[Whole, ...]
    """For each input row: where its tokens lie in `ids`, in order."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a tree whose attention is worked out at once; all bounds are token indices."""

    start: int
    stop: int
    end: int
    """Tokens from `stop` to here see the whole stretch."""
    causal: bool
    """Within the stretch each token sees all before it; else `ends` says what it sees."""


def grow(rows: Sequence[Row]) -> Tree:
    """The tree of the rows; those without a common first token become separate trees."""
    arrays = [np.asarray(row, dtype=np.int64) for row in rows]
    order, shared = _sorted(rows)
    n = sum(len(arrays[at]) for at in order) - sum(shared)
    ids, positions = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    ends = np.full(n, n, dtype=np.int64)
    paths: list[Whole] = [np.zeros(0, dtype=np.int64)] * len(rows)
    path, filled = paths[0], 0
    for at, common in zip(order, shared, strict=True):
        ends[path[common:]] = filled
        stop = filled + len(arrays[at]) - common
        ids[filled:stop] = arrays[at][common:]
        positions[filled:stop] = range(common, len(arrays[at]))
        path = np.concatenate((path[:common], np.arange(filled, stop)))
        paths[at], filled = path, stop
    return Tree(ids=ids, positions=positions, ends=ends, paths=tuple(paths))


def _sorted(rows: Sequence[Row]) -> tuple[list[int], list[int]]:
    """Row indices in alphabetical order, and what each shares with the one before it."""
    keys = [tuple(row) for row in rows]
    order = sorted(range(len(rows)), key=keys.__getitem__)
    known = [common(keys[one], keys[other]) for one, other in itertools.pairwise(order)]
    return order, [0, *known][: len(rows)]


def sees(ends: Whole, start: int = 0, stop: int | None = None) -> NDArray[np.bool_]:
    """[m, m] for the tokens from `start` to `stop`: whether the row's attends to the column's."""
    at = np.arange(start, len(ends) if stop is None else stop)
    return (at[None, :] <= at[:, None]) & (at[:, None] < ends[None, at[0] : at[-1] + 1])


_BLOCK = 256
"""Tokens of subtrees that are worked out at once under a mask. On a CPU, for the steps of a session
and for pairs under common instructions, 64 to 512 take the same time within a fifth."""


def pieces(ends: Whole) -> list[Piece]:
    """The stretches of a tree: long unbranched runs, and blocks of what is small."""
    out: list[Piece] = []
    at, n = 0, len(ends)
    while at < n:
        stop = at
        while stop < n and ends[stop] - at <= _BLOCK:
            stop = int(ends[stop])
        if stop > at:
            out.append(Piece(at, stop, stop, causal=False))
        else:
            end = int(ends[at])
            stop = at + int(np.argmax(np.append(ends[at:end] != end, True)))
            out.append(Piece(at, stop, end, causal=True))
        at = stop
    return out


# --- several sequences under a budget ----------------------------------------------------------


def packed(rows: Sequence[Row], *, budget: int, shared: bool) -> list[list[int]]:
    """Indices of the rows of each sequence, none of more than `budget` tokens (0: one for all).

    Rows that share half of the shorter go together; the largest first, each to the sequence that
    is shortest with it (longest processing time), so that sequences are of much the same length.
    A single row over the budget is a sequence of its own.
    """
    everything = list(range(len(rows)))
    size = _measure(rows, shared) if budget > 0 else len
    if budget <= 0 or size(everything) <= budget:
        return [everything] if rows else []
    units = [part for unit in bundles(rows) for part in _halved(unit, size, budget)]
    units.sort(key=size, reverse=True)
    bins: list[list[int]] = [[] for _ in range(-(-size(everything) // budget))]
    for unit in units:
        together, at = min((size(group + unit), at) for at, group in enumerate(bins))
        if together <= budget or not bins[at]:
            bins[at] = bins[at] + unit
        else:
            bins.append(unit)
    return [sorted(group) for group in bins if group]


def _measure(rows: Sequence[Row], shared: bool) -> Callable[[list[int]], int]:
    """A function that gives the tokens of some of the rows; the rows are compared once."""
    order, known = _sorted(rows)
    place = {at: rank for rank, at in enumerate(order)}

    def size(group: list[int]) -> int:
        lengths = [len(rows[at]) for at in group]
        if not shared:
            return len(group) * max(lengths, default=0)
        ranks = sorted(place[at] for at in group)
        return sum(lengths) - sum(
            min(known[one + 1 : other + 1]) for one, other in itertools.pairwise(ranks)
        )

    return size


def _halved(unit: list[int], size: Callable[[list[int]], int], budget: int) -> list[list[int]]:
    if len(unit) == 1 or size(unit) <= budget:
        return [unit]
    half = len(unit) // 2
    return _halved(unit[:half], size, budget) + _halved(unit[half:], size, budget)


def tokens_read(rows: Sequence[Row], *, shared: bool) -> int:
    """Tokens that a model reads for rows that stand in one sequence, or in one padded batch."""
    return _measure(rows, shared)(list(range(len(rows))))


def bundles(rows: Sequence[Row]) -> list[list[int]]:
    """Indices of rows that belong together: neighbours in alphabetical order that share half.

    A row joins the bundle of its predecessor when their common beginning is at least half of the
    shorter of the two.
    """
    out: list[list[int]] = []
    for at, known in zip(*_sorted(rows), strict=True):
        last = rows[out[-1][-1]] if out else ()
        if last and 2 * known >= min(len(last), len(rows[at])):
            out[-1].append(at)
        else:
            out.append([at])
    return out


def common(one: Row, other: Row) -> int:
    """How many tokens two rows have in common at their beginning."""
    least = min(len(one), len(other))
    differs = np.asarray(one[:least]) != np.asarray(other[:least])
    return int(np.argmax(differs)) if differs.any() else least
