"""Real logs, where they are at hand: whatever they hold, mining accounts for every failure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from misstep import ingest, mine, validate
from misstep.config import IngestConfig, MineConfig
from scenes import SETTINGS

CORPUS = os.environ.get("MISSTEP_CORPUS")


@pytest.mark.skipif(CORPUS is None, reason="MISSTEP_CORPUS does not name the shared logs")
@pytest.mark.parametrize("name", ["claude-code", "tau-bench", "vcr"])
def test_every_failed_step_of_real_logs_is_accounted_for(name, tmp_path):
    logs = ingest.ingest([Path(CORPUS) / "logs" / name], config=IngestConfig()).sessions
    known = mine.gather(logs, [validate.validate(s, SETTINGS) for s in logs])
    config = MineConfig()
    split = mine.split(known.sessions, config, 42)
    found = mine.mine(known, split=split, config=config, settings=SETTINGS)
    counts = found.counts
    ends = ("heldout_failed", "paired_failures", "unpaired_failures")
    rest = ("repeated_failures", "left_out")
    assert counts["failed_steps"] == len(known.failed())
    assert counts["failed_steps"] == sum(counts[name] for name in (*ends, *rest))
    files = mine.export(found, known, split, folder=tmp_path)
    assert files["pairs/train.parquet"] + files["pairs/dev.parquet"] == counts["pairs"]
    assert all(split.part[p.session] == "train" for p in mine.accepted_steps(known, split, 99, 0))
