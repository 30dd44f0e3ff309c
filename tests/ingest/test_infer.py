from __future__ import annotations

import json
import random

import jsonschema_rs
from hypothesis import given
from hypothesis import strategies as st

from misstep.ingest import infer
from misstep.ingest.infer import Shape

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


def schema_of(*objects, firm=True):
    shape = Shape()
    for value in objects:
        shape.take(value)
    return shape.schema(firm=firm)


def test_a_property_is_required_once_enough_objects_always_had_it():
    enough = [{"a": 1, "b": 2}] * infer.REQUIRED_FROM
    assert schema_of(*enough, {"a": 1})["required"] == ["a"]
    assert "required" not in schema_of(*enough[1:])
    assert "required" not in schema_of(*enough, firm=False)


def test_every_type_that_was_seen_is_allowed():
    got = schema_of({"a": 1, "b": "x"}, {"a": 1.5, "b": None}, {"c": [1, "x"]})
    assert got == {
        "type": "object",
        "properties": {
            "a": {"type": "number"},
            "b": {"type": ["string", "null"]},
            "c": {"type": "array", "items": {"type": ["string", "integer"]}},
        },
    }


def seen(*words, often=infer.ENUM_EACH):
    rounds = max(often, infer.ENUM_FROM // len(words) + 1)
    return schema_of(*[{"kind": word} for word in words for _ in range(rounds)])


def test_a_few_words_that_come_back_are_an_enumeration():
    assert seen("file", "folder")["properties"]["kind"]["enum"] == ["file", "folder"]


def test_dates_names_single_values_and_secrets_are_no_enumeration():
    secret = "sk-" + "a1b2c3d4e5" * 4
    for words in (
        ("2024-05-01", "2024-05-02"),
        ("Aarav", "Omar"),
        ("only",),
        tuple("abcdefghi"),
        (secret, secret[::-1]),
    ):
        assert "enum" not in seen(*words)["properties"]["kind"], words


def test_a_value_seen_too_rarely_keeps_the_enumeration_away():
    rows = [{"kind": "file"}] * 60 + [{"kind": "folder"}] * (infer.ENUM_EACH - 1)
    assert "enum" not in schema_of(*rows)["properties"]["kind"]


def test_an_object_whose_keys_are_data_is_a_map():
    assert schema_of(*({f"id{n}": 1} for n in range(100))) == {"type": "object"}


def test_deep_and_broad_values_stay_small():
    deep = {}
    for _ in range(500):
        deep = {"a": deep}
    assert len(json.dumps(schema_of(deep))) < 2000


@given(st.lists(st.dictionaries(st.text(max_size=3), values, max_size=4), max_size=30))
def test_every_value_fits_the_schema_that_it_gave_in_whatever_order(objects):
    got = schema_of(*objects)
    shuffled = objects[:]
    random.Random(1).shuffle(shuffled)
    assert schema_of(*shuffled) == got
    validator = jsonschema_rs.validator_for(got)
    assert all(validator.is_valid(each) for each in objects)
