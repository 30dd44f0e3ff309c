from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from misstep import store, validate
from misstep.codes import CODES
from misstep.config import ValidateConfig
from misstep.errors import InputError
from misstep.types import Message, Part, ToolCall
from misstep.validate import VALIDATORS, Settings, judge
from misstep.validate.verdict import is_defect
from strategies import sessions
from validate.building import asked, session, tool

ANY = st.builds(
    Settings,
    response_schema=st.none() | st.sampled_from(['{"type": "object"}', "nonsense"]),
    json=st.booleans(),
    expect_call=st.sampled_from(["auto", "always"]),
)
quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@given(sessions, ANY)
@quick
def test_validators_never_raise_and_every_step_has_one_verdict(subject, demands):
    judged = validate.validate(subject, demands)
    assert [v.step for v in judged.verdicts] == list(subject.steps)
    assert {f.step for f in judged.findings} <= set(subject.steps)
    assert all(f.code in CODES and len(f.evidence) <= 300 for f in judged.findings)


@given(sessions, ANY)
@quick
def test_a_verdict_follows_from_the_findings(subject, demands):
    judged = validate.validate(subject, demands)
    for verdict in judged.verdicts:
        defects = [f for f in judged.findings if f.step == verdict.step and is_defect(f)]
        assert (verdict.state == "fail") is bool(defects)
        assert verdict.codes == tuple(sorted({f.code for f in defects}))
        if verdict.state == "unjudged":
            assert verdict.score is None
            assert verdict.why
        elif verdict.state == "pass":
            assert verdict.score == 1.0
            assert verdict.judges
        else:
            assert 0 <= verdict.score < 1


@given(sessions)
@quick
def test_replaying_a_step_shows_only_what_can_be_seen_offline(subject):
    for step in subject.steps:
        found, _ = judge(subject, step, subject.messages[step], settings=Settings())
        assert all(CODES[f.code].offline for f in found)


@given(sessions)
@quick
def test_replaying_the_logged_answer_finds_the_same_offline_codes(subject):
    logged = validate.validate(subject, Settings()).findings
    for step in subject.steps:
        found, _ = judge(subject, step, subject.messages[step], settings=Settings())
        here = [f for f in logged if f.step == step and CODES[f.code].offline]
        if not any(f.code == "ENV_ERROR" for f in logged):
            assert list(found) == here


@given(sessions)
@quick
def test_findings_are_stored_and_read_back_unchanged(subject):
    from misstep.types import Finding

    for one in validate.validate(subject, Settings()).findings:
        assert store.decode(store.encode(one), Finding) == one


def test_the_parents_steps_are_not_judged_again():
    row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}] * 2}
    subject = replace(session(row), prefix=2)
    assert [v.step for v in validate.validate(subject, Settings()).verdicts] == [3]


def test_more_and_worse_defects_score_lower():
    weather = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    }

    def score(arguments: str) -> float:
        subject = session(
            {
                "tools": [tool("f", weather)],
                "answer": {"calls": [{"name": "f", "arguments": arguments}]},
            }
        )
        return validate.validate(subject, Settings()).verdicts[0].score

    best = score('{"city": "Oslo", "days": 1}')
    near = score('{"city": "Oslo", "days": "1"}')
    one = score('{"city": "Oslo"}')
    two = score("{}")
    broken = score("{'city'")
    assert 1.0 == best > near > one > two > broken > 0


def test_an_answer_of_a_model_is_judged_in_the_place_of_the_logged_one():
    subject = session({"tools": [tool("f", {"type": "object"})], "answer": {"content": "no"}})
    call = Message(
        role="assistant", parts=(Part(kind="call", call=ToolCall(name="g", arguments="{}")),)
    )
    found, verdict = judge(subject, 1, call, settings=Settings(), demand_call=True)
    assert [f.code for f in found] == ["TOOL_UNKNOWN"]
    assert verdict.state == "fail"


def test_every_code_of_a_validator_is_in_the_table():
    assert {code for v in VALIDATORS for code in v.codes} <= set(CODES)


def test_names_of_validators_are_unique():
    assert len({v.name for v in VALIDATORS}) == len(VALIDATORS)


def test_a_schema_file_is_read_once_and_demanded_of_text(tmp_path):
    path = tmp_path / "schema.json"
    path.write_text('{"type": "array"}')
    made = validate.settings(ValidateConfig(schema=str(path)))
    path.unlink()
    judged = validate.validate(asked(content="{}", finish_reason="stop"), made)
    assert [f.code for f in judged.findings] == ["WRONG_TYPE"]


@pytest.mark.parametrize("text", [None, "{", '{"type": 3}', "[]"])
def test_a_schema_file_that_cannot_be_used_is_the_users_set_up(tmp_path, text):
    path = tmp_path / "schema.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as raised:
        validate.settings(ValidateConfig(schema=str(path)))
    assert str(raised.value).startswith(f"{path}: ")
    assert str(raised.value).endswith("give a JSON Schema file")


def test_a_finding_row_fits_its_schema():
    subject = asked(content="x " * 400, finish_reason="length")
    for one in validate.validate(subject, Settings()).findings:
        row = json.loads(store.encode(one)) | {
            "origin": {"file": "a.jsonl", "line": 1, "format": "case"}
        }
        store.check_row({k: v for k, v in row.items() if k != "version"}, "finding")
