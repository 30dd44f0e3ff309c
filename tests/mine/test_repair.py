"""Repairs: each decided edit, each thing that keeps an answer from being repaired."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep.config import MineConfig
from scenes import TRAIN_ONLY, WEATHER, called, calls_of, mined, result, said, session, user

REPAIR = replace(TRAIN_ONLY, sources=("repair",))
ASK = user("What is the weather in Oslo for 3 days, in celsius? Order 17, size Extra Large.")
ORDER = {
    "name": "order",
    "parameters": {
        "type": "object",
        "properties": {
            "order_id": {"type": "string"},
            "days": {"type": "integer"},
            "size": {"enum": ["extra-large", "small"]},
            "rows": {"type": "array", "items": {"type": "integer"}},
            "strict": {"type": "boolean"},
        },
        "required": ["order_id"],
        "additionalProperties": False,
    },
}
ANSWER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "array"}},
    "required": ["city"],
    "additionalProperties": False,
}


def repaired(name: str, arguments, *, tools=(WEATHER, ORDER), ask=ASK, config=REPAIR):
    """The repaired call and its edits, or the pairs' absence."""
    row = called(name, arguments, finish_reason="tool_calls")
    pairs = mined(session(ask, row, tools=tools), config=config).pairs
    assert all(pair.source == "repair" for pair in pairs)
    return [(calls_of(pair.chosen)[0], pair.edits) for pair in pairs]


@pytest.mark.parametrize(
    ("arguments", "want", "edits"),
    [
        ("{'order_id': '17'}", '{"order_id": "17"}', ("quotes",)),
        ('{"order_id":  "17", }', '{"order_id":  "17" }', ("trailing-comma",)),
        ('```json\n{"order_id": "17"}\n```', '{"order_id": "17"}', ("unfence",)),
        ('{"order_id": "17", "strict": True}', '{"order_id": "17", "strict": true}', ("literal",)),
        ('{"order_id": "17"', '{"order_id": "17"}', ("close",)),
        ('{"order_id": 17}', '{"order_id": "17"}', ("quote /order_id",)),
        ('{"order_id":"17","days":"3"}', '{"order_id":"17","days":3}', ("unquote /days",)),
        ('{"order_id":"17","days":null}', '{"order_id":"17"}', ("drop-null /days",)),
        ('{"order_id":"17","rows":"[3]"}', '{"order_id":"17","rows":[3]}', ("decode /rows",)),
        ('"{\\"order_id\\": \\"17\\"}"', '{"order_id": "17"}', ("decode",)),
        (
            '{"order_id":"17","size":"Extra Large"}',
            '{"order_id":"17","size":"extra-large"}',
            ("option /size",),
        ),
        ('{"orderId":"17"}', '{"order_id":"17"}', ("respell /orderId",)),
        (
            '{"order_id":"17","order_id":"17"}',
            '{"order_id":"17"}',
            ("drop-twin /order_id",),
        ),
        (
            "{'order_id': 17, 'days': '3'}",
            '{"order_id": "17", "days": 3}',
            ("quotes", "quote /order_id", "unquote /days"),
        ),
    ],
)
def test_what_the_schema_decides_is_edited_and_every_edit_is_listed(arguments, want, edits):
    assert repaired("order", arguments) == [(("order", want), edits)]


def test_an_extra_argument_that_says_nothing_is_dropped():
    full = '{"city":"Oslo", "days":3, "unit":"celsius", "verbose":"maximal"}'
    ((made, edits),) = repaired("weather", full)
    assert made == ("weather", '{"city":"Oslo", "days":3, "unit":"celsius"}')
    assert edits == ("drop-argument /verbose",)


@pytest.mark.parametrize(
    "arguments",
    [
        '{"city":"Oslo","town":"Bergen"}',  # nothing: see below
        '{"order_id":"17","place":4}',  # a number might have been meant for days
        '{"order_id":"17","note":"Extra Large"}',  # it was asked for
        '{"order_id":"17","city":"Rome"}',  # another tool's argument: the tool is wrong
        '{"order_id":"17","size":"medium"}',
        '{"order_id":"17","days":"three"}',
        '{"order_id":"17","days":"3.5"}',
        '{"order_id":"17","strict":"yes"}',
        '{"order_id":true}',
        '{"order_id":"17","order_id":"18"}',
        '{"days":3}',
        '{"order_id":"17","days":',
        '{"order_id":"17" "days":3}',
    ],
)
def test_what_would_be_a_guess_is_not_repaired(arguments):
    assert repaired("order", arguments) == []


@pytest.mark.parametrize(
    "arguments",
    ['{"order_id": 99}', '{"order_id": 17, "days": 12}', "{'order_id': 'Bergen'}"],
)
def test_values_that_nobody_has_said_are_not_vouched_for(arguments):
    assert repaired("order", arguments) == []


