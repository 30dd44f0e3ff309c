from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from misstep.config import ValidateConfig
from misstep.errors import InputError
from misstep.types import Context, Message, Part, Session
from misstep.validate import own_identity, settings, validate

ASKED = Message(role="user", parts=(Part(kind="text", text="an order"),))
ADDRESS = {"type": "object", "required": ["street"], "properties": {"since": {"format": "date"}}}


def folder(tmp_path: Path, **documents: object) -> str:
    for name, document in documents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    return str(tmp_path)


def found(schema: dict, value: object, **config: str) -> list[str]:
    answer = Message(
        role="assistant", parts=(Part(kind="text", text=json.dumps(value)),), context=0,
        finish_reason="stop",
    )  # fmt: skip
    session = Session(
        id="s", format="test", messages=(ASKED, answer),
        contexts=(Context(response_schema=json.dumps(schema)),),
    )  # fmt: skip
    judged = validate(session, settings(ValidateConfig(**config)))
    return [f"{f.code} {f.where}" for f in judged.findings if f.level == "defect"]


def test_a_reference_to_a_document_by_its_path_is_followed(tmp_path):
    given = folder(tmp_path, address=ADDRESS)
    schema = {"properties": {"to": {"$ref": "address.json"}}}
    assert found(schema, {"to": {}}, documents=given) == ["MISSING_REQUIRED /to/street"]
    assert found(schema, {"to": {}}) == []  # without it the schema cannot be used


def test_a_reference_by_id_opens_no_connection(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a schema tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    given = folder(tmp_path, a={"$id": "https://example.com/address", **ADDRESS})
    schema = {"properties": {"to": {"$ref": "https://example.com/address"}}}
    assert found(schema, {"to": {}}, documents=given) == ["MISSING_REQUIRED /to/street"]


def test_a_metaschema_of_ones_own_decides_what_a_keyword_means(tmp_path):
    core = "https://json-schema.org/draft/2020-12/vocab/core"
    given = folder(tmp_path, meta={
        "$id": "https://example.com/meta", "$vocabulary": {core: True},
        "$schema": "https://json-schema.org/draft/2020-12/schema",
    })  # fmt: skip
    schema = {"$schema": "https://example.com/meta", "minimum": 10}
    assert found(schema, 3, documents=given) == []
    assert found(schema, 3) == ["RANGE "]


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ({}, "holds no"),
        ({"a": [1]}, "expected a JSON Schema"),
        ({"a": {"$ref": "https://example.com/absent"}}, "nothing is fetched"),
        ({"a": {"$id": "urn:a"}, "b": {"$id": "urn:a"}}, "another document"),
    ],
)
def test_a_folder_that_cannot_be_used_says_why(tmp_path, documents, said):
    given = folder(tmp_path, **documents)
    with pytest.raises(InputError, match=said):
        settings(ValidateConfig(documents=given))


def test_a_changed_document_judges_a_run_anew(tmp_path):
    config = ValidateConfig(documents=folder(tmp_path, address=ADDRESS))
    before = own_identity(config)
    folder(tmp_path, address={**ADDRESS, "maxProperties": 4})
    assert own_identity(config) != before


@pytest.mark.parametrize(
    ("formats", "newest", "older"), [("always", 1, 1), ("draft", 0, 1), ("never", 0, 0)]
)
def test_formats_are_asserted_as_the_user_wants(formats, newest, older):
    for draft, expected in (
        ("https://json-schema.org/draft/2020-12/schema", newest),
        ("http://json-schema.org/draft-07/schema#", older),
    ):
        schema = {"$schema": draft, "properties": {"since": {"format": "date"}}}
        got = found(schema, {"since": "yesterday"}, formats=formats)
        assert got == ["FORMAT /since"] * expected
