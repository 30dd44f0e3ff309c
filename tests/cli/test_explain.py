"""`misstep scan --explain`: what was recognised in each file, and why."""

from __future__ import annotations

import json

from click.testing import CliRunner

from misstep.cli import main

TALK = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]
ROW = {"task_id": 1, "traj": TALK, "info": {}}


def explained(folder, *words):
    result = CliRunner().invoke(main, ["scan", str(folder), "--explain", *words])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_file_is_explained_with_its_kind_its_scores_and_its_books(tmp_path):
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(ROW)}\n\n{{\n")
    assert explained(tmp_path) == (
        "a.jsonl\n"
        "  json; looked at the first 3 records, 1 of them decoded\n"
        "  sure in [0, 1]: tau-bench 1.00; 0.25 is needed\n"
        "  read as tau-bench (json file): the surest of those above\n"
        "  tau-bench: 3 rows = 1 used + 1 ignored + 1 set aside; 1 session\n"
        "  ignored by kind: blank 1\n"
        "  set aside at line 3: not-json: unexpected end of data: line 1 column 2 (char 1)\n"
    )


def test_a_file_of_no_format_says_how_to_go_on(tmp_path):
    (tmp_path / "notes.txt").write_text("hello\n")
    assert explained(tmp_path) == (
        "notes.txt\n"
        "  text; looked at the first 1 records, 1 of them decoded\n"
        "  sure in [0, 1]: no format; 0.25 is needed\n"
        "  set aside: unknown-format: none of the known formats; `misstep formats` lists them, "
        "--format forces one\n"
    )


def test_files_left_out_and_files_that_cannot_be_read_are_explained_too(tmp_path):
    (tmp_path / ".misstepignore").write_text("*.md\n")
    (tmp_path / "a.md").write_text("#")
    (tmp_path / "b.bin").write_bytes(b"\0\1\2")
    said = explained(tmp_path)
    assert said.count("left out by --exclude or a .misstepignore file") == 2
    assert "b.bin\n  set aside: binary: binary data" in said


def test_a_forced_format_is_said_to_be_forced(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps(ROW) + "\n")
    said = explained(tmp_path, "--format", "chat-rows")
    assert "read as chat-rows (json file): forced by --format" in said
    assert "set aside at line 1, /messages: bad-message" in said
