import errno
import json

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


def _earlier(folder, state):
    """A folder as versions wrote it that named the state `state.json`."""
    (folder / "state.json").write_text(json.dumps(state))
    return store.RunFolder(folder)


ENTRY = {"key": "k", "outputs": [], "facts": {"n": 1}}


@pytest.mark.parametrize("write", [store.RunFolder.open, store.RunFolder.adopt])
def test_the_state_of_an_earlier_version_is_read_and_gets_todays_name(tmp_path, write):
    run = _earlier(tmp_path, {"scan": ENTRY})
    assert run.begun
    assert run.foreign() is None
    assert run.facts("scan", "k") == {"n": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]  # reading renames nothing
    write(run)
    assert [path.name for path in tmp_path.iterdir()] == ["stages.json"]
    assert run.facts("scan", "k") == {"n": 1}


def test_a_stage_that_finishes_renames_the_state_too_and_the_later_one_counts(tmp_path):
    run = _earlier(tmp_path, {"scan": ENTRY})
    run.finish("mine", "k", outputs=[], facts={})
    assert [path.name for path in tmp_path.iterdir()] == ["stages.json"]
    assert set(run.stages()) == {"scan", "mine"}
    _earlier(tmp_path, {"scan": {**ENTRY, "key": "anew"}})  # such a version worked here again
    assert run.stages()["scan"]["key"] == "anew"
    run.forget(["scan"])
    assert [path.name for path in tmp_path.iterdir()] == ["stages.json"]
    assert run.stages() == {}


def test_the_state_of_a_dataset_that_was_saved_is_never_touched(tmp_path):
    saved = {"_data_files": [{"filename": "data.arrow"}], "_fingerprint": "f", "_split": None}
    run = _earlier(tmp_path, saved)
    assert not run.begun
    assert run.foreign() == "state.json"
    assert run.entry("_fingerprint") is None
    for write in (run.adopt, run.open, lambda: run.finish("scan", "k", outputs=[], facts={})):
        write()
        assert json.loads((tmp_path / "state.json").read_text()) == saved


def test_only_the_process_that_writes_renames_the_state(tmp_path, monkeypatch):
    run = _earlier(tmp_path, {"scan": ENTRY})
    monkeypatch.setenv("RANK", "1")
    run.open()
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    assert run.facts("scan", "k") == {"n": 1}


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
