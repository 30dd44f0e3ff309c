from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest

from misstep.validate.schema import MAX_BREACHES, breaches, compiled, undeclared

DRAFTS = {
    "draft4": "http://json-schema.org/draft-04/schema#",
    "draft6": "http://json-schema.org/draft-06/schema#",
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}
# draft: (required tests, of which the schema needs a remote document and cannot be used)
COUNTS = {
    "draft4": (618, 17),
    "draft6": (839, 23),
    "draft7": (927, 23),
    "draft2019-09": (1259, 31),
    "draft2020-12": (1299, 44),
}
# formats are checked, where the suite's newest draft reads them as notes; a custom metaschema
# is read as the standard one
ON_PURPOSE = {"draft2019-09": {"vocabulary"}, "draft2020-12": {"format", "vocabulary"}}


def groups(draft: str):
    corpus = os.environ.get("MISSTEP_CORPUS")
    folder = Path(corpus or "absent") / "suites" / "JSON-Schema-Test-Suite" / "tests" / draft
    if not folder.is_dir():
        pytest.skip("MISSTEP_CORPUS does not point to a folder with the JSON Schema suite")
    for path in sorted(folder.glob("*.json")):
        for group in json.loads(path.read_text(encoding="utf-8")):
            yield path.stem, group


@pytest.mark.parametrize("draft", DRAFTS)
def test_the_required_tests_of_a_draft_agree_except_where_we_differ_on_purpose(draft):
    ran, unusable, wrong = 0, 0, set()
    for name, group in groups(draft):
        schema = group["schema"]
        if isinstance(schema, dict):
            schema = {"$schema": DRAFTS[draft]} | schema
        known = compiled(json.dumps(schema))
        for test in group["tests"]:
            ran += 1
            list(undeclared(known, test["data"]))
            if known.problem:
                unusable += 1
            elif test["valid"] is any(True for _ in breaches(known, test["data"])):
                wrong.add(name)
    assert (ran, unusable) == COUNTS[draft]
    assert wrong == ON_PURPOSE.get(draft, set())


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
    start = time.perf_counter()
    for pattern in patterns:
        assert codes({"pattern": pattern}, "a" * 5000 + "!")
    assert time.perf_counter() - start < 5


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


def test_a_million_errors_are_cut():
    schema = {"type": "array", "items": {"type": "string"}}
    assert len(codes(schema, [1] * 100_000)) == MAX_BREACHES


def test_a_property_called_type_is_not_a_type():
    schema = {"type": "dict", "properties": {"type": {"type": "str"}, "any": {"type": "any"}}}
    assert codes(schema, {"type": "x", "any": 3}) == []
    assert codes(schema, {"type": 3}) == ["WRONG_TYPE"]


def test_lone_surrogates_and_large_numbers_do_not_raise():
    assert codes({"type": "string"}, 10**400) == ["WRONG_TYPE"]
