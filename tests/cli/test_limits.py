"""`misstep scan --strict --max-rate`, `--sarif`: what a build can be held to."""

import json
import shlex

import pytest
from click.testing import CliRunner

from logs import RIGHT, WRONG, session, write
from misstep.cli import main


@pytest.fixture
def log(tmp_path):
    """Ten calls, two of them of the wrong type."""
    rows = [session(n, (WRONG if n < 3 else RIGHT) % n) for n in range(1, 11)]
    return write(tmp_path / "logs" / "a b.jsonl", rows)


def scan(log, *words):
    return CliRunner().invoke(main, ["scan", str(log), "--quiet", *map(str, words)])


def test_strict_alone_lets_no_failure_through(log):
    assert scan(log).exit_code == 0
    assert scan(log, "--strict").exit_code == 3


@pytest.mark.parametrize("rate", ["0.2", "20%", "WRONG_TYPE=0.2", "WRONG_TYPE = 20 %", "ENUM=0"])
def test_a_rate_that_is_kept_lets_the_build_through(log, rate):
    assert scan(log, "--strict", "--max-rate", rate).exit_code == 0


@pytest.mark.parametrize("rate", ["0.1999", "19.9%", "WRONG_TYPE=0.19", "0"])
def test_a_rate_that_is_exceeded_fails_it(log, rate):
    result = scan(log, "--strict", "--max-rate", rate)
    assert result.exit_code == 3
    assert "2 of 10 steps" in result.stderr


def test_every_exceeded_limit_is_said_with_its_interval(log):
    result = scan(log, "--max-rate", "0.1", "--max-rate", "WRONG_TYPE=0.15", "--max-rate", "0.9")
    assert result.exit_code == 3
    assert result.stderr.splitlines() == [
        "misstep: 2 of 10 steps failed, 20.0 % [5.7–51.0]; --max-rate allows 10.0 %",
        "misstep: 2 of 10 steps show WRONG_TYPE, 20.0 % [5.7–51.0]; --max-rate allows 15.0 %",
    ]


GATES = [("--strict",), ("--max-rate", "0.05"), ("--strict", "--max-rate", "ENUM=0.5")]


@pytest.mark.parametrize("gate", GATES)
def test_logs_without_a_step_pass_no_gate(tmp_path, gate):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "READ ME.md").write_text("# No agent wrote this\n")
    for logs in (write(tmp_path / "log.jsonl", []), tmp_path / "notes" / "READ ME.md"):
        assert scan(logs).exit_code == 0
        result = scan(logs, *gate)
        assert result.exit_code == 3
        assert result.stderr == (
            "misstep: nothing to judge: no agent steps were found; to see what was recognised: "
            f"misstep scan --explain {shlex.quote(str(logs))}\n"
        )


@pytest.mark.parametrize("gate", GATES)
def test_logs_of_which_no_step_could_be_judged_pass_no_gate(tmp_path, gate):
    row = session(1, RIGHT % 1)
    row["messages"][1] = {"role": "assistant", "content": "It runs."}
    del row["tool_choice"]
    log = write(tmp_path / "log.jsonl", [row | {"messages": row["messages"][:2]}])
    result = scan(log, *gate, "--json")
    assert json.loads(result.stdout)["unjudged_steps"] == 1
    assert result.exit_code == 3
    assert "nothing to judge: none of 1 step could be judged; add what" in result.stderr


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        ("2", "expected a rate from 0 to 1, such as 0.05, 5% or TOOL_UNKNOWN=0.02"),
        ("many", "--max-rate many: expected a rate"),
        ("nan", "--max-rate nan: expected a rate"),
        ("WRONG_TPE=0.1", "unknown failure code 'WRONG_TPE'; did you mean WRONG_TYPE"),
    ],
)
def test_a_limit_that_is_none_is_a_wrong_setup(log, rate, said):
    result = scan(log, "--max-rate", rate)
    assert result.exit_code == 2
    assert said in result.stderr


def test_sarif_names_rule_file_and_line_of_every_finding(log, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert scan("logs", "--sarif", "out.sarif").exit_code == 0
    run = json.loads((tmp_path / "out.sarif").read_bytes())["runs"][0]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["WRONG_TYPE"]
    places = [each["locations"][0]["physicalLocation"] for each in run["results"]]
    assert places == [
        {"artifactLocation": {"uri": "logs/a%20b.jsonl"}, "region": {"startLine": line}}
        for line in (1, 2)
    ]
    assert {each["level"] for each in run["results"]} == {"error"}


def test_sarif_beside_findings_holds_as_many(log, tmp_path):
    scan(log, "--sarif", tmp_path / "o.sarif", "--findings", tmp_path / "f.jsonl")
    found = (tmp_path / "f.jsonl").read_text().splitlines()
    run = json.loads((tmp_path / "o.sarif").read_bytes())["runs"][0]
    assert len(found) == len(run["results"]) == run["properties"]["findings"] == 2
