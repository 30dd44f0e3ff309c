"""How much work a schema makes, so that one built to be slow cannot be.

In: a schema, and a value to hold against it. Out: counts of rules that a validator without memory
would visit. A schema that names each of its definitions twice doubles with every level: 26 levels
take 0.8 s for one string, 40 would take hours; listing the errors of a value costs some 70
microseconds for each visited branch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

MAX_UNFOLDED = 2_000_000
"""Rules of a schema with its references written out; a larger one is not used (20 ms a value)."""
MAX_VISITS = 8_000
"""Rules visited for one value with branches; above, they are not told apart (about 0.5 s)."""
MAX_PLAIN = 50_000
"""The same without branches; above, only the first error is told (100,000 take 0.9 s)."""
MAX_PRODUCT = 250_000
"""Rules times characters of the value below which nobody counts visits."""

_MANY = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
_NAMED = ("properties", "patternProperties", "dependentSchemas", "dependencies")
_ONE = (
    *("items", "additionalItems", "unevaluatedItems", "contains", "additionalProperties"),
    *("unevaluatedProperties", "propertyNames", "not", "if", "then", "else"),
)
_REFS = ("$ref", "$dynamicRef", "$recursiveRef")


def unfolded(root: Any) -> tuple[float, bool]:
    """Rules of a schema with its references written out, each cycle once; whether it has cycles."""
    return _tally(root, lambda part: (id(part), _inside(part, root)))


def visits(root: Any, value: Any, most: int) -> float:
    """Rules that are visited to hold `value` against a schema; infinite above `most`."""

    def step(node: tuple[Any, Any]) -> tuple[Any, Iterator[tuple[Any, Any]]]:
        return (id(node[0]), id(node[1])), _applied(node[0], node[1], root)

    return _tally((root, value), step, most)[0]


def _tally(
    start: T, step: Callable[[T], tuple[Any, Iterator[T]]], most: float = math.inf
) -> tuple[float, bool]:
    """Nodes below `start`, each counted as often as it is reached; whether there are cycles.

    `step` gives a node's identity and what it leads to. Without recursion: chains may be long.
    """
    known: dict[Any, float] = {}
    cyclic = False
    key, inside = step(start)
    open_: list[tuple[Any, Iterator[T]]] = [(key, inside)]
    counts = [1.0]
    while open_:
        if len(known) > most:
            return math.inf, cyclic
        key, inside = open_[-1]
        node = next(inside, None)
        if node is None:
            open_.pop()
            known[key] = counts.pop()
            if counts:
                counts[-1] += known[key]
            continue
        below, deeper = step(node)
        if below in known:
            cyclic = cyclic or known[below] == 0
            counts[-1] += known[below] or 1
            continue
        known[below] = 0  # of a cycle, until it is counted
        open_.append((below, deeper))
        counts.append(1.0)
    return known[step(start)[0]], cyclic


def _inside(schema: Any, root: Any) -> Iterator[Any]:
    if not isinstance(schema, dict):
        return
    for key in _REFS:
        if key in schema:
            yield target(schema[key], root)
    for key in _NAMED:
        if isinstance(schema.get(key), dict):
            yield from schema[key].values()
    for key in _MANY:
        if isinstance(schema.get(key), list):
            yield from schema[key]
    for key in _ONE:
        if isinstance(schema.get(key), dict):
            yield schema[key]


def target(reference: Any, root: Any) -> Any:
    """What a local reference points to; the root for anchors, which may be anywhere."""
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return root
    at = root
    for token in reference[2:].split("/"):
        token = token.replace("~1", "/").replace("~0", "~")
        if isinstance(at, list):
            at = at[int(token)] if token.isdigit() and int(token) < len(at) else None
        else:
            at = at.get(token) if isinstance(at, dict) else None
    return at


def _applied(schema: Any, at: Any, root: Any) -> Iterator[tuple[Any, Any]]:
    """The rules that follow from one rule for one value, each with the value that it is for."""
    if not isinstance(schema, dict):
        return
    yield from ((target(schema[key], root), at) for key in _REFS if key in schema)
    for key in ("anyOf", "oneOf", "allOf"):
        yield from ((part, at) for part in _list(schema.get(key)))
    for key in ("not", "if", "then", "else"):
        if key in schema:
            yield schema[key], at
    if isinstance(at, dict):
        yield from _of_object(schema, at)
    elif isinstance(at, list):
        first = _list(schema.get("prefixItems")) or _list(schema.get("items"))
        yield from zip(first, at, strict=False)
        for key in ("items", "contains", "additionalItems", "unevaluatedItems"):
            if isinstance(schema.get(key), dict):
                yield from ((schema[key], item) for item in at)


def _of_object(schema: dict[str, Any], at: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    named = schema.get("properties")
    named = named if isinstance(named, dict) else {}
    yield from ((part, at[key]) for key, part in named.items() if key in at)
    for key in ("patternProperties", "dependentSchemas", "dependencies"):
        parts = schema.get(key)
        for part in parts.values() if isinstance(parts, dict) else ():
            if key == "patternProperties":
                yield from ((part, item) for item in at.values())
            else:
                yield part, at
    for key in ("additionalProperties", "unevaluatedProperties"):
        if isinstance(schema.get(key), dict):
            yield from ((schema[key], item) for name, item in at.items() if name not in named)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
