import json

import pytest
from click.testing import CliRunner

from corpus import CORPUS, needs_corpus
from logs import RIGHT, TOOL, WRONG, mixed, session, write
from misstep import store
from misstep.cli import main
from misstep.ingest import read_tools


def tools(*words):
    return CliRunner().invoke(main, ["tools", *map(str, words), "--quiet"])


def without_schemas(path, count, arguments=RIGHT, **changes):
    rows = [session(n, arguments % n) for n in range(1, count + 1)]
    for row in rows:
        del row["tools"], row["tool_choice"]
        row["messages"][2]["content"] = changes.get("result", "done")
    return write(path, rows)


def test_schemas_that_the_logs_hold_are_written_as_they_are(tmp_path):
    out = tmp_path / "tools.json"
    result = tools(mixed(tmp_path / "log.jsonl", 2), "-o", out)
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        f"{out}: 1 tool from 4 sessions\n  set_timer  logged    4 of 4 calls accepted\n"
    )
    assert json.loads(out.read_text()) == {
        "tools": [TOOL | {"source": "logged", "calls": 4, "accepted": 4}]
    }


def test_elsewhere_a_schema_is_inferred_from_accepted_calls(tmp_path):
    out = tmp_path / "tools.json"
    result = tools(without_schemas(tmp_path / "log.jsonl", 12), "-o", out)
    assert result.stdout == (
        f"{out}: 1 tool from 12 sessions\n"
        "  set_timer  inferred  12 of 12 calls accepted\n"
        "breaking an inferred schema is suspect at most; read it through, then take "
        '"source": "inferred" away to make it count\n'
    )
    (entry,) = json.loads(out.read_text())["tools"]
    assert entry["function"]["parameters"] == {
        "type": "object",
        "properties": {"minutes": {"type": "integer"}},
        "required": ["minutes"],
    }
    assert [spec.source for spec in read_tools(out)] == ["inferred"]


def test_calls_that_the_tool_turned_down_teach_nothing(tmp_path):
    log = without_schemas(tmp_path / "log.jsonl", 3, result="Error: no such timer")
    result = tools(log)
    assert result.exit_code == 2
    assert result.stderr == (
        f"misstep: {log}: no tool schema and no accepted call in 3 sessions; give logs of an "
        "agent that calls tools and got results\n"
    )


def test_the_inferred_file_finds_suspects_and_no_defects(tmp_path):
    out = tmp_path / "tools.json"
    tools(without_schemas(tmp_path / "log.jsonl", 12), "-o", out)
    wrong = without_schemas(tmp_path / "wrong.jsonl", 3, WRONG)
    result = CliRunner().invoke(main, ["scan", str(wrong), "--tools", str(out), "--json"])
    found = json.loads(result.stdout)
    assert found["codes"]["WRONG_TYPE"] == {"defect": 0, "suspect": 3, "info": 0}
    assert (found["failed_steps"], "TOOL_UNKNOWN" in found["codes"]) == (0, False)


def test_other_versions_of_a_schema_are_noted_with_what_differs(tmp_path):
    rows = [session(n, RIGHT % n) for n in range(1, 4)]
    other = json.loads(json.dumps(TOOL))
    other["function"]["parameters"]["properties"]["minutes"]["type"] = "number"
    rows[2]["tools"] = [other]
    result = tools(write(tmp_path / "log.jsonl", rows))
    (entry,) = json.loads(result.stdout)["tools"]
    assert entry["other_versions"] == [{"steps": 1, "differs_at": ["/properties/minutes/type"]}]
    assert result.stderr.splitlines()[1] == (
        "  set_timer  logged    3 of 3 calls accepted; 1 other version"
    )


def test_an_answer_to_tools_list_is_a_tools_file(tmp_path):
    listed = {"name": "add", "description": "Adds.", "inputSchema": {"type": "object"}}
    answer = {"jsonrpc": "2.0", "id": 1, "result": {"tools": [listed]}}
    path = tmp_path / "listed.json"
    path.write_text(json.dumps(answer))
    (entry,) = json.loads(tools(path).stdout)["tools"]
    assert entry["function"] == {
        "name": "add",
        "description": "Adds.",
        "parameters": {"type": "object"},
    }
    assert [spec.name for spec in read_tools(path)] == ["add"]


def test_what_is_written_is_a_tools_file_by_its_schema(tmp_path):
    out = tmp_path / "tools.json"
    tools(mixed(tmp_path / "log.jsonl", 1), "-o", out)
    store.check_row(json.loads(out.read_text()), "tools")


