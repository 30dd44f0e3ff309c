"""Trees of rows: every row is read back from its path, and sees nothing but itself."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from misstep.train import tree as trees
from misstep.train.tree import bundles, grow, packed, pieces, sees, tokens_read

ROWS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=9), min_size=1, max_size=7)


def test_a_pair_shares_its_prompt_and_the_beginning_of_its_sides():
    tree = grow([[7, 8, 1, 3, 4], [7, 8, 1, 2]])
    assert tree.ids.tolist() == [7, 8, 1, 2, 3, 4]
    assert tree.positions.tolist() == [0, 1, 2, 3, 3, 4]
    assert tree.ends.tolist() == [6, 6, 6, 4, 6, 6]
    assert [path.tolist() for path in tree.paths] == [[0, 1, 2, 4, 5], [0, 1, 2, 3]]
    assert sees(tree.ends).astype(int).tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 0, 1, 0],
        [1, 1, 1, 0, 1, 1],
    ]


@given(ROWS)
def test_every_row_is_read_back_from_its_path_at_its_positions(rows):
    tree = grow(rows)
    for row, path in zip(rows, tree.paths, strict=True):
        assert tree.ids[path].tolist() == row
        assert tree.positions[path].tolist() == list(range(len(row)))


@given(ROWS)
def test_a_token_sees_exactly_the_beginning_of_its_row(rows):
    tree = grow(rows)
    seen = sees(tree.ends)
    for path in tree.paths:
        for depth, node in enumerate(path):
            assert seen[node].nonzero()[0].tolist() == path[: depth + 1].tolist()


@given(ROWS)
def test_no_beginning_is_read_twice_and_nothing_is_padded(rows):
    beginnings = {tuple(row[: n + 1]) for row in rows for n in range(len(row))}
    assert len(grow(rows).ids) == len(beginnings) == tokens_read(rows, shared=True)


def test_sessions_of_other_agents_stand_side_by_side():
    tree = grow([[1, 2, 3, 4], [5, 6, 7], [1, 2, 3, 9]])
    assert tree.ids.tolist() == [1, 2, 3, 4, 9, 5, 6, 7]
    assert tree.ends.tolist() == [5, 5, 5, 4, 5, 8, 8, 8]


@given(ROWS, st.integers(1, 9))
def test_the_pieces_of_a_tree_cover_what_each_token_sees_once(rows, block):
    ends = grow(rows).ends
    before, trees._BLOCK = trees._BLOCK, block
    try:
        found = pieces(ends)
    finally:
        trees._BLOCK = before
    covered = np.zeros((len(ends), len(ends)), dtype=int)
    for piece in found:
        own = slice(piece.start, piece.stop)
        inside = sees(ends, piece.start, piece.stop)
        if piece.causal:
            assert (inside == np.tri(len(inside), dtype=bool)).all()
        covered[own, own] += inside
        covered[piece.stop : piece.end, own] += 1
    assert (covered == sees(ends)).all()
    assert [piece.start for piece in found[1:]] == [piece.stop for piece in found[:-1]]


@given(ROWS, st.integers(1, 30), st.booleans())
def test_packed_rows_come_once_each_in_sequences_within_the_budget(rows, budget, shared):
    groups = packed(rows, budget=budget, shared=shared)
    assert sorted(at for group in groups for at in group) == list(range(len(rows)))
    for group in groups:
        size = tokens_read([rows[at] for at in group], shared=shared)
        assert size <= budget or len(group) == 1


def test_sequences_are_of_much_the_same_length_and_keep_together_what_shares():
    rows = [[at, *range(100, 100 + 40 + at), side] for at in range(8) for side in (1, 2)]
    groups = packed(rows, budget=200, shared=True)
    sizes = [tokens_read([rows[at] for at in group], shared=True) for group in groups]
    assert len(groups) == 2
    assert max(sizes) - min(sizes) <= 8
    assert all({at ^ 1 for at in group} == set(group) for group in groups)
    assert packed(rows, budget=0, shared=True) == [list(range(16))]


def test_rows_that_share_half_of_the_shorter_are_bundled():
    assert bundles([[1, 2, 5, 5], [3, 4], [1, 2, 6], [3, 9, 9]]) == [[0, 2], [1, 3]]
    assert bundles([[1, 2, 3, 4, 5], [1, 2, 6, 7, 8]]) == [[0], [1]]
