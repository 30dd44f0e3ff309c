"""Excerpts around a span, and the place of a JSON pointer in a text."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logs import RIGHT, session, write
from misstep.config import RunConfig
from misstep.pipeline.excerpt import LINES, runs
from misstep.pipeline.locate import locate
from misstep.pipeline.scan import tell

TEXT = '{"a": [1, {"b/c": "x\\"}]"}, true], "d~": {"e": -1.5e3}, "": null}'


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", TEXT),
        ("/a", '[1, {"b/c": "x\\"}]"}, true]'),
        ("/a/0", "1"),
        ("/a/1", '{"b/c": "x\\"}]"}'),
        ("/a/1/b~1c", '"x\\"}]"'),
        ("/a/2", "true"),
        ("/d~0/e", "-1.5e3"),
        ("/", "null"),
    ],
)
def test_a_pointer_leads_to_its_value(pointer, value):
    place = locate(TEXT, pointer)
    assert place is not None
    assert TEXT[place.start : place.end] == value


@pytest.mark.parametrize("pointer", ["/b", "/a/3", "/a/b", "/d~0/e/f", "/a/1/b"])
def test_a_pointer_to_nothing_has_no_place(pointer):
    assert locate(TEXT, pointer) is None


def test_the_key_of_a_value_is_found_too():
    place = locate(TEXT, "/d~0/e")
    assert place is not None
    assert TEXT[place.key : place.end] == '"e": -1.5e3'


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


def places(value, pointer=""):
    yield pointer, value
    if isinstance(value, dict):
        for key, inner in value.items():
            token = key.replace("~", "~0").replace("/", "~1")
            yield from places(inner, f"{pointer}/{token}")
    if isinstance(value, list):
        for at, inner in enumerate(value):
            yield from places(inner, f"{pointer}/{at}")


@given(values, st.booleans(), st.sampled_from([None, 2]))
def test_every_value_of_a_text_is_found(value, ascii_only, indent):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    for pointer, inner in places(value):
        place = locate(text, pointer)
        assert place is not None
        assert json.loads(text[place.start : place.end]) == inner


@given(st.text(alphabet='{}[]:,"\\ab1 ', max_size=60), st.text(alphabet="/ab10~", max_size=8))
def test_broken_text_never_raises(text, pointer):
    place = locate(text, pointer)
    assert place is None or 0 <= place.key <= place.start < place.end <= len(text)


@pytest.mark.parametrize("text", ["[" * 300_000, '{"a":' * 200_000, '"' + "\\" * 999_999])
def test_deep_and_long_text_ends_soon(text):
    started = time.process_time()
    locate(text, "/a/a/a")
    assert time.process_time() - started < 3


@given(st.text(max_size=3000), st.integers(0, 3000), st.integers(0, 3000))
def test_runs_hold_the_marked_text_and_say_what_is_left_out(text, start, length):
    span = (min(start, len(text)), min(start + length, len(text)))
    made = runs(text, span)
    assert all(look in ("", "mark", "gap") for _, look in made)
    gone = sum(int(run.split()[1].replace(",", "")) for run, look in made if look == "gap")
    kept = sum(len(run) for run, look in made if look != "gap")
    assert gone + kept == len(text)


def test_many_lines_are_shortened_like_many_characters():
    made = runs("a\n" * 5000 + "HERE" + "\nb" * 5000, (10_000, 10_004))
    assert [look for _, look in made] == ["gap", "", "mark", "", "gap"]
    assert made[2][0] == "HERE"
    assert made[1][0].count("\n") <= LINES


def test_a_megabyte_without_a_break_is_quick_and_short():
    started = time.process_time()
    for span in (None, (0, 1_000_000), (500_000, 500_010)):
        assert sum(len(run) for run, _ in runs("x" * 1_000_000, span)) < 2_000
    assert time.process_time() - started < 1


def test_a_secret_at_the_edge_of_what_is_shown_is_taken_out_whole():
    secret = "ghp_" + "a1B2c3D4e5" * 4
    for gap in range(200, 320, 7):
        text = "y" * 5000 + " " + secret + " " + "z" * gap + "HERE" + "z" * gap + " " + secret
        at = text.index("HERE")
        made = runs(text, (at, at + 4))
        assert not [run for run, _ in made if "a1B2" in run]
        assert ["HERE", "mark"] in made


def test_a_secret_inside_the_mark_leaves_the_mark_in_its_place():
    secret = "ghp_" + "a1B2c3D4e5" * 4
    text = f'{{"k": "{secret}", "m": "five"}}'
    at = text.index('"five"')
    assert runs(text, (at, at + 6))[1] == ['"five"', "mark"]
    assert runs(text, (6, at - 7))[1] == ['"[REDACTED:github-token]"', "mark"]


def test_a_token_in_the_name_of_a_call_marks_the_name(tmp_path):
    row = session(1, RIGHT % 1)
    function = row["messages"][1]["tool_calls"][0]["function"]
    function["name"] = "set_timer<|channel|>"
    page = tell([write(tmp_path / "log.jsonl", [row])], RunConfig(), page=True).page
    assert page is not None
    for code in ("TOKEN_LEAK", "TOOL_UNKNOWN"):
        (block,) = page["examples"][code][0]["blocks"]
        assert (block["title"], block["named"]) == ("set_timer<|channel|>", True)
        assert [look for _, look in block["runs"]] == [""]
