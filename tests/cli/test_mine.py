"""`misstep mine`: formats beside, and what is said when nothing is redacted."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from logs import mixed, write
from misstep import store
from misstep.cli import main
from misstep.config import load_config

SECRET = "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1234"


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def leaky(path):
    """Logs in which every user tells a key."""
    log = mixed(path, 6)
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    for row in rows:
        row["messages"][0]["content"] += f" My key is {SECRET}."
    return write(path, rows)


def test_formats_are_written_beside_the_lines_and_counted(tmp_path):
    log, out = mixed(tmp_path / "log.jsonl", 12), tmp_path / "out"
    got = run("mine", log, "-o", out, "--format", "openai", "--format", "hf", "--json")
    assert got.exit_code == 0, got.stderr
    told = json.loads(got.stdout)["files"]
    assert list(told["outputs"]) == ["jsonl", "openai", "hf"]
    assert (out / "openai/train.jsonl").exists()
    assert (out / "pairs/train.jsonl").exists()


def test_a_log_format_is_no_output_format(tmp_path):
    log = mixed(tmp_path / "log.jsonl", 2)
    got = run("mine", log, "-o", tmp_path / "out", "--format", "chat-rows")
    assert got.exit_code == 2
    assert "unknown output format 'chat-rows'" in got.stderr
    assert not (tmp_path / "out").exists()
    named = run("mine", log, "-o", tmp_path / "out", "--log-format", "chat-rows", "--quiet")
    assert named.exit_code == 0, named.stderr


def holding(folder, text):
    """Names of the files of a folder in which a text stands."""
    found = []
    for path in (path for path in folder.rglob("*") if path.is_file()):
        rows = store.read_rows(path) if path.suffix == ".parquet" else path.read_text()
        found += [path.relative_to(folder).as_posix()] if text in str(rows) else []
    return found


def test_what_may_be_shared_is_said_and_is_true(tmp_path):
    log, out = leaky(tmp_path / "log.jsonl"), tmp_path / "out"
    got = run("mine", log, "-o", out, "--format", "openai", "--quiet")
    assert got.stdout.splitlines()[-1] == (
        "  share    README.md, pairs/, unpaired/, openai/; not the rest: sessions.parquet and "
        "others hold the logs as they were read"
    )
    again = run("mine", log, "-o", out, "--format", "openai", "--quiet", "--explain")
    assert again.stdout.count("\n  share    ") == 1
    card = (out / "README.md").read_text()
    assert "`README.md`, `pairs/`, `unpaired/`, `openai/`. Copy these, not the folder" in card
    raw = holding(out, SECRET)
    assert "sessions.parquet" in raw
    named = card.partition("## What may be shared")[2].partition("## Loading")[0]
    assert all(f"`{name}`" in named for name in raw)
    shared = {"README.md", "pairs", "unpaired", "openai"}
    assert not shared & {name.partition("/")[0] for name in raw}


def test_of_what_is_not_redacted_nothing_may_be_shared(tmp_path):
    out = tmp_path / "out"
    got = run("mine", leaky(tmp_path / "log.jsonl"), "-o", out, "--quiet", "--no-redact")
    assert got.stdout.splitlines()[-1] == "  share    nothing: nothing was redacted"
    assert "## What may be shared" not in (out / "README.md").read_text()


def test_no_redact_says_what_it_does_and_marks_the_card(tmp_path):
    log = leaky(tmp_path / "log.jsonl")
    kept = run("mine", log, "-o", tmp_path / "kept", "--quiet", "--no-redact")
    clean = run("mine", log, "-o", tmp_path / "clean", "--quiet")
    assert kept.stderr.splitlines() == [
        "misstep: not redacted: secrets, e-mail addresses and users' names stay in what is "
        "written, as they stand in the logs; do not share it"
    ]
    assert clean.stderr == ""
    assert "**Not redacted**" in (tmp_path / "kept/README.md").read_text()
    assert "**Not redacted**" not in (tmp_path / "clean/README.md").read_text()
    assert SECRET in (tmp_path / "kept/unpaired/train.jsonl").read_text()
    assert SECRET not in (tmp_path / "clean/unpaired/train.jsonl").read_text()


def test_a_scan_redacts_its_exports_unless_told_not_to(tmp_path):
    log = leaky(tmp_path / "log.jsonl")
    page = tmp_path / "page.html"
    assert run("scan", log, "--html", page, "--quiet").stderr == ""
    assert SECRET not in page.read_text()
    got = run("scan", log, "--html", page, "--quiet", "--no-redact")
    assert got.stderr.startswith("misstep: not redacted: ")
    again = run("scan", log, "--html", page, "--quiet")
    assert again.exit_code == 0
    assert SECRET not in page.read_text()


def test_a_recipe_that_leaves_its_demands_to_a_stage_of_a_run_makes_them_of_the_pairs(tmp_path):
    log = mixed(tmp_path / "log.jsonl", 4)
    words = ("mine", log, "--recipe", "tool-calls", "--preset", "cpu", "-o")
    got = run(*words, tmp_path / "out")
    assert got.exit_code == 0, got.stderr
    assert (
        "without rft its demands are made of the pairs themselves: mine.min_votes 2, "
        "mine.supported_values true" in got.stderr
    )
    kept = load_config(tmp_path / "out/config.yaml").mine
    assert (kept.min_votes, kept.supported_values) == (2, True)


@pytest.mark.parametrize("how", ["set", "file"])
def test_demands_that_the_user_gives_stay(tmp_path, how):
    log, file = mixed(tmp_path / "log.jsonl", 4), tmp_path / "own.yaml"
    file.write_text("mine:\n  min_votes: 1\n  supported_values: false\n")
    told = {
        "set": ("--set", "mine.min_votes=1", "--set", "mine.supported_values=false"),
        "file": ("--config", file),
    }[how]
    out = tmp_path / "out"
    got = run("mine", log, "--recipe", "tool-calls", "--preset", "cpu", "-o", out, *told)
    assert got.exit_code == 0, got.stderr
    assert "without rft" not in got.stderr
    kept = load_config(out / "config.yaml").mine
    assert (kept.min_votes, kept.supported_values) == (1, False)


def test_what_a_format_cannot_carry_is_told_with_its_reason(tmp_path):
    log, out = mixed(tmp_path / "log.jsonl", 12), tmp_path / "out"
    log.write_text(log.read_text().replace("set_timer", "set.timer"))
    got = run("mine", log, "-o", out, "--format", "openai", "--quiet", "--set", "mine.min_votes=1")
    pairs = int(got.output.split()[0])
    assert pairs > 0
    assert (
        f"  openai   0 rows, {pairs} left out (tool-name {pairs}): see openai/set_aside.jsonl\n"
    ) in got.output
    assert (out / "openai/set_aside.jsonl").exists()


def test_a_folder_mined_without_a_model_names_no_trained_one(tmp_path):
    log, out = mixed(tmp_path / "log.jsonl", 12), tmp_path / "out"
    assert run("mine", log, "-o", out, "--quiet").exit_code == 0
    shown = run("show", out)
    assert shown.exit_code == 0, shown.stderr
    assert "trained model" not in shown.output
    assert "as configured" not in shown.output
