"""JSON Schemas compiled once, and their errors told apart by failure code.

In: schema text and a value. Out: `Breach` values: code, JSON pointer, expected against got, tags.
jsonschema-rs judges (Draft 2020-12 unless `$schema` says another), with formats checked and
retrieval disabled, so that a schema can neither fetch nor hang: a remote `$ref`, a schema that is
none, or a pattern beyond the backtracking limit is the tool owner's fault (`TOOL_SCHEMA_INVALID`).
Schemas of benchmark dialects (`dict`, `float`, `tuple`, `any`, upper-case types) are read as what
they mean, in memory only, and only where they do not compile as they stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import jiter
import jsonschema_rs

from misstep.validate.breaches import Breach, read
from misstep.validate.strict_json import escape

MAX_BREACHES = 100
"""Errors of one value that are kept; a list of a million wrong items says it once too often."""
_BACKTRACK_LIMIT = 100_000
_TYPES = {
    "dict": "object",
    "hashmap": "object",
    "map": "object",
    "float": "number",
    "double": "number",
    "int": "integer",
    "long": "integer",
    "short": "integer",
    "byte": "integer",
    "bigint": "integer",
    "bool": "boolean",
    "str": "string",
    "char": "string",
    "tuple": "array",
    "list": "array",
    "arraylist": "array",
    "set": "array",
    "none": "null",
}
_ONE = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_MANY = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_STANDARD = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_OPAQUE = frozenset({"anyOf", "oneOf", "allOf", "if", "not", "patternProperties", "$dynamicRef"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A schema ready for use, or why it cannot be used."""

    schema: Any = None
    validator: Any = None
    problem: str = ""


@lru_cache(maxsize=4096)
def compiled(text: str) -> Compiled:
    """The schema in `text`; each distinct text is compiled once."""
    try:
        schema = jiter.from_json(text.encode("utf-8", "surrogatepass"))
    except ValueError as error:
        return Compiled(problem=f"the schema is not JSON: {error}")
    if not isinstance(schema, dict | bool):
        return Compiled(problem=f"the schema is no object: {text[:80]}")
    problem = ""
    for reading in (schema, translated(schema)):
        try:
            validator = jsonschema_rs.validator_for(
                reading,
                validate_formats=True,
                offline=True,
                pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=_BACKTRACK_LIMIT),
            )
        except ValueError as error:
            problem = problem or f"the schema cannot be used: {error}"
        else:
            return Compiled(schema=reading, validator=validator)
    return Compiled(problem=problem)


def breaches(known: Compiled, value: Any) -> Iterator[Breach]:
    """Every error of `value`, at most `MAX_BREACHES`; none where the schema cannot be used."""
    if known.validator is None or known.validator.is_valid(value):
        return
    errors = known.validator.iter_errors(value)
    yield from islice(read(errors, known.schema), MAX_BREACHES)


def undeclared(known: Compiled, value: Any) -> Iterator[tuple[str, str]]:
    """JSON pointer and name of each property that an open schema does not name, at most 100.

    Looks only where the schema lists properties and says nothing about others; behind anyOf and
    its kin it does not look, since the branch that holds decides there.
    """
    yield from islice(_undeclared(known, value), MAX_BREACHES)


def _undeclared(known: Compiled, value: Any) -> Iterator[tuple[str, str]]:
    todo = [("", known.schema, value)] if isinstance(value, dict | list) else []
    while todo:
        where, schema, at = todo.pop()
        schema = _followed(schema, known.schema)
        if not isinstance(schema, dict) or not _OPAQUE.isdisjoint(schema):
            continue
        if isinstance(at, list) and isinstance(schema.get("items"), dict):
            todo.extend((f"{where}/{i}", schema["items"], item) for i, item in enumerate(at))
        named = schema.get("properties")
        if not isinstance(at, dict) or not isinstance(named, dict):
            continue
        closed = "additionalProperties" in schema or "unevaluatedProperties" in schema
        for key, item in at.items():
            if key in named:
                if isinstance(item, dict | list):
                    todo.append((f"{where}/{escape(key)}", named[key], item))
            elif not closed:
                yield f"{where}/{escape(key)}", key


def _followed(schema: Any, root: Any) -> Any:
    """The schema behind a chain of local references; None where it leads nowhere."""
    for _ in range(16):
        if not isinstance(schema, dict) or "$ref" not in schema:
            return schema
        target = schema["$ref"]
        if not isinstance(target, str) or not target.startswith("#/") or "properties" in schema:
            return None
        schema = root
        for token in target[2:].split("/"):
            token = token.replace("~1", "/").replace("~0", "~")
            schema = schema.get(token) if isinstance(schema, dict) else None
    return None


def translated(schema: Any) -> Any:
    """A copy with the type names of other dialects in standard spelling.

    Also drops an unknown `$schema`, a `required` or `properties` that is no list or object, and
    patterns that no engine takes stay as they are: the schema then cannot be used.
    """
    if not isinstance(schema, dict):
        return schema
    out = dict(schema)
    if not str(out.get("$schema", "")).removesuffix("#").startswith(_KNOWN_DRAFTS):
        out.pop("$schema", None)
    _translate_type(out)
    if not isinstance(out.get("required", []), list):
        del out["required"]
    for key in _NAMED:
        if isinstance(out.get(key), dict):
            out[key] = {name: translated(part) for name, part in out[key].items()}
        elif key in out and not out[key]:
            del out[key]
    for key in _ONE:
        if isinstance(out.get(key), dict):
            out[key] = translated(out[key])
    for key in _MANY:
        if isinstance(out.get(key), list):
            out[key] = [translated(part) for part in out[key]]
    return out


_KNOWN_DRAFTS = ("http://json-schema.org/draft-", "https://json-schema.org/draft")


def _translate_type(schema: dict[str, Any]) -> None:
    kind = schema.get("type")
    if isinstance(kind, str) and kind not in _STANDARD:
        plain = kind.lower()
        standard = plain if plain in _STANDARD else _TYPES.get(plain)
        if standard is not None:
            schema["type"] = standard
        elif plain == "any":
            del schema["type"]
    elif isinstance(kind, list):
        schema["type"] = [_TYPES.get(str(k).lower(), str(k).lower()) for k in kind]
