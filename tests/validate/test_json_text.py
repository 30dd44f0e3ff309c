from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from misstep.validate.strict_json import lists, parse, partial, walk


def suite() -> Path:
    corpus = os.environ.get("MISSTEP_CORPUS")
    folder = Path(corpus or "absent") / "suites" / "JSONTestSuite" / "test_parsing"
    if not folder.is_dir():
        pytest.skip("MISSTEP_CORPUS does not point to a folder with suites/JSONTestSuite")
    return folder


def read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape")


def test_every_text_that_must_parse_has_a_value_and_only_twice_named_keys_are_reported():
    files = sorted(suite().glob("y_*.json"))
    parsed = {path.stem: parse(read(path)) for path in files}
    assert len(files) == 95
    assert [name for name, got in parsed.items() if not got.ok] == []
    assert {name: got.fault.code for name, got in parsed.items() if got.fault} == {
        "y_object_duplicated_key": "JSON_DUP_KEY",
        "y_object_duplicated_key_and_value": "JSON_DUP_KEY",
    }


def test_every_text_that_must_not_parse_has_a_json_code():
    files = sorted(suite().glob("n_*.json"))
    parsed = {path.stem: parse(read(path)) for path in files}
    assert len(files) == 188
    assert [name for name, got in parsed.items() if got.ok or got.fault is None] == []
    assert {got.fault.code.split("_")[0] for got in parsed.values()} == {"JSON"}


def test_no_text_of_the_suite_raises_whatever_it_may_do():
    for path in sorted(suite().glob("i_*.json")):
        got = parse(read(path))
        assert got.ok or got.fault is not None


@given(st.text(alphabet='{}[]",:\\ \n`0123eE+-.trufalsnNITFijoyé\ud800', max_size=60))
def test_a_text_has_a_value_or_a_fault_and_never_raises(text):
    got = parse(text)
    assert got.ok or got.fault is not None
    partial(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=20,
    )
)
def test_what_a_strict_writer_writes_is_read_back(value):
    import json

    try:
        text = json.dumps(value, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:
        return
    got = parse(text)
    assert got.fault is None
    assert got.value == value


@pytest.mark.parametrize("opening", ["[", '{"a":', "[[", '{"a":[', "```json\n[", "see [", "{'a':"])
def test_a_depth_of_a_hundred_thousand_is_a_fault_and_takes_no_time(opening):
    start = time.process_time()
    got = parse(opening * 100_000)
    assert got.fault is not None
    assert time.process_time() - start < 2


def test_a_megabyte_of_braces_in_prose_takes_no_time():
    start = time.process_time()
    assert parse("say { or [ " * 100_000).fault is not None
    assert time.process_time() - start < 2


def test_the_place_of_a_fault_counts_characters_not_bytes():
    got = parse('{"é": "ü" x}')
    assert got.fault.span == (10, 11)


def test_the_rest_of_a_stopped_text_can_still_be_read():
    assert partial('{"items": ["a", "b') == {"items": ["a", "b"]}


def test_walking_gives_json_pointers_with_their_escapes():
    pointers = dict(walk({"a/b": [1], "c~d": None}))
    assert pointers["/a~1b/0"] == 1
    assert pointers["/c~0d"] is None


def test_lists_are_found_with_their_pointers():
    assert dict(lists({"a/b": [[1], {"c": []}], "d": {"e": 2}})) == {
        "/a~1b": [[1], {"c": []}],
        "/a~1b/0": [1],
        "/a~1b/1/c": [],
    }


def test_a_long_fraction_is_not_a_large_integer():
    assert parse('{"v": 0.12345678901234567, "w": [12.5e10]}').notes == ()
    assert [n.code for n in parse('{"v": 12345678901234567}').notes] == ["JSON_BIGINT_LOSS"]
