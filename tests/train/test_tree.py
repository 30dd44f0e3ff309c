"""Trees of rows: every row is read back from its path, and sees nothing but itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from misstep.train.tree import bundles, grow, lay_out

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


PAIRED = [
    [1, 2, 3, 4, 5, 6, 70],
    [1, 2, 3, 4, 5, 6, 71, 72],
    [1, 2, 3, 8, 9, 10, 80],
    [1, 2, 3, 8, 9, 10, 81],
]


def test_what_all_rows_share_is_the_trunk_and_pairs_are_blocks():
    layout = lay_out(PAIRED)
    assert layout.ids.tolist() == [1, 2, 3, 4, 5, 6, 70, 71, 72, 8, 9, 10, 80, 81, 0]
    assert layout.positions.tolist() == [0, 1, 2, 3, 4, 5, 6, 6, 7, 3, 4, 5, 6, 6, 0]
    assert layout.sees.shape == (2, 1, 6, 9)
    assert layout.sees[1, 0].astype(int).tolist() == [
        [1, 1, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 1, 1, 0, 1, 0],
        [1, 1, 1, 0, 0, 0, 0, 0, 1],
    ]


LONGER = st.lists(st.lists(st.integers(1, 3), min_size=2, max_size=9), min_size=1, max_size=7)


@given(LONGER)
def test_every_row_is_read_back_from_its_layout_at_its_positions(rows):
    layout = lay_out(rows)
    for row, path in zip(rows, layout.paths, strict=True):
        assert layout.ids[path].tolist() == row
        assert layout.positions[path].tolist() == list(range(len(row)))


@given(LONGER)
def test_a_token_of_a_layout_sees_exactly_the_beginning_of_its_row(rows):
    layout = lay_out(rows)
    blocks, _, width, seen = layout.sees.shape
    trunk = seen - width
    assert len(layout.ids) == trunk + blocks * width
    for path in layout.paths:
        assert path[:trunk].tolist() == list(range(trunk))
        for depth in range(trunk, len(path)):
            block, line = divmod(path[depth] - trunk, width)
            seen_here = layout.sees[block, 0, line].nonzero()[0]
            places = [at if at < trunk else at + block * width for at in seen_here.tolist()]
            assert places == sorted(path[: depth + 1].tolist())


def test_rows_that_share_half_of_the_shorter_are_bundled():
    assert bundles([[1, 2, 5, 5], [3, 4], [1, 2, 6], [3, 9, 9]]) == [[0, 2], [1, 3]]
    assert bundles([[1, 2, 3, 4, 5], [1, 2, 6, 7, 8]]) == [[0], [1]]
