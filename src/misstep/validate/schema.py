"""JSON Schemas compiled once, and their errors told apart by failure code.

In: schema text and a value. Out: `Breach` values: code, JSON pointer, expected against got, tags.
jsonschema-rs judges (Draft 2020-12 unless `$schema` says another), with formats checked unless a
`Reading` says otherwise, and retrieval disabled, so that a schema can neither fetch nor hang: a
`$ref` to what is not at hand, a schema that is none, or a pattern beyond the backtracking limit is
the tool owner's fault (`TOOL_SCHEMA_INVALID`).
Schemas of benchmark dialects (`dict`, `float`, `tuple`, `any`, upper-case types), and those with
draft 4's `exclusiveMinimum: true` that do not say that they are draft 4, are read as what they
mean, in memory only, and only where they do not compile as they stand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import jiter
import jsonschema_rs

from misstep.config import Formats
from misstep.validate.breaches import Breach, read
from misstep.validate.documents import Documents, registry
from misstep.validate.schema_cost import (
    MAX_PLAIN,
    MAX_PRODUCT,
    MAX_UNFOLDED,
    MAX_VISITS,
    unfolded,
    visits,
)
from misstep.validate.strict_json import escape, walk

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
    dialect: str = ""
    """What is not JSON Schema and was read as what it means; empty for a schema as it stands."""
    rules: float = 1.0
    """Rules of the schema with its references written out; infinite where they lead back."""
    branching: bool = False
    """True where errors come with those of every branch: anyOf, oneOf."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How schemas are read, where the user wants it otherwise than by default."""

    formats: Formats = "always"
    """Whether a string must meet its `format`."""
    documents: Documents = ()
    """What a schema may refer to."""

    def options(self) -> dict[str, Any]:
        """The same for jsonschema-rs; its own default for formats is that of each draft."""
        asserted = {"always": True, "draft": None, "never": False}[self.formats]
        options: dict[str, Any] = {"validate_formats": asserted}
        if self.documents:
            options["registry"] = registry(self.documents)
        return options


_AS_USUAL = Reading()


@lru_cache(maxsize=4096)
def compiled(text: str, reading: Reading | None = None) -> Compiled:
    """The schema in `text`; each distinct text is compiled once for each way of reading it."""
    try:
        schema = jiter.from_json(text.encode("utf-8", "surrogatepass"))
    except ValueError as error:
        return Compiled(problem=f"the schema is not JSON: {error}")
    if not isinstance(schema, dict | bool):
        return Compiled(problem=f"the schema is no object: {text[:80]}")
    size, cyclic = unfolded(schema)
    if size > MAX_UNFOLDED:
        return Compiled(problem=f"the schema unfolds to more than {MAX_UNFOLDED:,} rules")
    branching = '"anyOf"' in text or '"oneOf"' in text
    options = (reading or _AS_USUAL).options()
    problem = ""
    for form in (schema, translated(schema)):
        try:
            validator = jsonschema_rs.validator_for(
                form,
                offline=True,
                pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=_BACKTRACK_LIMIT),
                **options,
            )
        except ValueError as error:
            problem = problem or f"the schema cannot be used: {error}"
        else:
            foreign = "" if form is schema else _foreign(schema)
            return Compiled(
                schema=form,
                validator=validator,
                dialect=foreign,
                rules=math.inf if cyclic else size,
                branching=branching,
            )
    return Compiled(problem=problem)


def _foreign(schema: Any) -> str:
    """The words of another dialect in a schema, for a reader."""
    found: set[str] = set()
    for _, part in walk(schema):
        kinds = part.get("type") if isinstance(part, dict) else None
        found.update(
            f"type {kind!r}"
            for kind in (kinds if isinstance(kinds, list) else [kinds])
            if isinstance(kind, str) and kind not in _STANDARD
        )
        if isinstance(part, dict):
            if not isinstance(part.get("required", []), list | dict):
                found.add(f"required {part['required']!r}")
            flags = (key for key in _FLAGS if isinstance(part.get(key), bool))
            found.update(f"{key} {str(part[key]).lower()}" for key in flags)
    return ", ".join(sorted(found)) or "keywords that are no JSON Schema"


def breaches(known: Compiled, value: Any, size: int = 0) -> Iterator[Breach]:
    """Every error of `value`, at most `MAX_BREACHES`; none where the schema cannot be used.

    `size` is the length of the text that the value was read from: where it is long, and the schema
    makes it much work to tell all errors, there is only the first.
    """
    if known.validator is None or known.validator.is_valid(value):
        return
    if known.rules * max(size, 100) > MAX_PRODUCT:
        most = MAX_VISITS if known.branching else MAX_PLAIN
        if visits(known.schema, value, most) > most:
            yield from _first(known, value)
            return
    left = MAX_BREACHES
    for error in known.validator.iter_errors(value):
        for breach in read(error, known.schema):
            yield breach
            left -= 1
            if not left:
                return


def _first(known: Compiled, value: Any) -> Iterable[Breach]:
    if known.branching:
        said = "breaks the schema; it has too many branches to tell which of them is meant"
        return (Breach(code="SCHEMA_COMBO", where="", said=said, tags=("too_many_branches",)),)
    try:
        known.validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        return read(error, known.schema)
    return ()


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


def translated(schema: Any, *, old: bool = False) -> Any:
    """A copy with the type names of other dialects in standard spelling.

    Also drops an unknown `$schema`, a `required` or `properties` that is no list or object, and
    patterns that no engine takes stay as they are: the schema then cannot be used.

    Args:
        old: whether a schema around this one says that it is of draft 4.
    """
    if not isinstance(schema, dict):
        return schema
    out = dict(schema)
    old = old or str(out.get("$schema", "")).startswith(_OLD_DRAFTS)
    _translate_bounds(out, old=old)
    if not str(out.get("$schema", "")).removesuffix("#").startswith(_KNOWN_DRAFTS):
        out.pop("$schema", None)
    _translate_type(out)
    if not isinstance(out.get("required", []), list):
        del out["required"]
    _lift_required(out)
    for key in _NAMED:
        if isinstance(out.get(key), dict):
            out[key] = {name: translated(part, old=old) for name, part in out[key].items()}
        elif key in out and not out[key]:
            del out[key]
    for key in _ONE:
        if isinstance(out.get(key), dict):
            out[key] = translated(out[key], old=old)
    for key in _MANY:
        if isinstance(out.get(key), list):
            out[key] = [translated(part, old=old) for part in out[key]]
    return out


def _lift_required(schema: dict[str, Any]) -> None:
    """`required: true` inside a property, as draft 3 has it, becomes the object's list."""
    named = schema.get("properties")
    named = named if isinstance(named, dict) else {}
    marked = [
        k for k, part in named.items() if isinstance(part, dict) and part.get("required") is True
    ]
    if marked:
        schema["required"] = sorted({*schema.get("required", []), *marked})


_KNOWN_DRAFTS = ("http://json-schema.org/draft-", "https://json-schema.org/draft")
_OLD_DRAFTS = ("http://json-schema.org/draft-03", "http://json-schema.org/draft-04")
_FLAGS = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}
"""Flags of draft 4 beside their bounds, which newer drafts write as one."""


def _translate_bounds(schema: dict[str, Any], *, old: bool) -> None:
    """A flag and its bound as one number; a flag without a bound says nothing, in draft 4 too."""
    for flag, bound in _FLAGS.items():
        told = schema.get(flag)
        if isinstance(told, bool) and not (old and bound in schema):
            del schema[flag]
            if told and bound in schema:
                schema[flag] = schema.pop(bound)


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
