from __future__ import annotations

from dataclasses import replace

import pytest

from misstep.types import ToolSpec
from misstep.validate import Settings, validate
from misstep.validate.policy import Policy
from validate.building import asked, tool

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def called(name, arguments, source, *, tools=("count",)):
    subject = asked(
        tools=[tool(each, SCHEMA) for each in tools],
        user=f"count 3 x {arguments}",
        calls=[{"name": name, "arguments": arguments, "id": "c"}],
    )
    (context,) = subject.contexts
    first, *others = context.tools
    specs: tuple[ToolSpec, ...] = (replace(first, source=source), *others)
    return replace(subject, contexts=(replace(context, tools=specs),))


def told(subject, settings=None):
    got = validate(subject, settings or Settings())
    schema = ("TOOL_UNKNOWN", "MISSING_REQUIRED", "WRONG_TYPE", "UNEXPECTED_ARG", "ARGS_UNPARSABLE")
    return [f"{f.code}:{f.level}" for f in got.findings if f.code in schema], got.verdicts[0].state


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("{}", ["MISSING_REQUIRED:suspect"]),
        ('{"n": "x"}', ["WRONG_TYPE:suspect"]),
        ('{"n": 3, "x": 3}', ["UNEXPECTED_ARG:info"]),
        ('{"n": 3}', []),
    ],
)
@pytest.mark.parametrize("source", ["inferred", "filled"])
def test_what_breaks_an_inferred_schema_is_suspect_at_most_and_judges_nothing(
    arguments, found, source
):
    assert told(called("count", arguments, source)) == (found, "unjudged")


def test_arguments_that_are_no_json_are_a_defect_whatever_the_schema():
    assert told(called("count", '{"n": ', "inferred"))[0] == ["ARGS_UNPARSABLE:defect"]


def test_a_setting_does_not_raise_what_only_an_inferred_schema_says():
    policy = Policy(levels={"WRONG_TYPE": "defect"})
    subject = called("count", '{"n": "x"}', "inferred")
    assert told(subject, Settings(policy=policy)) == (["WRONG_TYPE:suspect"], "unjudged")


def test_no_tool_is_unknown_while_some_were_only_inferred():
    assert told(called("other", "{}", "inferred"))[0] == []
    assert told(called("other", "{}", "inferred", tools=("count", "sum")))[0] == []


def test_a_logged_name_with_an_inferred_schema_is_still_an_offer():
    assert told(called("other", "{}", "filled"))[0] == ["TOOL_UNKNOWN:defect"]


def test_the_verdict_says_why_it_is_unjudged():
    subject = called("count", '{"n": 3}', "inferred")
    (verdict,) = validate(subject, Settings()).verdicts
    assert verdict.why == "only an inferred schema is known for count"


@pytest.mark.parametrize(
    ("source", "lacking"), [("inferred", "inferred"), ("filled", "inferred"), ("given", None)]
)
def test_a_call_of_an_inferred_schema_lacks_a_certain_one(source, lacking):
    unchecked = validate(called("count", '{"n": 3}', source), Settings()).unchecked
    assert "schema" not in unchecked
    assert unchecked.get("inferred") == (1 if lacking else None)
