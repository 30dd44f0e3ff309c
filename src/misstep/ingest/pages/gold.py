"""What should be read on a page: the gold of a row as JSON text that meets the schema.

In: a row, or the value of a gold file. Out: JSON text, byte for byte where the row holds text. Gold
that is empty, no JSON, or outside the schema is a `Misfit`: it would be a target nobody wants.
Plain text (`text`, `transcription`) becomes `{"text": …}`, for pages have no other schema then.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson

from misstep import store
from misstep.config import PagesConfig
from misstep.errors import InputError
from misstep.ingest.format import Misfit
from misstep.ingest.messages import kind_of

JSON_COLUMNS = ("assistant", "gold", "ground_truth", "answer")
"""Columns that hold the gold as JSON text, or as an object."""
TEXT_COLUMNS = ("transcription", "text", "ocr")
"""Columns that hold the plain text, or JSON after all."""
BESIDE = ("id", "page", "family", "document", "document_id", "doc_id")
"""What may stand beside the gold in a file of its own."""
_OWN = "ocr-page"


def schema_text(config: PagesConfig) -> str:
    """The JSON Schema of the gold as JSON text.

    Raises:
        InputError: the user's file cannot be read, or is no JSON Schema.
    """
    return _schema(config.schema)


@lru_cache(maxsize=8)
def _schema(path: str | None) -> str:
    if path is None:
        return orjson.dumps(store.schema(_OWN)).decode()
    try:
        value = orjson.loads(Path(path).read_bytes())
        jsonschema_rs.validator_for(value, offline=True)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give a file with the JSON Schema that "
            "answers must meet"
        ) from None
    except (ValueError, jsonschema_rs.ValidationError) as error:
        said = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: no JSON Schema that can be used: {said}") from None
    return orjson.dumps(value).decode()


@lru_cache(maxsize=8)
def _checker(schema: str) -> Any:
    return jsonschema_rs.validator_for(orjson.loads(schema), offline=True)


def whole_gold(value: Any, schema: str) -> str:
    """The gold of a file of its own: the page itself, or a row that holds it in a column.

    Raises:
        Misfit: as `gold_of`.
    """
    if not isinstance(value, dict) or any(value.get(name) is not None for name in JSON_COLUMNS):
        return gold_of(value, schema)
    own = orjson.loads(schema).get("properties", {})
    bare = {key: inner for key, inner in value.items() if key in own or key not in BESIDE}
    if not (set(bare) & set(TEXT_COLUMNS)) - set(own):
        return _strict(bare, schema, "")
    return gold_of(value, schema)


def gold_of(row: Any, schema: str) -> str:
    """The gold of a row as JSON text.

    Raises:
        Misfit: there is none, it is no JSON object, or it breaks the schema.
    """
    if not isinstance(row, Mapping):
        raise Misfit("", no_object(row), "gold-not-json")
    for name in JSON_COLUMNS:
        if row.get(name) is not None:
            return _strict(row[name], schema, f"/{name}")
    own = orjson.loads(schema).get("properties", {})
    spelled = {key: row[key] for key in own if isinstance(row.get(key), str) and row[key]}
    for name in TEXT_COLUMNS:
        if isinstance(row.get(name), str) and set(spelled) <= {name}:
            return _text(row[name], schema, f"/{name}")
    if not spelled:
        raise Misfit("", _no_gold(row, own), "empty-gold")
    return _met(spelled, orjson.dumps(spelled).decode(), schema, "")


def _no_gold(row: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """What a row without gold has, and what was expected of it."""
    names = (*JSON_COLUMNS[:1], "text", "transcription", *own)
    expected = ", ".join(dict.fromkeys(names))
    held = ", ".join(f"{str(key)[:40]} ({kind_of(value)})" for key, value in list(row.items())[:8])
    return f"no column with gold: expected text in {expected}; the row has {held or 'nothing more'}"


def no_object(value: Any) -> str:
    """What is said of gold that is no object."""
    said = f"gold: expected an object, got {kind_of(value)}"
    return f'{said}; plain text is written {{"text": "…"}}' if isinstance(value, str) else said


def _text(text: str, schema: str, at: str) -> str:
    """Plain text, unless it is the JSON of a page."""
    if text.lstrip()[:1] == "{":
        try:
            return _strict(text, schema, at)
        except Misfit as misfit:
            if misfit.reason == "empty-gold":
                raise
    if not text.strip():
        raise Misfit(at, "the gold is empty", "empty-gold")
    value = {"text": text}
    return _met(value, orjson.dumps(value).decode(), schema, at)


def _strict(gold: Any, schema: str, at: str) -> str:
    """Gold that has to be JSON already."""
    text = gold if isinstance(gold, str) else None
    value = gold
    if text is not None:
        if not text.strip():
            raise Misfit(at, "the gold is empty", "empty-gold")
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise Misfit(at, f"the gold is no JSON: {error}", "gold-not-json") from None
    if isinstance(value, Mapping) and set(value) == {"gt_parse"}:
        text, value = None, value["gt_parse"]
    if not isinstance(value, dict):
        raise Misfit(at, no_object(value), "gold-not-json")
    return _met(value, text or orjson.dumps(value).decode(), schema, at)


def _met(value: Mapping[str, Any], text: str, schema: str, at: str) -> str:
    if not any(inner.strip() if isinstance(inner, str) else inner for inner in value.values()):
        raise Misfit(at, "the gold is empty", "empty-gold")
    error = next(iter(_checker(schema).iter_errors(value)), None)
    if error is not None:
        where = "/".join(str(step) for step in error.instance_path)
        named = ", ".join(orjson.loads(schema).get("properties", {}))
        said = (
            f"the gold breaks the schema at /{where}: {' '.join(error.message.split())[:160]}; "
            f"its fields are {named[:160] or 'not named'}, and --schema FILE gives another one"
        )
        raise Misfit(at, said, "gold-breaks-schema")
    return text
