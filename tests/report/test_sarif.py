"""SARIF 2.1.0: its structure, what is quoted, what is left out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from misstep.codes import CODES
from misstep.report import RunView
from misstep.report.sarif import MAX_RESULTS, write_sarif


def row(code: str, level: str = "defect", **more: Any) -> dict[str, Any]:
    made = {"session": "0123456789abcdef", "step": 3, "call": 0, "code": code, "level": level}
    made |= {"channel": "arguments", "where": "/value", "span": None, "evidence": "got string"}
    return made | {"origin": {"file": "a.jsonl", "line": 7, "format": "openai-chat"}} | more


def written(rows: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    path = folder / "out.sarif"
    write_sarif(rows, path, where=lambda name: name, clean=lambda text: text.replace("s3cret", "…"))
    log: dict[str, Any] = json.loads(path.read_bytes())
    return log


def test_the_log_has_the_structure_that_the_standard_asks_for(tmp_path: Path) -> None:
    rows = [row(code, CODES[code].level) for code in CODES]
    log = written(rows, tmp_path)
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    driver = log["runs"][0]["tool"]["driver"]
    assert driver["name"] == "misstep"
    assert len({rule["id"] for rule in driver["rules"]}) == len(CODES)
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"]
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
    for result in log["runs"][0]["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        assert len(result["locations"]) == 1


def test_a_finding_keeps_its_fingerprint_wherever_its_file_lies(tmp_path: Path) -> None:
    other = row("ENUM", origin={"file": "b.jsonl", "line": 9, "format": "x"})
    results = written([row("ENUM"), other, row("ENUM", step=4)], tmp_path)["runs"][0]["results"]
    prints = [each["partialFingerprints"]["misstep/v1"] for each in results]
    assert prints[0] == prints[1] != prints[2]


def test_secrets_are_out_and_what_a_log_says_is_spelled(hostile: RunView, tmp_path: Path) -> None:
    said = hostile.title
    rows = [row(said, evidence=f"s3cret {said}", where=said)]
    rows[0]["origin"] = {"file": "a b/\u202eü\ud800.jsonl", "line": None, "format": said}
    log = written(rows, tmp_path)
    text = json.dumps(log, ensure_ascii=False)
    assert "s3cret" not in text
    assert not re.search("[\x1b\u202e]", text)
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "a%20b/%E2%80%AE%C3%BC%3F.jsonl"}}


def test_the_gravest_come_first_and_what_does_not_fit_is_counted(tmp_path: Path) -> None:
    rows = [row("NO_CALL", "info")] * MAX_RESULTS + [row("REP_NEAR", "suspect"), row("ENUM")]
    run = written(rows, tmp_path)["runs"][0]
    assert [each["level"] for each in run["results"][:3]] == ["error", "warning", "note"]
    assert len(run["results"]) == MAX_RESULTS
    assert run["properties"] == {"findings": MAX_RESULTS + 2, "leftOut": 2}


def test_a_path_that_is_not_below_the_working_folder_is_a_file_address(tmp_path: Path) -> None:
    far = row("ENUM", origin={"file": "/var/log/a.jsonl", "line": 1, "format": "x"})
    result = written([far], tmp_path)["runs"][0]["results"][0]
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "file:///var/log/a.jsonl"}
