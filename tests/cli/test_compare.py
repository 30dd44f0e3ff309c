"""`misstep compare`: which of two sets of logs fails less, and whether that can be believed."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from logs import RIGHT, WRONG, mixed, session, write
from misstep import store
from misstep.cli import main


def compare(*words):
    return CliRunner().invoke(main, ["compare", *map(str, words)])


@pytest.fixture
def sides(tmp_path):
    """Forty tasks; the first side fails half of them, the second a tenth."""
    first = [session(n, (WRONG if n % 2 else RIGHT) % n) for n in range(1, 41)]
    second = [session(n, (WRONG if n % 10 == 1 else RIGHT) % n) for n in range(1, 41)]
    return write(tmp_path / "a" / "log.jsonl", first), write(tmp_path / "b" / "log.jsonl", second)


def test_the_side_that_fails_less_is_named_with_its_interval(sides):
    result = compare(*sides)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith(
        "The second fails less: 10.0 % of its 40 judged steps against 50.0 %"
    )
    assert "40 sessions match by their first user message: 16 failed in the first alone, 0" in (
        result.stdout
    )
    assert any(line.startswith("WRONG_TYPE") for line in lines)
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80


def test_the_json_meets_its_schema(sides):
    found = json.loads(compare(*sides, "--json").stdout)
    store.check_row(found, "comparison")
    total = found["contrasts"][0]
    assert (found["verdict"], total["first"]["k"], total["second"]["k"]) == ("less", 20, 4)
    assert total["high"] < 0
    assert total["matched"]["p"] < 0.001


def test_strict_fails_only_where_the_second_fails_more(sides):
    first, second = sides
    assert compare(first, second, "--strict").exit_code == 0
    assert compare(second, first, "--strict").exit_code == 3
    assert compare(first, first, "--strict").exit_code == 0


def test_other_work_is_not_called_matched(tmp_path):
    one = write(tmp_path / "a" / "log.jsonl", [session(n, RIGHT % n) for n in range(1, 4)])
    other = write(tmp_path / "b" / "log.jsonl", [session(n, RIGHT % n) for n in range(50, 53)])
    assert "No session of the two opens with the same user message" in compare(one, other).stdout


def test_a_run_folder_is_read_without_reading_its_logs_again(tmp_path):
    log = mixed(tmp_path / "log.jsonl", 3)
    run = tmp_path / "pairs"
    assert CliRunner().invoke(main, ["mine", str(log), "-o", str(run)]).exit_code == 0
    log.unlink()
    found = json.loads(compare(run, run, "--json").stdout)
    assert (found["first"]["sessions"], found["verdict"]) == (6, "no difference shown")


def test_a_run_judged_with_other_settings_is_not_compared(tmp_path):
    log = mixed(tmp_path / "log.jsonl", 20)
    run = tmp_path / "pairs"
    exempt = ("--set", "validate.levels={WRONG_TYPE: info}")
    assert CliRunner().invoke(main, ["mine", str(log), "-o", str(run), *exempt]).exit_code == 0
    result = compare(run, log)  # one and the same log
    assert result.exit_code == 2, result.output
    said = " ".join(result.stderr.split())
    assert "different settings (validate.levels: {'WRONG_TYPE': 'info'} and {})" in said
    assert f"--config {run / 'config.yaml'}" in said
    same = json.loads(compare(run, log, "--config", run / "config.yaml", "--json").stdout)
    assert same["contrasts"][0]["difference"] == 0
    assert json.loads(compare(run, run, "--json").stdout)["verdict"] == "no difference shown"


def test_a_path_that_is_missing_is_named(tmp_path):
    result = compare(tmp_path / "none", tmp_path)
    assert result.exit_code == 2
    assert str(tmp_path / "none") in result.stderr


def test_a_side_without_a_judged_step_is_no_comparison(sides, tmp_path):
    empty = tmp_path / "none"
    empty.mkdir()
    for words in ((sides[0], empty), (empty, sides[0])):
        result = compare(*words)
        assert result.exit_code == 0
        flat = " ".join(result.stdout.split())
        assert flat.startswith("Nothing to compare: ")
        assert "no judged step." in flat
        assert "misstep scan --explain FILE" in flat
        assert "points" not in result.stdout
        strict = compare(*words, "--strict", "--quiet")
        assert strict.exit_code == 3
        assert strict.stderr == (
            f"misstep: nothing to compare: {empty} has no judged step; "
            f"to see what was recognised: misstep scan --explain {empty}\n"
        )
    both = compare(empty, tmp_path / "none", "--strict", "--json")
    assert both.exit_code == 3
    store.check_row(json.loads(both.stdout), "comparison")


def test_one_matching_session_is_spelled_in_the_singular(tmp_path):
    log = write(tmp_path / "log.jsonl", [session(1, RIGHT % 1)])
    said = compare(log, log).stdout
    assert "1 session matches by its first user message" in said
    assert "1 session, 1 step, 0 unjudged" in said
