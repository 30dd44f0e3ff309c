"""Answers by several workers: those of one, whatever happens to the workers and to the driver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra")

import answerers
from asking import COUNT, Stage
from misstep import models, store
from misstep.errors import ModelError
from misstep.pipeline import answering
from misstep.pipeline.halfway import finished, halfway, path_of
from tiny import build_tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("answering") / "tiny")


@pytest.fixture
def stage(model, tmp_path):
    return Stage(tmp_path, model)


@pytest.fixture
def one(stage, monkeypatch):
    """What one worker answers, in this process."""
    monkeypatch.setattr(models, "work", answerers.noted)
    found = stage.ask("one")
    assert {pid for _, _, pid in stage.noted()} == {os.getpid()}
    return found


def test_two_workers_give_the_answers_of_one(stage, one, monkeypatch):
    monkeypatch.setattr(models, "work", answerers.together)
    assert stage.ask("two", **{"sample.workers": 2}) == one
    pids = {pid for _, _, pid in stage.noted()}
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert len(one) == COUNT
    assert all(each.greedy is not None and len(each.sampled) == 2 for each in one.values())


def test_who_answers_does_not_make_a_stage_another_one(stage, one):
    stage.ask("one", **{"sample.workers": 2, "sample.worker_cpus": 1})
    assert "answers base: unchanged, kept" in stage.said


def test_smaller_batches_than_asked_are_said_once(stage, monkeypatch):
    monkeypatch.setattr("misstep.models.room.ON_CPU", 1)
    stage.ask("one")
    said = [text for text in stage.said if "answers are generated together" in text]
    assert [text.split(":")[0] for text in said] == ["base"]


@pytest.mark.slow
def test_a_batch_whose_worker_is_killed_is_answered_by_another_one(stage, one, monkeypatch):
    monkeypatch.setattr(models, "work", answerers.dies_once)
    assert stage.ask("two", **{"sample.workers": 2}) == one
    assert (stage.model / "notes/died").exists()
    assert all(tries == 0 for _, tries, _ in stage.noted())


@pytest.mark.slow
def test_a_batch_that_kills_its_worker_twice_is_left_out_and_said(stage, one, monkeypatch):
    monkeypatch.setattr(models, "work", answerers.dies)
    found = stage.ask("two", **{"sample.workers": 2})
    lost = COUNT - len(found)
    assert 0 < lost < COUNT
    assert found == {prompt: one[prompt] for prompt in found}
    assert stage.said[-1] == (
        f"base: {lost} of {COUNT} prompts are not answered: "
        f"the process that answered it ended with signal 9"
    )
    assert stage.facts("two")["lost"] == lost
    assert stage.facts("two")["prompts"] == len(found)


def test_a_model_that_answers_nothing_is_told_and_nothing_is_kept(stage, monkeypatch):
    monkeypatch.setattr(models, "work", answerers.raises)
    monkeypatch.setattr(answering, "_HOPELESS", 1)
    with pytest.raises(ModelError, match=r"no prompt could be answered \(RuntimeError: out of"):
        stage.ask("two", **{"sample.batch_size": 64})
    assert not (stage.folder / "two/answers/base.parquet").exists()


def test_an_interrupted_stage_goes_on_where_it_was(stage, one, monkeypatch):
    monkeypatch.setattr(models, "work", answerers.interrupted)
    with pytest.raises(KeyboardInterrupt):
        stage.ask("cut")
    before = [batch for batch, _, _ in stage.noted()]
    kept = path_of(stage.folder / "cut/answers/base.parquet")
    with kept.open("ab") as file:
        file.write(b'0123 [[{"text": "half a li')  # as a kill would leave it
    monkeypatch.setattr(models, "work", answerers.noted)
    assert stage.ask("cut") == one
    after = [batch for batch, _, _ in stage.noted()]
    assert len(before) == 2
    assert after
    assert set(before).isdisjoint(after)
    assert not kept.exists()


@pytest.mark.slow
def test_a_driver_that_is_killed_is_gone_on_with(stage, one, monkeypatch):
    script = (
        "import sys; from pathlib import Path; import answerers; from asking import Stage\n"
        "from misstep import models; models.work = answerers.slow\n"
        "Stage(Path(sys.argv[1]), Path(sys.argv[2])).ask('cut')\n"
    )
    tests = str(Path(answerers.__file__).parent)
    env = {**os.environ, "PYTHONPATH": tests, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", script, str(stage.folder), str(stage.model)]
    driver = subprocess.Popen(words, env=env)
    kept = path_of(stage.folder / "cut/answers/base.parquet")
    end = time.monotonic() + 120
    while time.monotonic() < end and driver.poll() is None:
        if kept.exists() and kept.read_bytes().count(b"\n") >= 2:
            break
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    assert driver.wait() == -signal.SIGKILL
    done = kept.read_bytes().count(b"\n")
    monkeypatch.setattr(models, "work", answerers.noted)
    assert stage.ask("cut") == one
    total = len(stage.noted()) + done
    stage.ask("fresh")
    assert total == len(stage.noted())


def test_other_settings_take_nothing_that_was_kept(stage, one, monkeypatch):
    monkeypatch.setattr(models, "work", answerers.interrupted)
    with pytest.raises(KeyboardInterrupt):
        stage.ask("cut")
    monkeypatch.setattr(models, "work", answerers.noted)
    assert stage.ask("cut", **{"sample.temperature": 1.3}) != one
    greedy = [batch for batch, _, _ in stage.noted() if batch.startswith("1-")]
    sampled = [batch for batch, _, _ in stage.noted() if batch.startswith("2-")]
    assert (len(greedy), len(sampled)) == (0, 3)  # greedy answers have no temperature


def test_what_is_kept_comes_back_until_the_output_is_whole(tmp_path):
    output = tmp_path / "answers/base.parquet"
    with halfway(output) as kept:
        kept.add("a", b"[1]")
        kept.add("b", b"[2]")
    with path_of(output).open("ab") as file:
        file.write(b"c [3")
    with halfway(output) as kept:
        assert kept.found == {"a": b"[1]", "b": b"[2]"}
        kept.add("d", b"[4]")
    with halfway(output) as kept:
        assert kept.found == {"a": b"[1]", "b": b"[2]", "d": b"[4]"}
    finished(output)
    with halfway(output) as kept:
        assert kept.found == {}


def test_what_is_kept_halfway_goes_with_a_forgotten_session(tmp_path):
    from misstep.pipeline.forgetting import _leftovers

    with halfway(tmp_path / "answers/base.parquet") as kept:
        kept.add("a", b"[1]")
    assert [path.name for path in _leftovers(tmp_path)] == [".base.parquet.halfway.part"]
    assert store.RunFolder(tmp_path / "answers").foreign() is None
