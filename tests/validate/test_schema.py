from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest

from misstep.validate.schema import MAX_BREACHES, Reading, breaches, compiled, undeclared

DRAFTS = {
    "draft4": "http://json-schema.org/draft-04/schema#",
    "draft6": "http://json-schema.org/draft-06/schema#",
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}
REQUIRED = {
    "draft4": 618,
    "draft6": 839,
    "draft7": 927,
    "draft2019-09": 1259,
    "draft2020-12": 1299,
}
FORMATS = {"draft4": 219, "draft6": 325, "draft7": 676, "draft2019-09": 757, "draft2020-12": 764}


def suite() -> Path:
    root = Path(os.environ.get("MISSTEP_CORPUS", "absent")) / "suites" / "JSON-Schema-Test-Suite"
    if not root.is_dir():
        pytest.skip("MISSTEP_CORPUS does not point to a folder with the JSON Schema suite")
    return root


def remotes(draft: str):
    """The suite's remote documents; those without `$schema` are of the draft that is tested."""
    for path in sorted((suite() / "remotes").rglob("*.json")):
        at = path.relative_to(suite() / "remotes").as_posix()
        document = json.loads(path.read_text(encoding="utf-8"))
        home = at.split("/")[0]
        if isinstance(document, dict) and not home.startswith("v"):
            document = {"$schema": DRAFTS.get(home, DRAFTS[draft])} | document
            yield f"http://localhost:1234/{at}", json.dumps(document)


def differing(draft: str, pattern: str, reading: Reading) -> tuple[int, list[str]]:
    """How many tests there are, and which of them are judged wrongly."""
    ran, wrong = 0, []
    for path in sorted((suite() / "tests" / draft).glob(pattern)):
        for group in json.loads(path.read_text(encoding="utf-8")):
            schema = group["schema"]
            if isinstance(schema, dict):
                schema = {"$schema": DRAFTS[draft]} | schema
            known = compiled(json.dumps(schema), reading)
            for test in group["tests"]:
                ran += 1
                list(undeclared(known, test["data"]))
                fits = not any(True for _ in breaches(known, test["data"]))
                if known.problem or fits != test["valid"]:
                    wrong.append(f"{path.stem}: {group['description']}: {test['description']}")
    return ran, wrong


@pytest.mark.parametrize("draft", DRAFTS)
def test_every_required_test_of_a_draft_agrees_where_formats_are_what_the_draft_says(draft):
    reading = Reading(formats="draft", documents=tuple(remotes(draft)))
    assert differing(draft, "*.json", reading) == (REQUIRED[draft], [])


@pytest.mark.parametrize("draft", DRAFTS)
def test_every_format_of_a_draft_is_asserted_by_default(draft):
    assert differing(draft, "optional/format/*.json", Reading()) == (FORMATS[draft], [])


def test_by_default_the_suite_differs_in_formats_that_its_newest_draft_only_notes():
    reading = Reading(documents=tuple(remotes("draft2020-12")))
    ran, wrong = differing("draft2020-12", "*.json", reading)
    assert (ran, len(wrong)) == (1299, 19)
    assert {line.split(":")[0] for line in wrong} == {"format"}


def codes(schema, value) -> list[str]:
    return sorted(b.code for b in breaches(compiled(json.dumps(schema)), value))


def test_a_schema_is_compiled_once_however_often_it_is_used():
    text = json.dumps({"type": "object", "title": "compiled once"})
    assert compiled(text) is compiled(text)


def test_a_remote_reference_opens_no_connection(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a schema tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for target in ("https://example.com/a.json", "file:///etc/hostname", "//example.com/b"):
        assert compiled(json.dumps({"$ref": target})).problem


def test_a_catastrophic_pattern_ends_soon():
    patterns = ["^(a+)+$", "^(a|aa)+$(?!x)", "^(?=(a+)+b)(a+)+$", "^(([a-z])+.)+[A-Z]([a-z])+$"]
    start = time.process_time()
    for pattern in patterns:
        assert codes({"pattern": pattern}, "a" * 5000 + "!")
    assert time.process_time() - start < 5


def test_a_pattern_that_would_compile_to_gigabytes_is_refused():
    assert compiled(json.dumps({"pattern": "(?:(?:a{1,1000}){1,1000}){1,1000}"})).problem


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", '"object"', "3", "{", '{"type": 7}', '{"properties": 3}', '{"$ref": 1}',
     '{"$schema": "http://example.com/mine", "type": "wrong"}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_schema_says_so(text):
    assert compiled(text).problem


@pytest.mark.parametrize(
    "schema",
    [{"$ref": "#"}, {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
     {"properties": {"a": {"$ref": "#"}}}],
)  # fmt: skip
def test_a_schema_that_refers_to_itself_ends(schema):
    known = compiled(json.dumps(schema))
    value = {"a": {"a": {"a": {"b": 1}}}}
    list(breaches(known, value))
    list(undeclared(known, value))


def test_an_unknown_metaschema_is_read_as_the_newest_draft():
    schema = {"$schema": "http://example.com/mine", "type": "object", "required": ["a"]}
    assert codes(schema, {}) == ["MISSING_REQUIRED"]


@pytest.mark.parametrize(
    ("bounds", "fit", "break_it"),
    [
        ({"minimum": 0, "exclusiveMinimum": True}, (0.1, 1), (0, -1)),
        ({"maximum": 0, "exclusiveMaximum": True}, (-0.1, -1), (0, 1)),
        ({"minimum": 0, "exclusiveMinimum": False, "maximum": 1}, (0, 1), (-1, 2)),
        ({"minimum": 0, "exclusiveMinimum": True, "exclusiveMaximum": 0.9}, (0.5,), (0, 0.9)),
        ({"exclusiveMinimum": True}, (0, -1), ()),
    ],
)
@pytest.mark.parametrize(
    "head", [{}, {"$schema": DRAFTS["draft7"]}, {"$schema": DRAFTS["draft4"]}, {"type": "dict"}]
)
def test_draft_4s_flags_of_bounds_are_read_in_every_schema(head, bounds, fit, break_it):
    if head.get("$schema") == DRAFTS["draft4"] and bounds.get("exclusiveMaximum") == 0.9:
        bounds = bounds | {"maximum": 0.9, "exclusiveMaximum": True}
    schema = {"type": "object", "properties": {"a": {"items": bounds}}} | head
    assert [codes(schema, {"a": [value]}) for value in fit] == [[]] * len(fit)
    assert [codes(schema, {"a": [value]}) for value in break_it] == [["RANGE"]] * len(break_it)


def test_a_type_of_another_dialect_in_a_schema_of_draft_4_leaves_its_flags():
    number = {"type": "float", "minimum": 0, "exclusiveMinimum": True}
    schema = {"$schema": DRAFTS["draft4"], "type": "object", "properties": {"a": number}}
    assert codes(schema, {"a": 0}) == ["RANGE"]
    assert codes(schema, {"a": 0.1}) == []


def test_a_million_errors_are_cut():
    schema = {"type": "array", "items": {"type": "string"}}
    assert len(codes(schema, [1] * 100_000)) == MAX_BREACHES


def test_a_property_called_type_is_not_a_type():
    schema = {"type": "dict", "properties": {"type": {"type": "str"}, "any": {"type": "any"}}}
    assert codes(schema, {"type": "x", "any": 3}) == []
    assert codes(schema, {"type": 3}) == ["WRONG_TYPE"]


def test_lone_surrogates_and_large_numbers_do_not_raise():
    assert codes({"type": "string"}, 10**400) == ["WRONG_TYPE"]
