"""Which codes real outputs have triggered, as docs/codes.md says ("Where each code was seen")."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from corpus import CORPUS, needs_corpus
from misstep.codes import CODES, Code
from misstep.config import IngestConfig, RunConfig
from misstep.ingest import ingest
from misstep.pipeline.scan import tell
from misstep.pipeline.starter import starter
from misstep.types import Level
from misstep.validate import Settings, validate, validator
from validate.building import asked, session

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests" / "cases"
WORK = ("openai-chat", "anthropic-messages", "claude-code", "chat-rows")
"""The sample logs that hold what a model wrote, not a script."""
CONTRACT = {
    "off_limits": ["code.claude.com"],
    "tools": [
        {"name": "send_certificate", "side_effecting": True},
        {"name": "search_direct_flight", "output_schema": {"type": "array", "minItems": 1}},
        *(
            {
                "name": f"update_reservation_{what}",
                "side_effecting": True,
                "requires": [{"tool": "get_reservation_details", "same": ["reservation_id"]}],
            }
            for what in ("flights", "baggages", "passengers")
        ),
    ],
}
"""What the owner of the tools of the airline would promise, and a source that is ruled out."""

pytestmark = pytest.mark.source


def rows(*path: str):
    text = CASES.joinpath(*path).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@cache
def page() -> dict[str, set[str]]:
    """By place: the codes that docs/codes.md says were seen there."""
    text = (ROOT / "docs" / "codes.md").read_text(encoding="utf-8")
    table = text.split("## Where each code was seen")[1].split("| where | codes |")[1]
    lines = [line.strip("|").split("|") for line in table.split("\n\n")[0].splitlines()[2:]]
    return {where.strip(): set(re.findall(r"`([A-Z_]+)`", codes)) for where, codes in lines}


def told(*paths: Path, tools: Path | None = None) -> set[str]:
    ingesting = IngestConfig(tools=None if tools is None else str(tools), workers=1)
    return set(tell(paths, replace(RunConfig(), ingest=ingesting)).summary["codes"])


def test_the_page_names_each_code():
    assert set().union(*page().values()) == set(CODES)


@needs_corpus
def test_logs_of_other_agents_hold_the_codes_that_the_page_says():
    assert page()["logs of other agents"] <= told(CORPUS / "logs")


@needs_corpus
def test_the_same_logs_with_a_contract_hold_more(tmp_path):
    contract = tmp_path / "contract.json"
    contract.write_text(json.dumps(CONTRACT), encoding="utf-8")
    found = told(CORPUS / "logs", tools=contract)
    made = tmp_path / "tools.json"
    inferred = starter([CORPUS / "logs"], replace(RunConfig(), ingest=IngestConfig(workers=1)))
    made.write_text(json.dumps(inferred.tools), encoding="utf-8")
    found |= told(CORPUS / "logs", tools=made)
    assert page()["the same, with a tools file"] <= found


def test_the_sample_logs_of_a_model_at_work_hold_the_codes_that_the_page_says():
    found = told(
        *(ROOT / "sample_logs" / name for name in WORK), tools=ROOT / "sample_logs/tools.json"
    )
    assert page()["`sample_logs/`"] <= found


def test_the_answers_labelled_for_loops_hold_the_codes_that_the_page_says():
    found = set()
    for row in [*rows("loops", "labels.jsonl"), *rows("loops", "held_out.jsonl")]:
        step = asked(content=row["text"], finish_reason=row["finish"], user=row["prompt"])
        judged = validate(step, Settings(json=row["kind"] == "json"))
        found |= {f.code for f in judged.findings if "explained" not in f.tags}
    assert page()["`tests/cases/loops/`"] <= found


SAMPLED = rows("sampled", "outputs.jsonl")


@pytest.mark.parametrize("row", SAMPLED, ids=[row["code"] for row in SAMPLED])
def test_a_sampled_output_still_shows_its_code(row):
    judged = validate(session(row), Settings(json=row.get("json", False)))
    shown = [f for f in judged.findings if row["code"] in (f.code, *f.tags)]
    assert any("explained" not in f.tags for f in shown)


def test_the_page_names_the_sampled_outputs():
    assert page()["`tests/cases/sampled/`"] <= {row["code"] for row in SAMPLED}


LATE = Code(name="CITY_UNKNOWN", group="acme", meaning="no such city")


@validator(LATE)
def naive(step):
    for parsed in step.arguments:
        if parsed.value["city"] == "Atlantis":  # what many would write first
            yield step.find("CITY_UNKNOWN", "arguments")


def test_a_naive_validator_breaks_on_real_calls():
    given = ingest([ROOT / "sample_logs" / "chat-rows"], config=IngestConfig(workers=1))
    found: dict[str, Level] = {}
    for each in given.sessions:
        judged = validate(each, Settings(own=(naive,)))
        found |= {f.code: f.level for f in judged.findings}
    assert found["VALIDATOR_ERROR"] == "info"
