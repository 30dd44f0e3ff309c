"""The part of a JSON Schema that speaks of one place in a value.

In: a schema as it was compiled, and a JSON pointer into a value. Out: the sub-schema by
`properties` and `items` alone; None where a branch (anyOf and its kin) or a pattern decides, since
then more than one reading is possible.
"""

from __future__ import annotations

from typing import Any

import jsonschema_rs

from misstep.types import ToolSpec
from misstep.validate.schema import compiled


def tokens(pointer: str) -> list[str]:
    """The tokens of a JSON pointer."""
    return [t.replace("~1", "/").replace("~0", "~") for t in pointer.split("/")[1:]]


def schema_at(root: Any, pointer: str) -> dict[str, Any] | None:
    """The sub-schema of the value at the pointer."""
    at = _followed(root, root)
    for token in tokens(pointer):
        if at is None:
            return None
        named = at.get("properties")
        if isinstance(named, dict) and token in named:
            at = _followed(named[token], root)
        elif token.isdigit() and isinstance(at.get("items"), dict):
            at = _followed(at["items"], root)
        else:
            return None
    return at


def _followed(schema: Any, root: Any) -> dict[str, Any] | None:
    """The schema behind local references; None where it is none or leads in a circle."""
    for _ in range(16):
        if not isinstance(schema, dict):
            return None
        target = schema.get("$ref")
        if target is None:
            return schema
        if not isinstance(target, str) or not target.startswith("#"):
            return None
        schema = root
        for token in tokens(target[1:]):
            schema = schema.get(token) if isinstance(schema, dict) else None
    return None


def declared(schema: dict[str, Any]) -> dict[str, Any]:
    """The properties that an object's schema names."""
    named = schema.get("properties")
    return named if isinstance(named, dict) else {}


def options_of(schema: dict[str, Any]) -> list[Any]:
    """The values that a property's schema lists."""
    given = schema.get("enum")
    if isinstance(given, list):
        return given
    return [schema["const"]] if "const" in schema else []


def arguments_of(tool: ToolSpec) -> frozenset[str]:
    """The names of a tool's arguments; none where its schema cannot be used."""
    schema = compiled(tool.parameters).schema if tool.parameters else None
    return frozenset(declared(schema)) if isinstance(schema, dict) else frozenset()


def takes(schema: Any, value: Any) -> bool:
    """Whether a property of this schema could hold the value; True where that is unknown."""
    if not isinstance(schema, dict | bool):
        return True
    try:
        return jsonschema_rs.is_valid(schema, value, offline=True)
    except (ValueError, TypeError):
        return True  # a reference into the rest, or no schema at all
