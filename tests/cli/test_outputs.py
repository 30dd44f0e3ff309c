"""What a command writes never takes the place of a log that it reads."""

from __future__ import annotations

import os

import pytest
from click.testing import CliRunner

from logs import mixed
from misstep.cli import main

OPTIONS = ("--findings", "--set-aside", "--html", "--sarif", "--parquet")


@pytest.fixture
def logs(tmp_path):
    folder = tmp_path / "logs"
    mixed(folder / "calls.jsonl", 2)
    return folder


def call(*words):
    return CliRunner().invoke(main, list(map(str, words)))


def refused(logs, *words):
    """Whether a command says in one line what to do, and leaves the logs alone."""
    before = {path: path.read_bytes() for path in logs.iterdir()}
    got = call(*words)
    assert got.exit_code == 2, got.output
    assert got.stderr.count("\n") == 1
    assert {path: path.read_bytes() for path in logs.iterdir()} == before
    return got.stderr


@pytest.mark.parametrize("option", OPTIONS)
def test_no_output_takes_the_place_of_the_log_that_is_read(logs, option):
    log = logs / "calls.jsonl"
    said = refused(logs, "scan", log, option, log)
    assert said == (
        f"misstep: {log}: is one of the logs ({log}) and would be overwritten; "
        f"choose another place with {option}\n"
    )


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", ["calls.jsonl", "new.jsonl", "below/new.jsonl"])
def test_no_output_lies_inside_the_folder_that_is_read(logs, option, name):
    said = refused(logs, "scan", logs, option, logs / name)
    assert f"{logs / name}: lies inside the logs ({logs})" in said
    assert said.endswith(f"choose another place with {option}\n")


def test_nothing_else_is_written_where_one_output_is_refused(tmp_path, logs):
    refused(logs, "scan", logs, "--findings", tmp_path / "f", "--html", logs / "calls.jsonl")
    assert not (tmp_path / "f").exists()


def test_neither_links_nor_spellings_lead_around_it(tmp_path, logs, monkeypatch):
    log = logs / "calls.jsonl"
    (tmp_path / "soft.jsonl").symlink_to(log)
    (tmp_path / "folder").symlink_to(logs)
    os.link(log, tmp_path / "hard.jsonl")
    monkeypatch.chdir(logs)
    for given in (log, logs, f"{logs}/*.jsonl", tmp_path / "soft.jsonl", tmp_path / "folder"):
        for place in (
            tmp_path / "soft.jsonl",
            tmp_path / "hard.jsonl",
            tmp_path / "folder" / "calls.jsonl",
            "../logs/calls.jsonl",
            "calls.jsonl",
        ):
            refused(logs, "scan", given, "--findings", place)


def test_a_link_inside_the_logs_is_not_replaced(tmp_path, logs):
    (tmp_path / "found.jsonl").write_text("")
    (logs / "out.jsonl").symlink_to(tmp_path / "found.jsonl")
    refused(logs, "scan", logs, "--findings", logs / "out.jsonl")
    assert (logs / "out.jsonl").is_symlink()


def test_what_the_scan_does_not_read_may_be_written(tmp_path, logs):
    out = logs / "found.jsonl"
    for words in (
        [logs / "calls.jsonl", "--findings", out],
        [logs, "--exclude", "found.*", "--findings", out],
        [f"{logs}/calls*", "--findings", out],
    ):
        assert call("scan", *words).exit_code == 0
        assert out.read_text()
        out.unlink()
    (logs / ".misstepignore").write_text("found.jsonl\n")
    assert call("scan", logs, "--findings", out).exit_code == 0
    assert call("scan", logs, "--parquet", "memory://misstep-outputs/out").exit_code == 0


def test_no_tools_file_takes_the_place_of_a_log(tmp_path, logs):
    for given in (logs, logs / "calls.jsonl"):
        refused(logs, "tools", given, "-o", logs / "calls.jsonl")
    assert call("tools", logs, "-o", tmp_path / "tools.json").exit_code == 0


def test_no_run_folder_lies_inside_a_pattern_of_logs(tmp_path, logs):
    said = refused(logs, "mine", f"{tmp_path}/lo*", "-o", logs / "run")
    assert "lies inside the logs" in said
