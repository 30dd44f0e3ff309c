"""Every case file: what a step holds, and exactly which findings it must have."""

from __future__ import annotations

import pytest

from misstep.types import Finding
from misstep.validate import VALIDATORS, Judged, Settings, judge, validate
from validate.building import cases, session

CASES = cases()


def judged(row) -> Judged:
    settings = Settings(**row.get("settings", {}))
    subject = session(row)
    if not row.get("replayed"):
        return validate(subject, settings)
    last = len(subject.messages) - 1
    findings, verdict = judge(
        subject,
        last,
        subject.messages[last],
        settings=settings,
        demand_call=row.get("demand_call", False),
    )
    return Judged(findings=findings, verdicts=(verdict,))


def fits(finding: Finding, wanted) -> bool:
    tags = set(wanted.get("tags", ()))
    plain = {k: v for k, v in wanted.items() if k not in ("tags", "span")}
    span = wanted.get("span")
    return (
        all(getattr(finding, key) == value for key, value in plain.items())
        and tags <= set(finding.tags)
        and (span is None or finding.span == tuple(span))
    )


@pytest.mark.parametrize(("name", "row"), CASES, ids=[name for name, _ in CASES])
def test_a_case_has_exactly_its_findings(name, row):
    got = judged(row)
    assert sorted((f.code, f.level) for f in got.findings) == sorted(
        (w["code"], w.get("level", "defect")) for w in row["findings"]
    )
    for wanted in row["findings"]:
        assert any(fits(f, {"level": "defect"} | wanted) for f in got.findings), (wanted, got)
    if "state" in row:
        assert got.verdicts[-1].state == row["state"]


def test_every_code_of_every_validator_has_a_case():
    in_cases = {w["code"] for _, row in CASES for w in row["findings"]}
    assert {code for v in VALIDATORS for code in v.codes} - in_cases == set()


def test_no_validator_emits_a_code_that_it_does_not_name():
    for _, row in CASES:
        named = {code for v in VALIDATORS for code in v.codes}
        assert {f.code for f in judged(row).findings} <= named
