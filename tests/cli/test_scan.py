import gzip
import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from logs import RIGHT, TOOL, WRONG, mixed, session, write
from misstep import store
from misstep.cli import main
from pages import Page

SAMPLES = Path(__file__).resolve().parents[2] / "sample_logs"


def scan(*words):
    return CliRunner().invoke(main, ["scan", *map(str, words)])


def counts(*words):
    result = scan(*words, "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    store.check_row(summary, "summary")
    return summary


def balanced(summary):
    """Every record is used, ignored or set aside."""
    aside = sum(summary["set_aside"].values())
    return summary["records"] - sum(summary["ignored"].values()) - aside


def test_a_scan_counts_sessions_steps_calls_and_failures(tmp_path):
    found = counts(mixed(tmp_path / "log.jsonl", 3))
    assert [found[k] for k in ("files", "sessions", "steps", "tool_calls", "failed_steps")] == [
        1,
        6,
        6,
        6,
        3,
    ]
    assert found["codes"] == {"WRONG_TYPE": {"defect": 3, "suspect": 0, "info": 0}}
    assert found["tools"] == {"set_timer": {"calls": 6, "failed": 3}}


def test_every_finding_leads_back_to_its_line(tmp_path):
    log = write(tmp_path / "log.jsonl", [session(1, RIGHT % 1), session(2, WRONG % 2)])
    out = tmp_path / "found.jsonl"
    assert scan(log, "--findings", out).exit_code == 0
    (row,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert (row["code"], row["where"], row["origin"]["line"]) == ("WRONG_TYPE", "/minutes", 2)


def test_strict_turns_failures_into_exit_code_three(tmp_path):
    assert scan(mixed(tmp_path / "log.jsonl", 1), "--strict").exit_code == 3
    clean = write(tmp_path / "clean" / "log.jsonl", [session(1, RIGHT % 1)])
    assert scan(clean, "--strict").exit_code == 0


def test_compressed_logs_in_nested_folders_are_read(tmp_path):
    plain = mixed(tmp_path / "plain.jsonl", 2).read_bytes()
    deep = tmp_path / "a" / "b" / "log.jsonl.gz"
    deep.parent.mkdir(parents=True)
    deep.write_bytes(gzip.compress(plain))
    assert counts(tmp_path / "a")["steps"] == 4


def test_a_tools_file_makes_calls_without_schemas_judgeable(tmp_path):
    row = session(1, WRONG % 1)
    del row["tools"]
    log = write(tmp_path / "log.jsonl", [row])
    tools = tmp_path / "tools.json"
    tools.write_text(json.dumps([TOOL]))
    assert "WRONG_TYPE" not in counts(log)["codes"]
    assert "WRONG_TYPE" in counts(log, "--tools", tools)["codes"]


def test_a_schema_judges_text_answers(tmp_path):
    rows = [
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": text}]}
        for text in ('{"a": 1}', '```json\n{"a": 1}\n```', '{"a": "x"}')
    ]
    log = write(tmp_path / "log.jsonl", rows)
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"a": {"type": "integer"}}}')
    assert set(counts(log, "--schema", schema)["codes"]) == {"JSON_FENCED", "WRONG_TYPE"}


def test_an_unknown_format_names_the_nearest(tmp_path):
    result = scan(mixed(tmp_path / "log.jsonl", 1), "--format", "openai-chatt")
    assert result.exit_code == 2
    assert "did you mean openai-chat" in result.output


def test_a_path_that_does_not_exist_is_a_wrong_setup(tmp_path):
    result = scan(tmp_path / "none")
    assert result.exit_code == 2
    assert str(tmp_path / "none") in result.output


def test_an_empty_folder_says_that_it_holds_nothing(tmp_path):
    result = scan(tmp_path)
    assert result.exit_code in (0, 2)
    assert "No agent steps" in result.output or "no files" in result.output


BAD = {
    "binary": (b"\x00\x01\x02\xff" * 5000, 0),
    "unrelated": (b"just a text file\nwith two lines\n", 0),
    "cut": (json.dumps(session(1, RIGHT % 1)).encode() + b'\n{"messages": [{"role": "us', 1),
    "utf8": (json.dumps(session(1, RIGHT % 1)).encode() + b'\n{"messages": "\xff\xfe"}\n', 1),
    "deep": (
        json.dumps(session(1, RIGHT % 1)).encode() + b"\n" + b"[" * 100_000 + b"]" * 100_000,
        1,
    ),
    "long": (
        json.dumps(session(1, RIGHT % 1)).encode()
        + b'\n{"messages": "'
        + b"x" * 50_000_000
        + b'"}',
        1,
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_records_are_set_aside_counted_and_written_out(tmp_path, name):
    data, sessions = BAD[name]
    (tmp_path / "log.jsonl").write_bytes(data)
    aside = tmp_path / "aside" / "aside.jsonl"
    found = counts(tmp_path / "log.jsonl", "--set-aside", aside)
    assert found["sessions"] == sessions
    assert sum(found["set_aside"].values()) >= 1
    assert balanced(found) == sessions
    rows = [json.loads(line) for line in aside.read_text().splitlines()]
    assert len(rows) == sum(found["set_aside"].values())
    assert all(row["reason"] and row["said"] and row["origin"]["file"] for row in rows)


def with_schema(parameters):
    row = session(1, RIGHT % 1)
    row["tools"] = [
        {"type": "function", "function": {"name": "set_timer", "parameters": parameters}}
    ]
    return row


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": 3},
        {"$ref": "http://127.0.0.1:9/never-fetched.json"},
    ],
)
def test_a_tool_schema_that_cannot_be_used_is_not_the_models_fault(tmp_path, parameters):
    found = counts(write(tmp_path / "log.jsonl", [with_schema(parameters)]))
    assert found["failed_steps"] == 0
    assert found["codes"]["TOOL_SCHEMA_INVALID"]["info"] == 1


