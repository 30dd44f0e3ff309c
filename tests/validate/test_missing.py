"""What a scan could not check, and what it says to add."""

from __future__ import annotations

import json

from misstep.validate import WANTS, Settings, validate
from validate.building import session, tool

ASK = {"role": "user", "content": "go"}
SCHEMA = {"type": "object"}


def unchecked(*messages, tools=()):
    return validate(session({"messages": [ASK, *messages], "tools": tools}), Settings()).unchecked


def made(name="do", finish_reason="tool_calls", **arguments):
    call = {"name": name, "id": "c", "arguments": json.dumps(arguments)}
    return {"role": "assistant", "calls": [call], "finish_reason": finish_reason}


def test_a_bare_call_lacks_schema_result_effect_and_finish_reason():
    last = {"role": "assistant", "content": "done", "finish_reason": "stop"}
    got = unchecked(made(finish_reason=None), last)
    assert got == {"finish": 1, "schema": 1, "effect": 1, "result": 1, "format": 1}


def test_the_last_step_owes_no_result():
    assert "result" not in unchecked(made())


def test_a_contract_lights_the_checks_up():
    told = {"failure_when": {"equals": "bad"}, "side_effecting": False}
    back = {"role": "tool", "content": "fine", "tool_call_id": "c"}
    assert unchecked(made(), back, tools=[tool("do", SCHEMA)]) == {"effect": 1, "outcome": 1}
    assert unchecked(made(), back, tools=[tool("do", SCHEMA, **told)]) == {}


def test_identifiers_of_unseen_sources_are_counted():
    first = made()
    assert unchecked(first, made(order_id="W58213"))["origin"] == 1
    assert "origin" not in unchecked(first, made(order_id="soon"))


def test_every_want_says_what_to_add():
    assert all(want.name == name and want.said and want.add for name, want in WANTS.items())
