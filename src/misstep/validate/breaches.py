"""Errors of jsonschema-rs read as failure codes, with what was expected and what was got.

In: validation errors of one value. Out: `Breach` values. An error of anyOf or oneOf is read through
its closest branch: the one with the fewest errors that does not already fail at its own type.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jiter

from misstep.redact import clean_pointer, clip
from misstep.validate.strict_json import escape

_CODES = {
    "type": "WRONG_TYPE",
    "required": "MISSING_REQUIRED",
    "dependentRequired": "MISSING_REQUIRED",
    "dependencies": "MISSING_REQUIRED",
    "additionalProperties": "UNEXPECTED_ARG",
    "unevaluatedProperties": "UNEXPECTED_ARG",
    "propertyNames": "UNEXPECTED_ARG",
    "falseSchema": "UNEXPECTED_ARG",
    "enum": "ENUM",
    "const": "ENUM",
    "format": "FORMAT",
    "pattern": "FORMAT",
    "contentEncoding": "FORMAT",
    "contentMediaType": "FORMAT",
    "minimum": "RANGE",
    "maximum": "RANGE",
    "exclusiveMinimum": "RANGE",
    "exclusiveMaximum": "RANGE",
    "multipleOf": "RANGE",
    "minLength": "RANGE",
    "maxLength": "RANGE",
    "minItems": "RANGE",
    "maxItems": "RANGE",
    "uniqueItems": "RANGE",
    "minProperties": "RANGE",
    "maxProperties": "RANGE",
    "additionalItems": "RANGE",
    "unevaluatedItems": "RANGE",
    "contains": "RANGE",
}
_OF_VALUES = frozenset({"type", "enum", "const", "format", "pattern", "minimum", "minLength"})
_COMBINED = frozenset({"anyOf", "oneOf"})
_NOT_THE_MODEL = frozenset(
    {"BacktrackLimitExceeded", "RegexEngineFailure", "Referencing", "FromUtf8", "Custom"}
)


class Breach(NamedTuple):  # a dataclass takes three times as long to make
    """One way in which a value breaks its schema."""

    code: str
    where: str
    """JSON pointer into the value; a missing or extra property is named by it."""
    said: str
    tags: tuple[str, ...] = ()


def read(error: Any, schema: Any) -> Iterable[Breach]:
    """The breaches behind one validation error, in their order."""
    kind = error.kind
    keyword = kind.name
    where = pointer(error.instance_path)
    if type(kind).__name__ in _NOT_THE_MODEL:
        return (Breach(code="TOOL_SCHEMA_INVALID", where=where, said=error.message),)
    if keyword in _OF_VALUES and _is_default(error, schema):
        return _own_default(error, where)
    if keyword == "type":
        null = error.instance is None and _nullable(error, schema)
        return () if null else (_wrong_type(error, schema, where),)
    if keyword in ("required", "dependentRequired", "dependencies"):
        return (_missing(error, where),)
    if keyword in ("additionalProperties", "unevaluatedProperties"):
        return [_unexpected(error, schema, where, name) for name in kind.value]
    if keyword in _COMBINED:
        return _combined(error, schema)
    if keyword == "enum" and error.instance is None and _nullable(error, schema):
        return ()  # Gemini's options are strings alone, so that null cannot stand among them
    if keyword == "enum" and _of_items(error, schema):
        return _items_outside(error, where)
    code = _CODES.get(keyword, "SCHEMA_COMBO")
    tags = ("case_variant",) if keyword == "enum" and _case_variant(error) else ()
    return (Breach(code=code, where=where, said=_clipped(error.message, where), tags=tags),)


def _own_default(error: Any, where: str) -> Iterable[Breach]:
    if error.instance is None:  # a default of null only says that it may be left out
        return ()
    said = f"the schema's own default {_show(error.instance, where)} breaks it"
    return (Breach(code="TOOL_SCHEMA_INVALID", where=where, said=said),)


def pointer(path: Sequence[str | int]) -> str:
    """The JSON pointer (RFC 6901) of an instance path."""
    return "".join(f"/{escape(str(token))}" for token in path)


def _name(where: str) -> str:
    """The key of what stands at a pointer."""
    return where.rpartition("/")[2]


def _clipped(message: str, where: str = "") -> str:
    shown = clip(message, 4_000, name=_name(where))
    return shown if len(shown) <= 240 else f"{shown[:150]} … {shown[-80:]}"


def _show(value: Any, where: str = "") -> str:
    if isinstance(value, str):
        value = value[:1_000]
    elif isinstance(value, list):
        value = value[:100]
    text = json.dumps(value, ensure_ascii=False)
    shown = clip(text, 100, name=_name(where))
    return shown if len(text) <= 100 else f"{shown[:97]}..."


def _unexpected(error: Any, schema: Any, where: str, name: str) -> Breach:
    declared = _parent(error, schema).get("properties")
    names = [str(key) for key in declared] if isinstance(declared, dict) else []
    wanted = folded(name)
    alike = [key for key in names if key != name and folded(key) == wanted]
    said = f"expected only {', '.join(names[:12]) or 'no properties'}; got {name!r}"
    tags = ("case_variant",) if alike else ()
    return Breach(code="UNEXPECTED_ARG", where=f"{where}/{escape(name)}", said=said, tags=tags)


MAX_NAME = 200
"""Characters of a name or an option; longer text is no spelling of one."""


def folded(name: str) -> str:
    """A name without case, dots, dashes, blanks and underscores; long text as it is."""
    return _known(name) if len(name) <= MAX_NAME else name


@lru_cache(maxsize=4096)
def _known(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def _missing(error: Any, where: str) -> Breach:
    name = str(error.kind.value)
    got = list(error.instance) if isinstance(error.instance, dict) else []
    wanted = folded(name)
    alike = [key for key in got if folded(key) == wanted]
    said = f"expected property {name!r}; got {', '.join(map(str, got[:12])) or 'no properties'}"
    return Breach(
        code="MISSING_REQUIRED",
        where=f"{where}/{escape(name)}",
        said=said,
        tags=("case_variant",) if alike else (),
    )


def _wrong_type(error: Any, schema: Any, where: str) -> Breach:
    types = [str(kind) for kind in error.kind.value]
    got = error.instance
    said = f"expected {' or '.join(types)}; got {_kind(got)} {_show(got, where)}"
    return Breach(
        code="WRONG_TYPE",
        where=where,
        said=said,
        tags=tuple(_type_tags(types, got, optional=_optional(error, schema))),
    )


def _type_tags(types: Sequence[str], got: Any, *, optional: bool) -> Iterator[str]:
    if got is None and optional:
        yield "null_for_optional"
    if isinstance(got, str):
        try:
            inner = jiter.from_json(got.encode("utf-8", "surrogatepass"), allow_inf_nan=False)
        except ValueError:
            return
        if isinstance(inner, dict | list) and _kind(inner) in types:
            yield "double_encoded"
        elif _kind(inner) in types or (_kind(inner) == "integer" and "number" in types):
            yield "coercible"
    elif isinstance(got, int | float) and "string" in types:
        yield "coercible"


def _kind(value: Any) -> str:
    kinds: tuple[tuple[type, str], ...] = (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
        (list, "array"),
        (dict, "object"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")


def _parent(error: Any, schema: Any) -> dict[str, Any]:
    """The schema object whose keyword failed, by the evaluated path; empty where it is unclear."""
    return _at(schema, error.schema_path[:-1])


def _at(schema: Any, path: Sequence[str | int]) -> dict[str, Any]:
    at = schema
    for token in path:
        try:
            at = at[token]
        except (KeyError, IndexError, TypeError):
            at = at.get(str(token)) if isinstance(at, dict) else None
    return at if isinstance(at, dict) else {}


def _nullable(error: Any, schema: Any) -> bool:
    """OpenAPI's `nullable: true`, which JSON Schema does not know, still means null is fine."""
    return _parent(error, schema).get("nullable") is True


