"""Contracts: what a tools file may say of a tool, and what a result comes to under it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep.contracts import (
    EMPTY,
    contract_of,
    contract_text,
    failed,
    merged,
    off_limits_of,
    resolve,
)
from misstep.types import ToolSpec

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


def of(**entry):
    return contract_of(ToolSpec(name="f", contract=contract_text(entry)))


def test_an_entry_without_a_key_has_no_contract():
    assert contract_text({"name": "f", "parameters": {}}) is None
    assert contract_of(ToolSpec(name="f")) is EMPTY


def test_keys_stand_in_the_entry_its_function_its_contract_or_its_metadata():
    for entry in (
        {"side_effecting": True},
        {"function": {"name": "f", "side_effecting": True}},
        {"contract": {"side_effecting": True}},
        {"metadata": {"side_effecting": True, "failure_when": None}},
    ):
        assert of(**entry).side_effecting is True


def test_mcp_hints_are_read():
    hints = {"readOnlyHint": False, "idempotentHint": True}
    contract = of(annotations=hints, outputSchema={"type": "object"})
    assert (contract.side_effecting, contract.idempotent) == (True, True)
    assert contract.output_schema == '{"type":"object"}'


def test_origins_may_stand_in_the_schema():
    schema = {"properties": {"a": {"x-value-origin": "provided"}, "b": {"items": {"properties": {
        "c": {"x-value-origin": "generated"}}}}}}  # fmt: skip
    contract = contract_of(ToolSpec(name="f", parameters=json.dumps(schema)))
    assert (contract.provided, contract.generated) == ({"a"}, {"c"})


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"side_effecting": "yes"}, "side_effecting: expected true or false, got 'yes'"),
        ({"provided": "a"}, "provided: expected a list of argument names, got 'a'"),
        ({"failure_when": {"pointer": "status", "equals": 1}}, "failure_when: expected a JSON"),
        ({"failure_when": {"pointer": "/a"}}, "failure_when: expected a JSON"),
        ({"failure_when": {"matches": "("}}, "failure_when: expected a JSON"),
        ({"failure_when": {"equals": 1, "cause": "me"}}, "failure_when: expected a JSON"),
        ({"requires": [{"same": ["a"]}]}, "requires: expected tool names"),
        ({"requires": {"tool": "g", "same": {"a": 1}}}, "requires: expected tool names"),
        ({"output_schema": 3}, "output_schema: expected a JSON Schema"),
    ],
)
def test_a_key_of_the_wrong_shape_is_refused(entry, said):
    with pytest.raises(ValueError, match=said):
        contract_text(entry)


def test_off_limits_are_a_list_or_an_object_with_one():
    assert off_limits_of(["a.example"]) == off_limits_of({"sources": ["a.example"]})
    with pytest.raises(ValueError, match="off_limits: expected a list of sources"):
        off_limits_of({"sources": []})


@pytest.mark.parametrize(
    ("rule", "value", "outcome"),
    [
        ({"pointer": "/s", "equals": "no"}, {"s": "no"}, True),
        ({"pointer": "/s", "equals": "no"}, {"s": "yes"}, False),
        ({"pointer": "/s", "equals": "no"}, {"t": "no"}, None),
        ({"pointer": "/s", "equals": 1}, {"s": True}, False),
        ({"pointer": "/s/0", "in": ["no", None]}, {"s": [None]}, True),
        ({"pointer": "/error", "exists": True}, {}, False),
        ({"pointer": "/error", "exists": True}, {"error": None}, True),
        ({"contains": "NOT found"}, "it was not Found", True),
        ({"pointer": "/s", "matches": "^E\\d+"}, {"s": "E12"}, True),
        ({"pointer": "/s", "matches": "^E\\d+"}, {"s": {"E12": 1}}, False),
    ],
)
def test_a_result_is_a_failure_none_or_unknown(rule, value, outcome):
    got = failed(of(failure_when=rule), value)
    assert (got if got is None or got is False else True) is outcome


def test_one_of_several_rules_is_enough():
    contract = of(failure_when=[{"pointer": "/a", "equals": 1}, {"pointer": "/b", "equals": 2}])
    assert failed(contract, {"a": 0, "b": 2})
    assert failed(contract, {"b": 3}) is False
    assert failed(contract, {}) is None


def test_a_pointer_is_followed_through_objects_and_lists():
    assert resolve({"a/b": [{"~": 7}]}, "/a~1b/0/~0") == (True, 7)
    assert resolve({"a": 1}, "/a/b") == (False, None)
    assert resolve(5, "") == (True, 5)


def test_more_is_merged_into_what_is_known():
    assert merged(None, {}) is None
    assert merged('{"polling":true}', {"idempotent": True}) == '{"idempotent":true,"polling":true}'
    assert merged("no json", {"polling": True}) == '{"polling":true}'


@given(JSON)
def test_a_stored_contract_never_raises(value):
    text = json.dumps(dict.fromkeys(("failure_when", "requires", "provided", "polling"), value))
    contract = contract_of(ToolSpec(name="f", contract=text))
    failed(contract, value)
