"""Places in a JSON text: one member changes, every other character stays."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep.mine.json_places import dropped, place_of, places, renamed, replaced

TEXT = '{ "a" : 1.50, "b": {"c": [1, "x,}", {"d": null}], "e": {}}, "f/g": [ ] }'


@pytest.mark.parametrize(
    ("pointer", "want"),
    [
        ("/a", '{ "b": {"c": [1, "x,}", {"d": null}], "e": {}}, "f/g": [ ] }'),
        ("/b", '{ "a" : 1.50, "f/g": [ ] }'),
        ("/b/c/0", '{ "a" : 1.50, "b": {"c": ["x,}", {"d": null}], "e": {}}, "f/g": [ ] }'),
        ("/b/c/1", '{ "a" : 1.50, "b": {"c": [1, {"d": null}], "e": {}}, "f/g": [ ] }'),
        ("/b/c/2/d", '{ "a" : 1.50, "b": {"c": [1, "x,}", {}], "e": {}}, "f/g": [ ] }'),
        ("/f~1g", '{ "a" : 1.50, "b": {"c": [1, "x,}", {"d": null}], "e": {}}}'),
    ],
)
def test_a_dropped_member_takes_its_comma_and_nothing_else(pointer, want):
    got = dropped(TEXT, place_of(TEXT, pointer))
    assert got.replace(" ", "") == want.replace(" ", "")
    json.loads(got)


def test_a_replaced_value_leaves_the_rest_as_it_was_written():
    assert replaced(TEXT, place_of(TEXT, "/b/c/0"), '"one"') == TEXT.replace("[1,", '["one",')


def test_a_renamed_key_leaves_the_rest_as_it_was_written():
    assert renamed(TEXT, place_of(TEXT, "/a"), "ä") == TEXT.replace('"a" :', '"ä" :')


def test_a_key_that_stands_twice_has_no_place_of_its_own():
    assert place_of('{"a": 1, "a": 2}', "/a") is None
    assert len(places('{"a": 1, "a": 2}')["/a"]) == 2


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(VALUES, st.sampled_from([None, 1, 3]), st.booleans())
def test_every_place_holds_the_value_that_its_pointer_names(value, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    for pointer, found in places(text).items():
        at = value
        for token in (t.replace("~1", "/").replace("~0", "~") for t in pointer.split("/")[1:]):
            at = at[int(token)] if isinstance(at, list) else at[token]
        assert [json.loads(text[slice(*place.value)]) for place in found] == [at]


@given(st.dictionaries(st.text(max_size=4), VALUES, min_size=1, max_size=4), st.data())
def test_dropping_a_member_drops_it_from_the_value(value, data):
    text = json.dumps(value, indent=data.draw(st.sampled_from([None, 2])))
    key = data.draw(st.sampled_from(sorted(value)))
    place = place_of(text, "/" + key.replace("~", "~0").replace("/", "~1"))
    rest = {k: v for k, v in value.items() if k != key}
    assert json.loads(dropped(text, place)) == rest
