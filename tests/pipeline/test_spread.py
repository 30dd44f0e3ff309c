"""Mining over several processes: the same files, byte for byte, whatever happens to a worker."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import working
from mining_scans import CONFIG, mined, scanned, timers_in
from misstep import mine
from misstep.pipeline import dealt, spreading
from misstep.pipeline.funnel import funnel
from samples import LOGS

CORPUS = os.environ.get("MISSTEP_CORPUS")
ENDS = (
    *("heldout_failed", "paired_failures", "unpaired_failures", "repeated_failures"),
    *("left_out", "crashed_failures"),
)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Parcels of a few sessions, and no logs too small to be spread."""
    monkeypatch.setattr(spreading, "WORTH", 0)
    monkeypatch.setattr(dealt, "PARCEL", 3_000)


@pytest.fixture(scope="module")
def timers(tmp_path_factory):
    return timers_in(tmp_path_factory.mktemp("timers"))


@pytest.fixture(scope="module")
def alone(timers, tmp_path_factory):
    """What one process makes of them."""
    return mined(timers, tmp_path_factory.mktemp("alone"), 1)


def forbid(monkeypatch):
    """Let this process neither ask a source nor make a row."""

    def never(*_):
        raise AssertionError("this process was to mine nothing")

    monkeypatch.setattr("misstep.mine.find.Here.first", never)
    monkeypatch.setattr(mine.Maker, "rows", never)


@pytest.mark.parametrize("workers", [2, 3])
def test_several_processes_write_what_one_writes(workers, timers, alone, tmp_path, monkeypatch):
    forbid(monkeypatch)
    assert alone[0]["pairs"] > 5
    assert alone[0]["unpaired"] > 0
    assert mined(timers, tmp_path, workers) == alone


@pytest.mark.parametrize("size", [1, 10_000_000])
def test_the_size_of_a_parcel_changes_nothing(size, timers, alone, tmp_path, monkeypatch):
    monkeypatch.setattr(dealt, "PARCEL", size)
    assert mined(timers, tmp_path, 2) == alone


@pytest.mark.parametrize("kind", ["frequent", "random"])
def test_hard_negatives_come_in_the_same_order(kind, timers, tmp_path):
    config = replace(CONFIG, mine=replace(CONFIG.mine, hard_negatives=kind))
    one = mined(timers, tmp_path / "one", 1, config)
    assert mined(timers, tmp_path / "two", 2, config) == one


def test_all_sample_logs_are_mined_alike(tmp_path):
    scan = scanned([LOGS], tmp_path / "run")
    one = mined(scan, tmp_path / "one", 1)
    assert one[0]["candidates"] > 50
    assert mined(scan, tmp_path / "two", 2) == one


@pytest.mark.skipif(CORPUS is None, reason="MISSTEP_CORPUS does not name the shared logs")
@pytest.mark.parametrize("name", ["tau-bench", "claude-code", "vcr"])
def test_real_logs_are_mined_alike(name, tmp_path):
    scan = scanned([Path(CORPUS) / "logs" / name], tmp_path / "run")
    one = mined(scan, tmp_path / "one", 1)
    assert one[0]["failed_steps"] > 0
    assert mined(scan, tmp_path / "two", 2) == one


def test_what_a_person_decided_is_heard_by_the_workers(timers, alone, tmp_path):
    words = zip(alone[2], ("drop", "swap", "drop"), strict=False)
    lines = [json.dumps({"pair": row["id"], "decision": word}) for row, word in words]
    (timers.path / mine.DECISIONS).write_text("\n".join(lines) + "\n")
    try:
        two, one = mined(timers, tmp_path / "two", 2), mined(timers, tmp_path / "one", 1)
    finally:
        (timers.path / mine.DECISIONS).unlink()
    assert one[0]["refused"]["REVIEWED_OUT"] == 2
    assert two == one != alone


def deadly(monkeypatch, folder, what, name=""):
    """Workers that die on the session of this name, or once where there is none."""
    monkeypatch.setattr(spreading, "work", partial(working.mines, (str(folder), what, name)))


@pytest.mark.parametrize("what", ["look", "make"])
def test_a_worker_that_is_killed_loses_and_doubles_nothing(
    what, timers, alone, tmp_path, monkeypatch
):
    deadly(monkeypatch, tmp_path, what)
    found = mined(timers, tmp_path / "run", 2)
    assert (tmp_path / "seen").exists()
    assert found == alone


@pytest.mark.parametrize("what", ["look", "make"])
def test_a_session_that_kills_every_worker_is_told_apart_and_counted(
    what, timers, alone, tmp_path, monkeypatch
):
    name = alone[2][0]["session"]
    deadly(monkeypatch, tmp_path, what, name)
    facts, files, _ = mined(timers, tmp_path / "run", 2)
    lost = [json.loads(line) for line in files["refused.jsonl"].splitlines()]
    lost = [row for row in lost if row["reason"] == mine.CRASHED]
    assert facts["crashed_failures"] == facts["refused"][mine.CRASHED] == len(lost) > 0
    assert "ended with signal 9" in lost[0]["said"]
    assert facts["failed_steps"] == sum(facts[end] for end in ENDS)
    assert facts["candidates"] == facts["pairs"] + sum(facts["refused"].values())
    written = [row for file, data in files.items() if "jsonl" in file for row in data.splitlines()]
    assert not any(json.loads(row).get("session") == name for row in written)
    text = "\n".join(funnel(facts, tmp_path / "run"))
    assert f"{-len(lost):7}   mining its session ended a process" in text


def test_little_is_mined_by_one_process(timers, alone, tmp_path, monkeypatch):
    def never(*_):
        raise AssertionError("no worker was to be started")

    monkeypatch.setattr(spreading, "WORTH", 10_000)
    monkeypatch.setattr(spreading, "Engine", never)
    assert mined(timers, tmp_path, 2) == alone