def test_secrets_in_a_logged_description_are_taken_out(tmp_path):
    secret = "ghp_" + "a1B2c3D4e5" * 4
    row = session(1, RIGHT % 1)
    row["tools"] = [json.loads(json.dumps(TOOL))]
    row["tools"][0]["function"]["description"] = f"Use {secret}"
    result = tools(write(tmp_path / "log.jsonl", [row]))
    assert secret not in result.stdout
    assert "[REDACTED" in result.stdout


# --- several tools of one name -----------------------------------------------------------------


def scanned(logs, *words):
    words = ["scan", str(logs), *map(str, words), "--json", "--quiet"]
    return json.loads(CliRunner().invoke(main, words, catch_exceptions=False).stdout)


def two_agents(folder, fitting, *, result="done"):
    """One log offers set_timer(minutes); of ten sessions of another so many call it alike."""
    mixed(folder / "offered.jsonl", 3)
    made = folder / "bare.jsonl"
    right = without_schemas(made, fitting, result=result).read_text() if fitting else ""
    rows = [session(100 + n, json.dumps({"seconds": n})) for n in range(10 - fitting)]
    for row in rows:
        del row["tools"], row["tool_choice"]
        row["messages"][2]["content"] = result
    made.write_text(right + "".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize(("fitting", "source"), [(0, "inferred"), (8, "inferred"), (9, "logged")])
def test_a_schema_is_for_all_only_where_the_calls_without_one_fit_it(tmp_path, fitting, source):
    logs, out = two_agents(tmp_path / "logs", fitting), tmp_path / "tools.json"
    said = tools(logs, "-o", out).stdout
    (entry,) = json.loads(out.read_text())["tools"]
    assert entry["source"] == source
    why = (
        f"2 tools of that name: the logged schema fits {fitting} of 10 calls of logs without one; "
        "give each its own --tools file"
    )
    assert (why in said) == (source == "inferred")
    if source == "inferred":
        assert set(entry["function"]["parameters"]["properties"]) == {"minutes", "seconds"}
        assert "required" not in entry["function"]["parameters"]
        assert entry["other_versions"][0]["steps"] == 6
        assert scanned(logs, "--tools", out)["failed_steps"] == scanned(logs)["failed_steps"]


def test_calls_that_were_turned_down_do_not_tell_two_tools_apart(tmp_path):
    logs = two_agents(tmp_path / "logs", 9)
    for line in two_agents(tmp_path / "more", 0, result="Error: no minutes").glob("bare.jsonl"):
        (logs / "turned_down.jsonl").write_text(line.read_text())
    (entry,) = json.loads(tools(logs).stdout)["tools"]
    assert entry["source"] == "logged"


def test_where_all_calls_were_turned_down_they_tell(tmp_path):
    logs = two_agents(tmp_path / "logs", 0, result="Error: no minutes")
    (entry,) = json.loads(tools(logs).stdout)["tools"]
    assert entry["source"] == "inferred"


def test_a_tool_that_was_called_without_an_offer_is_listed_whatever_its_arguments(tmp_path):
    """Else the file would be an offer without it, and each of its calls TOOL_UNKNOWN."""
    logs, out = tmp_path / "logs", tmp_path / "tools.json"
    mixed(logs / "offered.jsonl", 1)
    row = session(1, "{")
    row["messages"][1]["tool_calls"] = [
        {"id": "c1", "type": "custom", "custom": {"name": "bash", "input": "ls"}}
    ]
    del row["tools"], row["tool_choice"]
    write(logs / "bare.jsonl", [row])
    said = tools(logs, "-o", out).stdout
    assert "  bash       inferred  0 of 1 call accepted; 1 without JSON arguments\n" in said
    found = scanned(logs, "--tools", out)
    assert "TOOL_UNKNOWN" not in found["codes"]
    assert found["failed_steps"] == scanned(logs)["failed_steps"]


@needs_corpus
def test_the_tools_of_real_logs_fail_no_step_of_them(tmp_path):
    out = tmp_path / "tools.json"
    said = tools(CORPUS / "logs", "-o", out).stdout
    assert (
        "  inferred  20 of 201 calls accepted; 181 without JSON arguments; 2 tools of that name: "
        "the logged schema fits 0 of 15 calls of logs without one; give each its own --tools file\n"
    ) in said
    told = scanned(CORPUS / "logs", "--tools", out), scanned(CORPUS / "logs")
    assert told[0]["failed_steps"] == told[1]["failed_steps"]
    assert "TOOL_UNKNOWN" not in told[0]["codes"] or (
        told[0]["codes"]["TOOL_UNKNOWN"] == told[1]["codes"]["TOOL_UNKNOWN"]
    )
