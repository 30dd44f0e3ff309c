"""A folder that is written by one process of misstep at a time, and what a killed one leaves."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from logs import mixed
from misstep import api, store
from misstep.cli import main
from misstep.config import load_config
from misstep.errors import InUse
from misstep.pipeline.remembered import held

fcntl = pytest.importorskip("fcntl")
CONFIG = load_config(None, {})
HOLDER = """
import sys, time
from pathlib import Path
from misstep import store
with store.working(Path(sys.argv[1]), new=True):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def log(tmp_path):
    return mixed(tmp_path / "log.jsonl", 6)


@pytest.fixture
def folder(tmp_path, log):
    """A mined folder."""
    mine(log, tmp_path / "run")
    return tmp_path / "run"


def mine(log, folder, **more):
    return api.mine([log], folder, CONFIG, resample=False, **more)


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def everything(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files}


def started(folder):
    """Another process that works in the folder."""
    words = [sys.executable, "-c", HOLDER, str(folder)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_all_that_write_are_told_that_another_works_there(folder, log):
    before = everything(folder)
    with store.working(folder):
        for words in (
            ("mine", log, "-o", folder),
            ("train", folder),
            ("forget", folder, "--session", "x"),
        ):
            got = call(*words)
            assert got.exit_code == 2, words
            said = f"another misstep works in {folder}; wait for it or name another folder"
            assert got.stderr == f"misstep: {said}\n"
        assert call("lint", folder).exit_code == 0  # who reads alone need not wait
        assert {*everything(folder)} == {*before, Path(store.LOCK)}
    assert everything(folder) == before


def test_a_run_and_a_measurement_wait_too(folder, log, monkeypatch):
    pytest.importorskip("torch", reason="training needs the train extra")
    with store.working(folder):
        for words in (("run", log, "-o", folder, "--model", "smollm2"), ("eval", folder)):
            monkeypatch.setattr("misstep.pipeline.checks.check_run", lambda config: None)
            got = call(*words)
            assert (got.exit_code, got.stderr.count("\n")) == (2, 1), got.stderr
            assert f"another misstep works in {folder}" in got.stderr


def test_a_part_of_a_run_is_held_with_its_run(folder):
    part = folder / "rft"
    store.RunFolder(part).open()
    with store.working(folder), pytest.raises(InUse, match="works in"):
        api.train(part, CONFIG)


def test_two_that_begin_in_one_new_folder_do_not_mix(tmp_path, log):
    other, out = mixed(tmp_path / "other.jsonl", 9), tmp_path / "race"
    told, inside = [], threading.Event()

    def progress(label, done, total):
        if not inside.is_set():
            inside.set()
            told.append(call("mine", other, "-o", out).stderr)

    whole = mine(log, tmp_path / "alone")
    assert mine(log, out, progress=progress)["pairs"] == whole["pairs"]
    assert told == [
        f"misstep: another misstep works in {out}; wait for it or name another folder\n"
    ]
    assert mine(other, out)["pairs"] > whole["pairs"]


def test_a_killed_process_leaves_nothing_locked(tmp_path, log):
    folder = tmp_path / "run"
    process = started(folder)
    assert "another misstep works in" in call("mine", log, "-o", folder).stderr
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (folder / store.LOCK).exists()
    assert mine(log, folder)["pairs"] > 0
    assert not (folder / store.LOCK).exists()


def test_an_error_or_a_stop_leaves_nothing_locked(tmp_path):
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), store.working(tmp_path):
            raise error
    with store.working(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_refused_is_left_as_it_is(tmp_path, log):
    own = tmp_path / "own"
    own.mkdir()
    (own / "notes.txt").write_text("mine\n")
    for words in (("train", own), ("forget", own, "--session", "x"), ("mine", log, "-o", own)):
        assert call(*words).exit_code == 2
        assert [path.name for path in own.iterdir()] == ["notes.txt"]
    assert call("train", tmp_path / "none").exit_code == 2
    assert not (tmp_path / "none").exists()


def test_of_processes_that_train_together_the_first_alone_holds_the_folder(folder, monkeypatch):
    with store.working(folder):
        monkeypatch.setenv("RANK", "1")
        with store.working(folder):
            pass
        assert (folder / store.LOCK).exists()
        monkeypatch.setenv("RANK", "0")
        with pytest.raises(InUse), store.working(folder):
            pass


def test_a_lock_that_was_removed_while_it_was_waited_for_is_not_taken_for_one(tmp_path):
    path = tmp_path / store.LOCK
    stale = store.take(path)
    path.unlink()
    with store.working(tmp_path):  # nobody else can open the stale file any more
        assert store.take(path) is None
    os.close(stale)


@pytest.mark.parametrize("number", ["ENOLCK", "EOPNOTSUPP"])
def test_where_the_place_knows_no_locks_nobody_is_kept_out(tmp_path, monkeypatch, number):
    def flock(handle, how):
        raise OSError(getattr(errno, number), "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    with store.working(tmp_path), store.working(tmp_path):
        pass
    with held(tmp_path / "state"), held(tmp_path / "state"):
        pass


@pytest.mark.slow
def test_of_two_processes_that_are_started_together_none_waits_for_ever(tmp_path, folder):
    pytest.importorskip("torch", reason="training needs the train extra")
    from tiny import build_tiny

    model = str(build_tiny(tmp_path / "tiny"))
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    launch += ["--main_process_port", "0", "--multi_gpu", "-m", "misstep", "train", str(folder)]
    env = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    with store.working(folder):
        done = subprocess.run(
            [*launch, "--model", model], capture_output=True, text=True, env=env, timeout=180
        )
    assert done.returncode != 0
    assert done.stderr.count(f"misstep: another misstep works in {folder}") == 1
    assert not (folder / "adapter").exists()
