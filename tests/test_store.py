import errno

import pytest

from misstep import store
from misstep.errors import InputError, StageError
from misstep.types import Origin, SetAside


def row(n):
    return SetAside(origin=Origin(file="f", format="x", line=n), reason="not-json", said="bad")


def test_a_file_is_complete_or_absent(tmp_path):
    path = tmp_path / "rows.jsonl"

    def rows():
        yield row(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.write_jsonl(path, rows())
    assert list(tmp_path.iterdir()) == []


def test_jsonl_round_trips(tmp_path):
    path = tmp_path / "rows.jsonl"
    assert store.write_jsonl(path, [row(1), row(2)]) == 2
    assert store.read_jsonl(path, SetAside) == [row(1), row(2)]


def test_an_empty_table_keeps_its_columns(tmp_path):
    path = tmp_path / "rows.parquet"
    store.write_rows(path, [], columns=("a", "b"))
    assert store.read_rows(path) == []


def test_a_full_disk_is_a_stage_error_that_says_what_to_do(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(StageError, match="free some space"), store.replacing(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not path.exists()


def test_an_absent_table_names_the_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        store.read_rows(tmp_path / "none.parquet")


def test_a_stage_is_finished_only_with_its_key_and_its_outputs(tmp_path):
    run = store.RunFolder(tmp_path)
    (tmp_path / "out").write_text("x")
    run.finish("scan", "k1", outputs=["out"], facts={"n": 1})
    assert run.facts("scan", "k1") == {"n": 1}
    assert run.facts("scan", "k2") is None
    (tmp_path / "out").unlink()
    assert run.facts("scan", "k1") is None


def test_a_row_that_breaks_its_schema_names_the_place():
    with pytest.raises(StageError, match=r"a set-aside row breaks schemas/set-aside\.json"):
        store.check_row({"reason": 3}, "set-aside")


def test_keys_follow_content():
    assert store.key_of({"a": 1, "b": 2}) == store.key_of({"b": 2, "a": 1})
    assert store.key_of(["ab"]) != store.key_of(["a", "b"])


def test_a_folder_digest_follows_names_and_bytes(tmp_path):
    (tmp_path / "a").write_text("1")
    first = store.file_digest(tmp_path)
    (tmp_path / "a").write_text("2")
    assert store.file_digest(tmp_path) != first
