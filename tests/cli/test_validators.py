import sys

import pytest
from click.testing import CliRunner

from misstep.cli import main
from misstep.codes import CODES
from misstep.validate import VALIDATORS
from misstep.validate.cost import committed, measure

SOURCE = """
from misstep.validate import Code, validator

@validator(Code(name="TOO_LATE", group="acme", meaning="later than we work"))
def late(step):
    return []
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "late_checks.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    kept = dict(CODES)
    yield "late_checks:late"
    sys.modules.pop("late_checks", None)
    CODES.clear()
    CODES.update(kept)


def listed(*words):
    result = CliRunner().invoke(main, ["validators", *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_validator_has_a_committed_cost():
    names = {validator.name for validator in VALIDATORS}
    assert set(committed().costs) == names, "run: python benchmarks/parts/costs.py --write"


def test_every_validator_stands_with_its_codes_levels_and_cost():
    text = listed()
    for validator in VALIDATORS:
        cost = committed().costs[validator.name]
        assert f"{validator.name:34} {cost.steps:>12,.0f} steps/s" in text
        for name in validator.codes:
            assert f"  {name:20} {CODES[name].level:8} {CODES[name].meaning}" in text


def test_a_level_that_the_settings_change_stands_behind_an_arrow():
    assert "  REP_NEAR             suspect → off " in listed(
        "--set", "validate.levels.REP_NEAR=off"
    )


def test_a_validator_of_the_users_own_is_listed(own):
    text = listed("--validator", own)
    assert f"{'late (your own)':34} not measured\n" in text
    assert "  TOO_LATE             defect   later than we work\n" in text


def test_costs_can_be_measured_on_the_spot():
    cost = measure(VALIDATORS[0].check, seconds=0.01)
    assert cost.steps > 100
    assert cost.megabytes > 0


def test_the_built_in_text_is_ordinary():
    found = []
    for validator in VALIDATORS:
        measure(lambda step, v=validator: found.extend(v.check(step)) or (), seconds=0.001)
    assert {f.code for f in found if f.level == "defect"} == set()
