import json

from click.testing import CliRunner

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