@pytest.mark.parametrize("name", ["Weather", "WEATHER", "weather<|channel|>json"])
def test_a_tool_name_in_another_case_or_before_a_leaked_token_is_respelled(name):
    assert repaired(name, {"city": "Oslo"}) == [
        (("weather", '{"city": "Oslo"}'), ("tool-name weather",))
    ]


def test_a_name_that_two_tools_are_like_is_left_alone():
    twins = ({**WEATHER, "name": "get_weather"}, {**WEATHER, "name": "get-weather"})
    assert repaired("getWeather", {"city": "Oslo"}, tools=twins) == []


def test_one_of_two_calls_is_edited_and_the_other_stays():
    both = called("weather", '{"city": "Oslo"}')
    second = called("order", '{"order_id": 17}')["tool_calls"][0]
    both["tool_calls"].append({**second, "id": "c2"})
    (pair,) = mined(session(ASK, both, tools=(WEATHER, ORDER)), config=REPAIR).pairs
    assert calls_of(pair.chosen) == [
        ("weather", '{"city": "Oslo"}'),
        ("order", '{"order_id": "17"}'),
    ]
    assert pair.edits == ("quote /order_id (call 1)",)


@pytest.mark.parametrize(
    ("text", "want", "edits"),
    [
        ('```json\n{"city": "Oslo"}\n```', '{"city": "Oslo"}', ("unfence",)),
        ('Here it is:\n{"city": "Oslo"}\nDone.', '{"city": "Oslo"}', ("drop-words-around",)),
        ("```\n{'city': 'Oslo'}\n```", '{"city": "Oslo"}', ("unfence", "quotes")),
    ],
)
def test_a_structured_answer_is_unwrapped(text, want, edits):
    (pair,) = mined(session(ASK, said(text), schema=ANSWER, tools=()), config=REPAIR).pairs
    assert (pair.chosen.text, pair.edits) == (want, edits)


def test_a_list_that_ran_into_the_limit_ends_after_its_last_whole_element():
    text = '{"city": "Oslo", "days": [{"d": 1}, {"d": 2}, {"d'
    row = said(text, finish_reason="length")
    (pair,) = mined(session(ASK, row, schema=ANSWER, tools=()), config=REPAIR).pairs
    assert pair.chosen.text == '{"city": "Oslo", "days": [{"d": 1}, {"d": 2}]}'
    assert (pair.chosen.finish_reason, pair.cut) == ("stop", True)
    assert pair.edits == ("drop-unfinished-element close",)


def test_a_call_that_ran_into_the_limit_is_not_repaired():
    row = called("order", '{"order_id": "17", "rows": [1, 2', finish_reason="length")
    assert mined(session(ASK, row, tools=(ORDER,)), config=REPAIR).pairs == ()


def test_an_error_that_no_edit_explains_keeps_the_answer_from_being_repaired():
    wrong = called("order", '{"order_id": 17}')
    other = called("weather", {"city": "Oslo"})["tool_calls"][0]
    wrong["tool_calls"].append({**other, "id": "c2"})
    answers = (
        {**result("stored", error=False)},
        {
            "role": "tool",
            "tool_call_id": "c2",
            "content": "invalid city: not found",
            "is_error": True,
        },
    )
    found = mined(session(ASK, wrong, *answers, tools=(WEATHER, ORDER)), config=REPAIR)
    assert found.pairs == ()


def test_only_failures_that_nothing_else_paired_are_repaired():
    rows = (
        ASK,
        called("weather", '{"city": "Oslo", "days": "3"}'),
        result("days: not an integer", error=True),
        called("weather", '{"city": "Oslo", "days": 3}'),
        result("sunny", error=False),
    )
    both = replace(TRAIN_ONLY, sources=("retry", "repair"))
    assert [p.source for p in mined(session(*rows), config=both).pairs] == ["retry"]
    assert [p.source for p in mined(session(*rows), config=REPAIR).pairs] == ["repair"]


def leaves(value):
    if isinstance(value, dict):
        return [leaf for v in value.values() for leaf in leaves(v)]
    return [leaf for v in value for leaf in leaves(v)] if isinstance(value, list) else [value]


SAID = st.sampled_from(["17", 17, "3", 3, None, True, "Extra Large", "extra-large", [3], "[3]", 4])


@given(st.dictionaries(st.sampled_from(["order_id", "orderId", "days", "size", "x"]), SAID))
def test_whatever_is_repaired_was_written_by_the_model(arguments):
    text = json.dumps(arguments)
    for (_, made), edits in repaired("order", text):
        assert edits
        known = {str(leaf) for leaf in leaves(arguments)} | {"extra-large", "3"}
        assert {str(leaf) for leaf in leaves(json.loads(made))} <= known


def test_repair_is_found_by_its_name():
    assert MineConfig(sources=("repair",)).sources == ("repair",)
