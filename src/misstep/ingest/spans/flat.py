"""Flat attribute keys with numbers in them, put together again.

In: attributes such as `llm.input_messages.3.message.role`. Out: groups by number, and a group as a
nested value. A group is kept as a tuple until it is known to be new.
"""

from __future__ import annotations

from typing import Any

from misstep.ingest.spans.span import Attributes

Group = tuple[tuple[str, Any], ...]
_DEEPEST = 12


def groups(attributes: Attributes, *prefixes: str) -> list[list[Group]]:
    """For each prefix, the attributes below it by the number that follows, in order of numbers."""
    found: list[dict[str, list[tuple[str, Any]]]] = [{} for _ in prefixes]
    for key, value in attributes.items():
        if not key.startswith(prefixes):
            continue
        for prefix, held in zip(prefixes, found, strict=True):
            if key.startswith(prefix):
                number, _, rest = key[len(prefix) :].partition(".")
                group = held.get(number)
                if group is None:
                    held[number] = [(rest, value)]
                else:
                    group.append((rest, value))
                break
    return [
        [tuple(held[number]) for number in sorted(filter(_counts, held), key=int)] for held in found
    ]


def _counts(number: str) -> bool:
    return number.isdecimal() and len(number) < 7


def hashable(group: Group) -> Any:
    """The group as a dictionary key; lists in it are taken by their text."""
    try:
        hash(group)
    except TypeError:
        return tuple((key, repr(value)) for key, value in group)
    return group


def nest(group: Group) -> Any:
    """A group of dotted keys as nested objects and lists."""
    if len(group) == 1 and group[0][0] == "":
        return group[0][1]
    root: dict[str, Any] = {}
    for key, value in group:
        at = root
        *path, last = key.split(".", _DEEPEST)
        for step in path:
            inner = at.get(step)
            if not isinstance(inner, dict):
                inner = at[step] = {}
            at = inner
        if not isinstance(at.get(last), dict):
            at[last] = value
    return _listed(root)


def _listed(value: Any) -> Any:
    """Objects whose keys are all numbers become lists."""
    if not isinstance(value, dict):
        return value
    inner = {key: _listed(below) for key, below in value.items()}
    if inner and all(key.isdecimal() and len(key) < 7 for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner


def undotted(value: Any, depth: int = 0) -> Any:
    """A nested value in which some keys are dotted, as data frames write it."""
    if depth > _DEEPEST:
        return value
    if isinstance(value, list):
        return [undotted(inner, depth + 1) for inner in value]
    if not isinstance(value, dict):
        return value
    pairs = tuple((str(key), undotted(inner, depth + 1)) for key, inner in value.items())
    return nest(pairs) if any("." in key for key, _ in pairs) else dict(pairs)
