"""Mining on Ray: two nodes without a folder in common write what one process writes."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial

import pytest

import working
from clusters import two_nodes
from mining_scans import CONFIG, mined, scanned, timers_in
from misstep import mine
from misstep.pipeline import dealt, spreading
from samples import LOGS

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

ON_RAY = replace(CONFIG, ingest=replace(CONFIG.ingest, engine="ray"))


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one core each, and a connection to them."""
    with two_nodes() as made:
        yield made


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Parcels of a few sessions, and no logs too small to be spread."""
    monkeypatch.setattr(spreading, "WORTH", 0)
    monkeypatch.setattr(dealt, "PARCEL", 3_000)


@pytest.mark.parametrize("name", ["openai-chat", "tau-bench", "claude-code"])
def test_two_nodes_write_what_one_process_writes(name, cluster, tmp_path, monkeypatch):
    scan = scanned([LOGS / name], tmp_path / "run")
    one = mined(scan, tmp_path / "one", 1)
    monkeypatch.setattr("misstep.mine.find.Here.first", None)
    assert mined(scan, tmp_path / "two", 1, ON_RAY) == one
    assert one[0]["candidates"] > 0


def test_a_process_that_is_killed_on_a_node_loses_and_doubles_nothing(
    cluster, tmp_path, monkeypatch
):
    scan = timers_in(tmp_path)
    one = mined(scan, tmp_path / "one", 1)
    dying = partial(working.mines, (str(tmp_path), "look", ""))
    monkeypatch.setattr(spreading, "work", dying)
    assert mined(scan, tmp_path / "two", 1, ON_RAY) == one
    assert (tmp_path / "seen").exists()
    assert one[0]["pairs"] > 5


def test_a_session_that_kills_every_process_is_told_apart_and_counted(
    cluster, tmp_path, monkeypatch
):
    scan = timers_in(tmp_path)
    one = mined(scan, tmp_path / "one", 1)
    name = min(row["session"] for row in one[2])
    dying = partial(working.mines, (str(tmp_path), "look", name))
    monkeypatch.setattr(spreading, "work", dying)
    facts, _, pairs = mined(scan, tmp_path / "two", 1, ON_RAY)
    assert facts["refused"][mine.CRASHED] > 0
    assert 0 < len(pairs) < len(one[2])
    assert not any(row["session"] == name for row in pairs)
    assert os.path.exists(tmp_path / "seen")
