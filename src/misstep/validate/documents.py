"""Schemas that other schemas refer to, from a folder of the user's: nothing is ever fetched.

In: a folder of JSON Schemas (`*.json`, at any depth). Out: `Documents`: URI and text of each, under
its own `$id` and under its path in the folder, so that `{"$ref": "address.json"}` in a schema
without an `$id` finds `address.json`. A document may also be the metaschema that `$schema` names.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import jiter
import jsonschema_rs

from misstep.errors import InputError

Documents = tuple[tuple[str, str], ...]
"""URI and JSON text of each document."""
_HERE = "json-schema:///"
"""The base against which jsonschema-rs resolves references of a schema without an `$id`."""


def documents(folder: Path) -> Documents:
    """The documents of a folder.

    Raises:
        InputError: the folder holds none, one is no JSON Schema, or one refers to what is
            not there.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*.json")):
        text, own = _read(path)
        at = path.relative_to(folder).as_posix()
        if own is not None and own in found:
            raise InputError(f"{path}: another document has the $id {own!r}; leave one of them")
        found[own if own is not None else _HERE + at] = text
    if not found:
        raise InputError(f"{folder}: holds no *.json; give a folder of JSON Schemas")
    made = tuple(found.items())
    try:
        registry(made)
    except ValueError as error:
        raise InputError(f"{folder}: {' '.join(str(error).split())}") from None
    return made


def _read(path: Path) -> tuple[str, str | None]:
    try:
        data = path.read_bytes()
        value = jiter.from_json(data)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(value, dict | bool):
        raise InputError(f"{path}: expected a JSON Schema, got {type(value).__name__}")
    own = (value.get("$id") or value.get("id")) if isinstance(value, dict) else None
    return data.decode("utf-8"), own if isinstance(own, str) and ":" in own else None


@lru_cache(maxsize=8)
def registry(known: Documents) -> Any:
    """The documents as jsonschema-rs wants them.

    Raises:
        ValueError: one refers to a document that is not among them.
    """
    loaded = [(uri, jiter.from_json(text.encode())) for uri, text in known]
    return jsonschema_rs.Registry(loaded, retriever=_refuse)


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is not among the documents, and nothing is fetched")
