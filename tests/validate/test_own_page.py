"""The examples of docs/validators.md, as a reader would run them."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from misstep.cli import main
from misstep.codes import CODES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "validators.md"

pytestmark = pytest.mark.source


@pytest.fixture
def checks(tmp_path, monkeypatch):
    """The module of the page, in the current folder."""
    pytest.importorskip("sqlglot")
    (source,) = re.findall(r"`checks\.py`.*?```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    (tmp_path / "checks.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    kept = dict(CODES)
    yield tmp_path
    sys.modules.pop("checks", None)
    CODES.clear()
    CODES.update(kept)


def row(name, arguments):
    call = {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {
        "messages": [
            {"role": "user", "content": f"{name} {arguments}"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ]
    }


CALLS = {
    "book_table": ("2026-02-29", "2025-12-25", "2025-12-23", "2025-12-22"),
    "run_query": ("SELECT name FROM guests WHERE seats > 3", "SELECT FROM WHERE ((", "SELEC x y z"),
}


def scan(folder, *words):
    field = {"book_table": "date", "run_query": "sql"}
    rows = [
        row(name, json.dumps({field[name]: value}))
        for name, given in CALLS.items()
        for value in given
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    out = folder / "found.jsonl"
    validators = [
        w for name in ("dates", "sql", "manners") for w in ("--validator", f"checks:{name}")
    ]
    words = (
        "scan",
        str(folder / "log.jsonl"),
        *validators,
        "--findings",
        str(out),
        "--json",
        *words,
    )
    result = CliRunner().invoke(main, list(words))
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in out.read_text().splitlines()]
    own = {"DATE_IMPOSSIBLE", "DATE_CLOSED", "SQL_SYNTAX", "NEVER_ASKED", "VALIDATOR_ERROR"}
    return json.loads(result.stdout), [f for f in found if f["code"] in own]


def test_the_calendar_and_the_parser_find_what_is_wrong(checks):
    summary, found = scan(checks)
    by_code = {}
    for one in found:
        by_code.setdefault(one["code"], []).append((one["level"], one["where"], one["evidence"]))
    assert by_code["DATE_IMPOSSIBLE"] == [
        ("defect", "/date", "expected a day of the calendar; got '2026-02-29'")
    ]
    assert by_code["DATE_CLOSED"] == [
        ("suspect", "/date", "Thursday, 25 December 2025"),
        ("suspect", "/date", "Monday, 22 December 2025"),
    ]
    assert [level for level, *_ in by_code["SQL_SYNTAX"]] == ["defect", "defect"]
    assert len(by_code["NEVER_ASKED"]) == 4
    assert "VALIDATOR_ERROR" not in by_code
    assert (summary["failed_steps"], summary["unjudged_steps"]) == (3, 0)


def test_levels_of_the_settings_hold_for_declared_codes(checks):
    words = (
        "--set",
        "validate.levels.SQL_SYNTAX=suspect",
        "--set",
        "validate.levels.NEVER_ASKED=off",
    )
    summary, _ = scan(checks, *words)
    assert summary["codes"]["SQL_SYNTAX"] == {"defect": 0, "suspect": 2, "info": 0}
    assert "NEVER_ASKED" not in summary["codes"]
    assert summary["failed_steps"] == 1


def test_worker_processes_find_the_same(checks):
    from misstep.config import load_config
    from misstep.pipeline.gather import gathered

    scan(checks)
    paths = ["checks:dates", "checks:sql", "checks:manners"]
    config = load_config(None, {"validate.validators": paths, "ingest.workers": 2})
    counted = []
    for unit in (None, 200):
        with gathered([checks / "log.jsonl"], config, unit=unit) as found:
            counted.append(found.summary["codes"])
    assert counted[0] == counted[1]
    assert counted[0]["DATE_IMPOSSIBLE"]["defect"] == 1