def test_a_catastrophic_pattern_ends(tmp_path):
    schema = {"type": "object", "properties": {"minutes": {"pattern": "^(a+)+$"}}}
    row = with_schema(schema)
    arguments = json.dumps({"minutes": "a" * 40 + "!"})
    row["messages"][1]["tool_calls"][0]["function"]["arguments"] = arguments
    found = counts(write(tmp_path / "log.jsonl", [row]))
    assert found["steps"] == 1


def test_a_secret_in_a_wrong_value_never_leaves_in_a_finding(tmp_path):
    secret = "ghp_" + "a1B2c3D4e5" * 4
    row = session(1, json.dumps({"minutes": "x" * 70 + " " + secret}))
    out = tmp_path / "found.jsonl"
    page = tmp_path / "found.html"
    log = write(tmp_path / "log.jsonl", [row])
    assert scan(log, "--findings", out, "--html", page).exit_code == 0
    assert "WRONG_TYPE" in out.read_text()
    assert "ghp_" not in out.read_text()
    assert "ghp_" not in page.read_text()


HOSTILE = (
    "</pre></script><script>document.documentElement.dataset.hacked=1</script>"
    "<img src=x onerror=alert(1)> {{ 7*7 }} \x1b[31m \u202egnirts \u2066 \x00 \x9b \u2028"
)


def hostile_rows():
    """Logs in which names, arguments, results, models and texts are hostile, and some very long."""
    for n, text in enumerate((HOSTILE, HOSTILE * 5_000, "\u202e" * 1_000_000, "[" * 1_000_000)):
        row = session(n + 1, json.dumps({"minutes": text, HOSTILE: text}))
        row["id"] = HOSTILE
        row["messages"][1]["model"] = HOSTILE
        row["messages"][2]["content"] = f"Error: invalid arguments {text}"
        yield row
        unknown = session(n + 9, text)
        unknown["messages"][1]["tool_calls"][0]["function"]["name"] = HOSTILE
        yield unknown


def test_hostile_logs_make_a_harmless_page(tmp_path):
    logs = tmp_path / "logs"
    log = write(logs / "<img src=x onerror=alert(1)>\u202e.jsonl", list(hostile_rows()))
    log.write_bytes(log.read_bytes() + f'{{"messages": "{HOSTILE[:40]}\n'.encode())
    page = tmp_path / "page.html"
    started = time.perf_counter()
    result = scan(logs, "--html", page)
    assert result.exit_code == 0, result.output
    assert time.perf_counter() - started < 60
    text = page.read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    read = Page(text)
    assert (read.faults, read.open) == ([], [])
    assert (read.tags.count("script"), "img" in read.tags) == (1, False)
    assert not [name for name, _ in read.attributes if name.startswith("on") or name == "style"]
    assert not [c for c in text if (c < " " and c not in "\n\t") or c in "\u202e\u2066\u2028\x9b"]
    assert "&lt;script&gt;document.documentElement.dataset.hacked=1&lt;/script&gt;" in text
    assert not [c for c in result.stdout if (c < " " and c != "\n") or c in "\u202e\x9b"]


def test_the_page_shows_rates_examples_and_what_was_not_used(tmp_path):
    log = mixed(tmp_path / "log.jsonl", 3)
    log.write_bytes(log.read_bytes() + b"{broken\n")
    page = tmp_path / "page.html"
    result = scan(log, "--html", page)
    assert result.exit_code == 0, result.output
    text = " ".join("".join(Page(page.read_text(encoding="utf-8")).texts).split())
    for words in ("3 of 6", "log.jsonl:4 ", "expected integer", "not-json", "1 of 1 steps failed"):
        assert words in text, words


def test_the_summary_fits_the_screen_over_many_formats():
    result = scan(SAMPLES)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "steps failed (at least" in lines[0]
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert lines[-1].startswith("… ")
    assert any(line.startswith("unjudged: ") for line in lines)
