"""A scan that lies in a run folder gives the pairs that a scan in memory gives."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from misstep import mine, store, validate
from misstep.config import load_config
from misstep.errors import InputError
from misstep.pipeline import mining
from misstep.pipeline.job import Job
from misstep.pipeline.kept import corpus_of, scan_stage
from misstep.pipeline.scan import scan
from misstep.pipeline.shelf import Findings, Sessions, Shelf

ROOT = Path(__file__).parents[2]
CORPUS = os.environ.get("MISSTEP_CORPUS")
CONFIG = load_config(None, {"mine.sources": ["retry", "sibling", "human", "repair"]})


def pairs_of(known, split):
    settings = validate.settings(CONFIG.validate)
    found = mine.mine(known, split=split, config=CONFIG.mine, settings=settings)
    kept = mine.accepted_steps(known, split, 50, 1), mine.resample_prompts(known, split, 50, 1)
    return found, kept


def both(logs, folder):
    """What is mined from memory, and from a folder."""
    held = mining.corpus(scan([logs], CONFIG))
    job = Job(store.RunFolder(folder), CONFIG)
    lying = scan_stage(job, [logs])
    split = mine.split(held.sessions, CONFIG.mine, 0)
    assert mining.families(job, lying) == split
    return pairs_of(held, split), pairs_of(lying, split), lying


@pytest.mark.source
@pytest.mark.parametrize("name", ["openai-chat", "claude-code", "tau-bench"])
def test_a_corpus_on_disk_is_mined_like_one_in_memory(name, tmp_path):
    in_memory, on_disk, _ = both(ROOT / "sample_logs" / name, tmp_path / "run")
    assert on_disk == in_memory


@pytest.mark.skipif(CORPUS is None, reason="MISSTEP_CORPUS does not name the shared logs")
def test_real_logs_on_disk_are_mined_like_those_in_memory(tmp_path):
    in_memory, on_disk, _ = both(Path(CORPUS) / "logs" / "tau-bench", tmp_path / "run")
    assert in_memory[0].counts["failed_steps"] > 0
    assert on_disk == in_memory


@pytest.mark.source
def test_sessions_findings_and_verdicts_come_back_as_they_were(tmp_path):
    logs = ROOT / "sample_logs" / "openai-chat"
    scanned = scan([logs], CONFIG)
    known = scan_stage(Job(store.RunFolder(tmp_path / "run"), CONFIG), [logs])
    held = mining.corpus(scanned)
    assert list(known.sessions) == [s.id for s in scanned.sessions]
    assert dict(known.sessions) == dict(held.sessions)
    assert dict(known.findings) == dict(held.findings)
    assert dict(known.verdicts) == dict(held.verdicts)
    assert corpus_of(store.RunFolder(tmp_path / "run")).failed() == held.failed()


def test_a_folder_without_a_scan_says_so(tmp_path):
    with pytest.raises(InputError, match=r"is the folder a finished misstep run\?"):
        corpus_of(store.RunFolder(tmp_path))


@pytest.mark.source
def test_few_sessions_are_in_memory_however_many_there_are(tmp_path):
    scanned = scan([ROOT / "sample_logs" / "openai-chat"], CONFIG)
    shelf = Shelf(tmp_path)
    pieces = {s.id: store.encode(s) for s in scanned.sessions}
    room = 3 * max(map(len, pieces.values()))
    sessions = Sessions(shelf, room)
    for name, data in pieces.items():
        sessions.put(name, data)
    shelf.done()
    for session in scanned.sessions:
        assert sessions[session.id] == session
        held = sessions._recent._values.values()
        assert sum(size for _, size in held) <= room
    assert len(sessions) > 100
    assert list(tmp_path.iterdir()) == []


def test_findings_of_a_step_that_has_none_are_a_key_error(tmp_path):
    shelf = Shelf(tmp_path)
    findings = Findings(shelf)
    shelf.done()
    assert findings.get(("a", 1), ()) == ()
    assert len(findings) == 0
