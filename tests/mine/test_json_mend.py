"""Text that is nearly JSON: what is mended, what is left alone, and that nothing is made up."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep.mine.json_mend import mended

WHOLE = [
    ("{'order_id': 'A31'}", '{"order_id": "A31"}', ("quotes",)),
    ("{'a': 'say \"x\"'}", '{"a": "say \\"x\\""}', ("quotes",)),
    ('{"a": "it\\\'s"}', '{"a": "it\'s"}', ("escape",)),
    ("{“a”: “b”}", '{"a": "b"}', ("quotes",)),
    ('{a: 1, b_2: "x"}', '{"a": 1, "b_2": "x"}', ("quotes",)),
    ('{"command": "ls -l", }', '{"command": "ls -l" }', ("trailing-comma",)),
    ('{"a": [1, 2,], }', '{"a": [1, 2] }', ("trailing-comma",)),
    ('{"a": True, "b": None}', '{"a": true, "b": null}', ("literal",)),
    ('{"a": "one\ntwo"}', '{"a": "one\\ntwo"}', ("escape",)),
    ('{"author": "Jansson"', '{"author": "Jansson"}', ("close",)),
    ('{"a": {"b": [true', '{"a": {"b": [true]}}', ("close",)),
    ('{"a": ["x", "y"}', '{"a": ["x", "y"]}', ("brackets",)),
    ('{"a": ["x"])}\n', '{"a": ["x"]}', ("brackets",)),
    ('{"a": "x"}}', '{"a": "x"}', ("brackets",)),
    ('{"a": [1]', '{"a": [1]}', ("close",)),
    ("{'a': True, }", '{"a": true }', ("quotes", "literal", "trailing-comma")),
]

LEFT_ALONE = [
    '{"a": 1',  # 1 may be the beginning of 12
    '{"a": "x',
    '{"a": "x", ',  # a comma says that something was to follow
    '{"a":',
    '{"a',
    "{",
    "[",
    '{"a": 1 "b": 2}',
    '{"a": three}',
    '{"a": NaN}',
    '{"a": 05}',
    '{"a": 1}, "b": 2}',
    '{"a": 1], "b": 2}',
    '{"a": ]',
    '{"a": 1,]',
    "}}",
    '{"a": "\\x41"}',
    '{"label":"pasta,"value:0.4}',
    '{"a": 1}',  # nothing is wrong with it
    "",
]

STOPPED = [
    ('{"rows":[{"x":1},{"x":2},{"x":', '{"rows":[{"x":1},{"x":2}]}'),
    ('{"rows":[{"x":1},{"x":2,"t":["a","b', '{"rows":[{"x":1}]}'),
    ('["a", "b", "c', '["a", "b"]'),
    ("[1,2,", "[1,2]"),
    ('[[1,2],[3,"a', "[[1,2]]"),
]


@pytest.mark.parametrize(("text", "want", "edits"), WHOLE)
def test_what_leaves_no_choice_is_mended(text, want, edits):
    done = mended(text)
    assert (done.text, done.edits) == (want, edits)
    json.loads(done.text)


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_what_would_be_a_guess_is_left_alone(text):
    assert mended(text) is None


@pytest.mark.parametrize(("text", "want"), STOPPED)
def test_a_list_that_was_stopped_ends_after_its_last_whole_element(text, want):
    assert mended(text, cut=True).text == want


@pytest.mark.parametrize("text", ['{"a": "x"', '{"a": [1, 2], "b": "x', '{"rows":[{"x":', "[1"])
def test_without_a_whole_element_of_an_open_list_nothing_can_be_ended(text):
    assert mended(text, cut=True) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def leaves(value):
    if isinstance(value, dict):
        return [leaf for k, v in value.items() for leaf in (k, *leaves(v))]
    return [leaf for v in value for leaf in leaves(v)] if isinstance(value, list) else [value]


@given(JSON, st.integers(min_value=1, max_value=60), st.booleans())
def test_no_value_is_made_up_for_a_text_that_stops(value, kept, cut):
    text = json.dumps(value)[:kept]
    done = mended(text, cut=cut)
    if done is not None:
        known = leaves(value)
        assert all(leaf in known for leaf in leaves(json.loads(done.text)))


@given(st.text(alphabet="{}[]:,'\"\\ \nab1T-.rue", max_size=40), st.booleans())
def test_whatever_comes_back_is_json_made_of_the_same_letters(text, cut):
    done = mended(text, cut=cut)
    if done is not None:
        json.loads(done.text)
        extra = re.sub(r"[\s\"'\\{}\[\],:]|true|false|null|u[0-9a-f]{4}|[nrt]", "", done.text)
        assert all(letter in text for letter in extra)
