"""Parquet in and out, a few rows in memory at a time."""

from __future__ import annotations

import contextlib
import errno

import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misstep import store
from misstep.errors import InputError, StageError
from misstep.store import tables

SIDE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant"]), "content": st.text(max_size=5)},
    optional={
        "tool_calls": st.lists(
            st.fixed_dictionaries({"id": st.text(max_size=3)}, optional={"name": st.text()}),
            max_size=2,
        )
    },
)
ROW = st.fixed_dictionaries(
    {"id": st.text(max_size=4), "prompt": st.lists(SIDE, max_size=3)},
    optional={"margin": st.one_of(st.none(), st.floats(0, 1)), "exact": st.none() | st.text()},
)


def bare(value):
    """Without the null members that a table adds."""
    if isinstance(value, dict):
        return {key: bare(each) for key, each in value.items() if each is not None}
    return [bare(each) for each in value] if isinstance(value, list) else value


@given(rows=st.lists(ROW, min_size=1, max_size=12), group=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_rows_that_come_in_parts_of_other_shapes_are_one_table(rows, group, tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "rows.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_GROUP", group)
        assert store.write_rows(path, iter(rows)) == len(rows)
        kept = store.read_rows(path)
        streamed = list(store.read_stream(path, ("id",)))
    assert bare(kept) == bare(rows)
    assert streamed == [(row["id"],) for row in rows]
    assert [p.name for p in path.parent.iterdir()] == ["rows.parquet"]


def test_whole_numbers_and_fractions_in_different_parts_share_a_column(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_GROUP", 1)
    store.write_rows(tmp_path / "a.parquet", [{"x": 1, "y": "a"}, {"x": 0.5, "y": None}])
    assert polars.read_parquet(tmp_path / "a.parquet")["x"].to_list() == [1.0, 0.5]


def test_a_full_disk_is_told_and_leaves_the_old_table(tmp_path, monkeypatch):
    path = tmp_path / "rows.parquet"
    columns = {"id": "text", "n": "number"}
    store.stream_rows(path, [{"id": "a", "n": 1}], columns)

    def full(self, data):
        self.fault = OSError(errno.ENOSPC, "No space left on device")
        raise self.fault

    monkeypatch.setattr(tables._Out, "write", full)
    for write in (
        lambda: store.stream_rows(path, [{"id": "b", "n": 2}], columns),
        lambda: store.write_rows(path, [{"id": "b"}]),
    ):
        with pytest.raises(StageError, match="No space left on device"):
            write()
    assert store.read_rows(path) == [{"id": "a", "n": 1}]
    assert [p.name for p in tmp_path.iterdir()] == ["rows.parquet"]


def test_what_the_rows_raise_is_raised_and_leaves_nothing(tmp_path):
    def rows():
        yield {"id": "a"}
        raise KeyError("mine")

    for write in (
        lambda path: store.stream_rows(path, rows(), {"id": "text"}),
        lambda path: store.write_rows(path, rows()),
    ):
        with pytest.raises(KeyError, match="mine"):
            write(tmp_path / "rows.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_table_without_rows_has_its_columns(tmp_path):
    store.stream_rows(tmp_path / "a.parquet", [], {"id": "text", "tags": "texts"})
    store.write_rows(tmp_path / "b.parquet", [], columns=("id", "prompt"))
    assert polars.read_parquet(tmp_path / "a.parquet").columns == ["id", "tags"]
    assert polars.read_parquet(tmp_path / "b.parquet").columns == ["id", "prompt"]


def test_a_column_of_another_version_says_to_mine_again(tmp_path):
    path = tmp_path / "sessions.parquet"
    store.write_rows(path, [{"id": "a"}])
    with pytest.raises(InputError) as told:
        list(store.read_stream(path, ("id", "facts")))
    assert str(told.value) == (
        f"{path}: no column facts; another version of misstep wrote it, mine the logs again"
    )


def test_one_row_is_read_by_its_place_or_by_a_value(tmp_path):
    path = tmp_path / "rows.parquet"
    store.write_rows(path, [{"id": "a", "n": 1}, {"id": "b", "n": 2}])
    assert store.read_slice(path, 1, 1) == [{"id": "b", "n": 2}]
    assert store.find_row(path, "id", "b") == {"id": "b", "n": 2}
    assert store.find_row(path, "id", "c") is None


READS = {
    "read_rows": store.read_rows,
    "read_slice": lambda path: store.read_slice(path, 0, 10),
    "read_stream": lambda path: list(store.read_stream(path, ("id", "n"))),
    "find_row": lambda path: store.find_row(path, "id", "b"),
    "columns_of": store.columns_of,
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("size", [0, 4, 100, -1])
def test_a_table_that_was_cut_off_is_named_with_what_to_do(tmp_path, name, size):
    path = tmp_path / "rows.parquet"
    store.write_rows(path, [{"id": str(n), "n": n} for n in range(500)])
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError) as told:
        READS[name](path)
    assert str(told.value).startswith(f"{path}: no whole Parquet file (")
    assert str(told.value).endswith("copy it again, or remove it and run the command that made it")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_table_is_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "rows.parquet"
    store.write_rows(path, [{"id": str(n), "n": n} for n in range(50)])
    held = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(held) - 1), min_size=1, max_size=4)):
        held[place] = data.draw(st.integers(0, 255))
    path.write_bytes(held)
    for read in READS.values():
        with contextlib.suppress(InputError):  # and nothing else is raised
            read(path)
