"""Which folders become a run folder, which are refused untouched, and what is said of others."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from logs import mixed
from misstep import api, store
from misstep.cli import main
from misstep.config import load_config
from misstep.errors import InputError, StageError
from misstep.pipeline.kept import corpus_of

CONFIG = load_config(None, {})


@pytest.fixture
def log(tmp_path):
    return mixed(tmp_path / "log.jsonl", 6)


def mine(log, folder, **more):
    return api.mine([log], folder, CONFIG, resample=False, **more)


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.parametrize(
    "name",
    ["README.md", "config.yaml", "pairs/train.parquet", "stages.json", "state.json", "notes.txt"],
)
def test_a_folder_with_files_of_somebody_else_is_refused_as_it_is(tmp_path, log, name):
    folder = tmp_path / "own"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text('{"mine": 1}\n')
    before = sorted(folder.rglob("*"))
    got = call("mine", log, "-o", folder)
    assert got.exit_code == 2
    assert f"{folder}: holds {name.partition('/')[0]} and no stages.json of misstep" in got.stderr
    assert got.stderr.endswith("choose a new or empty folder\n")
    assert sorted(folder.rglob("*")) == before
    assert (folder / name).read_text() == '{"mine": 1}\n'


def test_new_empty_and_mined_folders_are_taken(tmp_path, log):
    (tmp_path / "empty").mkdir()
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / ".gitkeep").touch()
    for name in ("new/below", "empty", "hidden"):
        first = mine(log, tmp_path / name)
        assert mine(log, tmp_path / name)["pairs"] == first["pairs"] > 0


@pytest.mark.parametrize("where", ["job.dump_config", "loop.scan_stage"])
def test_a_first_run_that_ended_early_is_gone_on_with(tmp_path, log, monkeypatch, where):
    def full(*_):
        raise StageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(f"misstep.pipeline.{where}", full)
        with pytest.raises(StageError):
            mine(log, tmp_path / "run")
    assert not (tmp_path / "run" / "sessions.parquet").exists()
    assert mine(log, tmp_path / "run")["pairs"] > 0


def test_a_run_folder_that_lost_its_state_is_scanned_again(tmp_path, log):
    first = mine(log, tmp_path / "run")
    (tmp_path / "run" / "stages.json").unlink()
    assert mine(log, tmp_path / "run")["pairs"] == first["pairs"]


def test_mining_into_the_logs_leaves_them_as_they_are(tmp_path, log):
    for folder in (tmp_path, tmp_path / "below"):
        got = call("mine", tmp_path, "-o", folder)
        assert got.exit_code == 2
        assert f"{folder}: lies inside the logs" in got.stderr
    assert list(tmp_path.iterdir()) == [log]


def test_training_on_what_is_no_run_folder_says_what_the_plan_says(tmp_path, log):
    pytest.importorskip("torch", reason="training needs the train extra")
    for folder in (tmp_path / "none", log):
        planned = call("train", folder, "--dry-run")
        trained = call("train", folder)
        assert (planned.exit_code, trained.exit_code) == (2, 2), trained.stderr
        assert trained.stderr == planned.stderr
        assert "pairs/train.parquet: no such file" in trained.stderr
    assert list(tmp_path.iterdir()) == [log]
    with pytest.raises(InputError, match="is the folder a finished misstep run"):
        corpus_of(store.RunFolder(tmp_path / "none"))


def test_pairs_of_other_logs_are_not_replaced_in_silence(tmp_path, log):
    said, folder = [], tmp_path / "pairs"
    other = mixed(tmp_path / "other.jsonl", 9)
    mine(log, folder, say=said.append)
    mine(log, folder, say=said.append)
    with log.open("a") as out:  # the same logs, grown
        out.write(json.dumps({"messages": [{"role": "user", "content": "x"}]}) + "\n")
    mine(log, folder, say=said.append)
    api.mine([log, other], folder, CONFIG, resample=False, say=said.append)
    assert not [line for line in said if "other logs" in line]
    mine(other, folder, say=said.append)
    assert said.count(f"{folder}: held pairs of other logs (other paths); it is made anew") == 1
    assert str(tmp_path) not in (folder / "stages.json").read_text()