def _of_items(error: Any, schema: Any) -> bool:
    """True where a list's options are no lists, so that none could fit: they are its items'."""
    if not isinstance(error.instance, list) or _parent(error, schema).get("type") != "array":
        return False
    return not any(isinstance(option, list) for option in error.kind.value)


def _items_outside(error: Any, where: str) -> Iterator[Breach]:
    options = error.kind.value
    for index, item in enumerate(error.instance):
        if item not in options:
            said = f"{_show(item, where)} is not one of {_show(options)}"
            alike = isinstance(item, str) and folded(item) in map(folded, map(str, options))
            tags = ("case_variant",) if alike else ()
            yield Breach(code="ENUM", where=f"{where}/{index}", said=said, tags=tags)


def _is_default(error: Any, schema: Any) -> bool:
    """True where the value is the one that the schema itself gives: not the model's mistake."""
    parent = _parent(error, schema)
    return "default" in parent and bool(parent["default"] == error.instance)


def _optional(error: Any, schema: Any) -> bool:
    path = list(error.schema_path)
    if len(path) < 3 or path[-3] != "properties":
        return False
    required = _at(schema, path[:-3]).get("required", [])
    return not isinstance(required, list) or path[-2] not in required


def _case_variant(error: Any) -> bool:
    got = error.instance
    options = error.kind.value
    if not isinstance(got, str):
        return False
    wanted = folded(got)
    return any(isinstance(o, str) and folded(o) == wanted for o in options)


def _combined(error: Any, schema: Any) -> Iterator[Breach]:
    where = pointer(error.instance_path)
    branches: list[list[Any]] = [list(branch) for branch in error.kind.value]
    if type(error.kind).__name__ == "OneOfMultipleValid":
        yield Breach(code="SCHEMA_COMBO", where=where, said=_clipped(error.message, where))
        return
    real = [b for b in branches if not _at_type(b, error) or not _wants_null(b)]
    fitting = [b for b in real if not _at_type(b, error)]
    if not fitting:
        types = sorted({str(t) for b in branches for e in b[:1] for t in _types(e)})
        joined = tuple(_type_tags(types, error.instance, optional=False))
        got = f"{_kind(error.instance)} {_show(error.instance, where)}"
        said = f"expected {' or '.join(types)}; got {got}"
        yield Breach(code="WRONG_TYPE", where=where, said=said, tags=joined)
        return
    branch: list[Any] = min(fitting, key=_distance)
    closest = [breach for one in branch for breach in read(one, schema)]
    if len(real) == 1 or not closest:
        yield from closest
        return
    first = closest[0]
    at = clean_pointer(first.where) or "/"
    said = f"no branch of {error.kind.name} fits; closest: {at} {first.said}"
    yield Breach(code="SCHEMA_COMBO", where=where, said=_clipped(said), tags=(first.code,))


def _distance(branch: Sequence[Any]) -> tuple[bool, int]:
    """How far a branch is: one whose tag (a `const`) is another's was not meant."""
    return any(e.kind.name == "const" for e in branch), len(branch)


def _at_type(branch: Sequence[Any], error: Any) -> bool:
    """True where a branch fails already at the type of the whole instance."""
    return any(
        e.kind.name == "type" and list(e.instance_path) == list(error.instance_path) for e in branch
    )


def _types(error: Any) -> Sequence[Any]:
    return list(error.kind.value) if error.kind.name == "type" else []


def _wants_null(branch: Sequence[Any]) -> bool:
    return any(list(_types(e)) == ["null"] for e in branch)
