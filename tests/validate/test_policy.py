from __future__ import annotations

from dataclasses import replace

import pytest

from misstep.config import LimitsConfig, ValidateConfig
from misstep.errors import ConfigError
from misstep.validate import Settings, settings, validate
from misstep.validate.policy import Policy, policy_of
from validate.building import asked, session, tool

TYPED = {"type": "object", "properties": {"n": {"type": "integer"}}}
OFFER = [tool("count", TYPED), tool("other", TYPED)]


def wrong(*names):
    calls = [{"name": name, "arguments": '{"n": "x"}', "id": name} for name in names]
    return asked(tools=OFFER, user="count", calls=calls)


def judged(subject, levels=None, exempt=None):
    policy = policy_of(ValidateConfig(levels=levels or {}, exempt=exempt or {}))
    got = validate(subject, Settings(policy=policy))
    found = [(f.code, f.level) for f in got.findings if f.code == "WRONG_TYPE"]
    return found, got.verdicts[-1]


def test_a_lowered_code_no_longer_fails_its_step():
    found, verdict = judged(wrong("count"), {"WRONG_TYPE": "suspect"})
    assert found == [("WRONG_TYPE", "suspect")]
    assert verdict.state == "pass"


def test_a_changed_level_leaves_its_mark():
    policy = Policy(levels={"WRONG_TYPE": "info"})
    got = validate(wrong("count"), Settings(policy=policy)).findings
    assert ["policy" in f.tags for f in got if f.code == "WRONG_TYPE"] == [True]


def test_a_code_that_is_off_leaves_no_finding():
    assert judged(wrong("count"), {"WRONG_TYPE": "off"})[0] == []


def test_a_raised_code_fails_its_step():
    subject = asked(tools=OFFER, user="count 3", calls=[{"name": "count", "arguments": '{"m": 3}'}])
    got = validate(subject, Settings(policy=Policy(levels={"UNEXPECTED_ARG": "defect"})))
    assert "UNEXPECTED_ARG" in got.verdicts[-1].codes


def failing_tool(text):
    return session(
        {
            "tools": OFFER,
            "messages": [
                {"role": "user", "content": "count 3"},
                {"role": "assistant", "calls": [{"name": "count", "id": "c"}]},
                {"role": "tool", "tool_call_id": "c", "content": text, "is_error": True},
            ],
        }
    )


def test_what_the_environment_caused_is_never_raised():
    subject = failing_tool("Error: 503 Service Unavailable")
    plain = validate(subject, Settings()).findings
    raised = validate(subject, Settings(policy=Policy(levels={"ENV_ERROR": "defect"}))).findings
    assert [f.level for f in raised if f.code == "ENV_ERROR"] == [
        f.level for f in plain if f.code == "ENV_ERROR"
    ]


def test_what_another_finding_explains_is_not_raised_again():
    subject = asked(content="again and again. " * 60, finish_reason="length")
    policy = Policy(levels={"TRUNCATED": "defect"})
    found = {f.code: f.level for f in validate(subject, Settings(policy=policy)).findings}
    assert found == {"REP_LOOP": "defect", "TRUNCATED": "info"}


def test_an_exempt_tool_is_let_off_and_another_is_not():
    found, verdict = judged(wrong("count", "other"), exempt={"count": ("WRONG_TYPE",)})
    assert found == [("WRONG_TYPE", "defect")]
    assert verdict.state == "fail"


def test_a_tool_exempt_from_everything_is_judged_by_nobody():
    found, verdict = judged(wrong("count"), exempt={"count": ("*",)})
    assert (found, verdict.state) == ([], "unjudged")


def test_a_validator_whose_codes_are_all_lowered_judges_nothing():
    schema = Settings(json=True)
    subject = asked(content="{}")
    assert validate(subject, schema).verdicts[0].state == "pass"
    from misstep.validate import json_text

    low = Policy(levels=dict.fromkeys(json_text.VALIDATOR.codes, "suspect"))
    assert validate(subject, replace(schema, policy=low)).verdicts[0].state == "unjudged"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"levels": {"WRONG_TIPE": "off"}},
            "validate.levels: unknown code 'WRONG_TIPE', did you mean WRONG_TYPE?",
        ),
        (
            {"exempt": {"count": ("ENUN",)}},
            "validate.exempt.count: unknown code 'ENUN', did you mean ENUM?",
        ),
        (
            {"levels": {"ENV_ERROR": "defect"}},
            "validate.levels.ENV_ERROR: expected 'info' or 'off', since the model never causes "
            "it; got 'defect'",
        ),
    ],
)
def test_a_policy_that_cannot_hold_is_a_wrong_setup(changes, said):
    with pytest.raises(ConfigError) as caught:
        settings(ValidateConfig(**changes))
    assert str(caught.value) == said


def loop(count):
    return asked(content="an answer that begins well enough, " + "and then goes round, " * count)


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        ({}, ["REP_LOOP"]),
        ({"loop_length": 3000}, []),
        ({"loop_count": 40.0}, []),
    ],
)
def test_text_loops_keep_to_the_limits(limits, found):
    got = validate(loop(20), Settings(limits=LimitsConfig(**limits))).findings
    assert [f.code for f in got if f.code == "REP_LOOP"] == found


@pytest.mark.parametrize(("flood", "found"), [(100, ["REP_WHITESPACE"]), (200, []), (20, 1)])
def test_floods_of_white_space_keep_to_the_limit(flood, found):
    spaces = 150 if flood != 20 else 30
    got = validate(
        asked(content="done" + " " * spaces), Settings(limits=LimitsConfig(trailing_space=flood))
    ).findings
    assert [f.code for f in got] == (["REP_WHITESPACE"] if found else [])


def test_equal_elements_keep_to_the_limit():
    content = '{"rows": [' + ", ".join(['{"name": "the same old row"}'] * 5) + "]}"
    for limit, found in ((4, True), (6, False)):
        got = validate(
            asked(content=content), Settings(limits=LimitsConfig(equal_elements=limit))
        ).findings
        assert ("REP_ELEMENT" in {f.code for f in got}) is found
