"""The examples run as they stand."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

from logs import mixed

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
pytestmark = pytest.mark.source


def ran(name, *words):
    command = [sys.executable, str(EXAMPLES / name), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_fails_prints_tables_and_writes_page_and_table(tmp_path):
    log = mixed(tmp_path / "log.jsonl", 5)
    said = ran("what_fails.py", log, tmp_path / "out")
    assert "5 of 10 judged steps failed, in 10 sessions" in said
    assert "set_timer" in said
    assert pl.read_parquet(tmp_path / "out" / "findings.parquet").height == 5
    assert "WRONG_TYPE" in (tmp_path / "out" / "failures.html").read_text()


@pytest.mark.slow
def test_train_and_measure_goes_from_logs_to_a_verdict(tmp_path):
    pytest.importorskip("torch", reason="training needs the train extra")
    from tiny import build_tiny

    model = build_tiny(tmp_path / "tiny")
    log = mixed(tmp_path / "log.jsonl", 24)
    said = ran("train_and_measure.py", log, tmp_path / "out", model)
    assert "pairs from 24 failed steps" in said
    assert "ship - " in said
    assert (tmp_path / "out" / "report.html").exists()


def test_the_workflow_is_yaml_and_its_command_is_ours():
    from click.testing import CliRunner

    from misstep.cli import main

    flow = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text())
    steps = flow["jobs"]["scan"]["steps"]
    words = next(s["run"] for s in steps if "misstep scan" in s.get("run", "")).split()
    usage = CliRunner().invoke(main, ["scan", "--help"]).output
    assert [word for word in words if word.startswith("--") and word not in usage] == []
