"""The schemas that logs hold of one tool: which is kept, and where the others differ.

In: specs with the steps that offered them. Out: distinct schemas in the order of their worth, and
JSON pointers at which two of them differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from misstep.contracts import object_of
from misstep.types import ToolSpec

MAX_POINTERS = 10
"""Places named in which another version of a schema differs."""


def versions_of(specs: Counter[ToolSpec]) -> list[tuple[ToolSpec, int]]:
    """Distinct schemas, given ones first, then by the steps that offered them."""
    by_schema: dict[str, list[tuple[ToolSpec, int]]] = {}
    for spec, steps in specs.items():
        value = object_of(spec.parameters)
        key = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        by_schema.setdefault(key, []).append((spec, steps))
    merged = [
        (_best(same), sum(steps for _, steps in same), key) for key, same in by_schema.items()
    ]
    merged.sort(key=lambda one: (one[0].source != "given", -one[1], one[2]))
    return [(spec, steps) for spec, steps, _ in merged]


def _best(same: Sequence[tuple[ToolSpec, int]]) -> ToolSpec:
    """Of equal schemas the one with the most said about it."""
    return max(
        (spec for spec, _ in same),
        key=lambda s: (
            s.source == "given",
            len(s.contract or ""),
            len(s.description or ""),
            repr(s),
        ),
    )


def differing(one: Any, other: Any, where: str) -> Iterator[str]:
    """JSON pointers at which two schemas differ, `MAX_POINTERS` at most."""
    found = _differences(one, other, where)
    yield from (pointer for pointer, _ in zip(found, range(MAX_POINTERS), strict=False))


def _differences(one: Any, other: Any, where: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            at = f"{where}/{str(key).replace('~', '~0').replace('/', '~1')}"
            if key in one and key in other:
                yield from _differences(one[key], other[key], at)
            else:
                yield at
    elif one != other:
        yield where
