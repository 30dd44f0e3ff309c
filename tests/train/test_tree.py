"""Trees of rows: every row is read back from its path, and sees nothing but itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from misstep.train.tree import group, grow

ROWS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=6)


def test_a_pair_shares_its_prompt_and_the_beginning_of_its_sides():
    tree = grow([[7, 8, 1, 2], [7, 8, 1, 3, 4]])
    assert tree.ids.tolist() == [7, 8, 1, 2, 3, 4]
    assert tree.positions.tolist() == [0, 1, 2, 3, 3, 4]
    assert [path.tolist() for path in tree.paths] == [[0, 1, 2, 3], [0, 1, 2, 4, 5]]
    assert tree.sees.astype(int).tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 0, 1, 0],
        [1, 1, 1, 0, 1, 1],
    ]


@given(ROWS)
def test_every_row_is_read_back_from_its_path(rows):
    tree = grow(rows)
    assert [tree.ids[path].tolist() for path in tree.paths] == rows


@given(ROWS)
def test_a_token_sees_exactly_the_beginning_of_its_row(rows):
    tree = grow(rows)
    for path in tree.paths:
        for depth, node in enumerate(path):
            assert tree.sees[node].nonzero()[0].tolist() == sorted(path[: depth + 1].tolist())
            assert tree.positions[node] == depth


@given(ROWS)
def test_no_beginning_is_read_twice(rows):
    beginnings = {tuple(row[: n + 1]) for row in rows for n in range(len(row))}
    assert len(grow(rows).ids) == len(beginnings)


def test_rows_with_one_prompt_go_into_one_tree():
    assert group([[1, 2, 5], [1, 3, 5], [1, 2, 6]], [2, 2, 2]) == [[0, 2], [1]]
