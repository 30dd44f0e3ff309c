"""A JSON Schema that many values have in common, for tools whose schema no log keeps.

In: the argument objects of accepted calls, one by one. Out: a schema: every type that was seen,
`required` where a property was always there, `enum` where a few short strings came back again and
again. A guess from use: it names nothing that was not seen and forbids nothing else. The order of
the values does not matter, and what is kept is bounded, whatever the values hold.

The thresholds were measured on held-out calls of real logs (design/inferred-schemas.md).
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from misstep.redact import has_secret

REQUIRED_FROM = 10
"""Objects that must have been seen before a property is called required."""
SESSIONS_FROM = 5
"""Sessions in which the calls must have been made before anything is called required or an
enumeration: the calls of one session are alike."""
ENUM_FROM = 50
"""Strings that must have been seen before their values are called an enumeration."""
ENUM_MOST = 8
"""Distinct values of an enumeration at most."""
ENUM_EACH = 5
"""How often each value of an enumeration was seen at least."""
_WORD = re.compile(r"[a-z][a-z_-]{0,39}\Z")
"""A value of an enumeration: a word of a program. Dates, numbers, ids and names are data."""
NAMES_MOST = 64
"""Distinct properties of an object; one with more of them is a map whose keys are data."""
DEPTH = 12
"""Levels of a value that are described; deeper ones may be anything."""
_ORDER = ("object", "array", "string", "number", "integer", "boolean", "null")


class Shape:
    """What was seen in one place of the values."""

    __slots__ = ("_depth", "_items", "_kinds", "_properties", "_strings")

    def __init__(self, depth: int = 0) -> None:
        self._depth = depth
        self._kinds: Counter[str] = Counter()
        self._properties: dict[str, Shape] | None = {}
        """None once there are more than `NAMES_MOST`."""
        self._items: Shape | None = None
        self._strings: Counter[str] | None = Counter()
        """None once they cannot be an enumeration."""

    @property
    def seen(self) -> int:
        """How many values were taken."""
        return self._kinds.total()

    def take(self, value: Any) -> None:
        """Take in one value."""
        kind = kind_of(value)
        self._kinds[kind] += 1
        if kind == "string":
            self._string(value)
        elif kind == "object" and self._depth < DEPTH:
            self._object(value)
        elif kind == "array" and self._depth < DEPTH:
            if self._items is None:
                self._items = Shape(self._depth + 1)
            for item in value:
                self._items.take(item)

    def schema(self, *, firm: bool = True) -> dict[str, Any]:
        """The schema of all values so far; an empty one where there were none.

        `firm=False` leaves out `required` and `enum`: there are too few sessions for them.
        """
        kinds = [kind for kind in _ORDER if self._kinds[kind]]
        if "number" in kinds and "integer" in kinds:
            kinds.remove("integer")
        if not kinds:
            return {}
        made: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
        if self._properties and "object" in kinds:
            made |= self._members(self._properties, firm)
        if self._items is not None and self._items.seen:
            made["items"] = self._items.schema(firm=firm)
        values = self._enumeration() if firm else []
        if values and kinds == ["string"]:
            made["enum"] = values
        return made

    def _members(self, properties: dict[str, Shape], firm: bool) -> dict[str, Any]:
        objects = self._kinds["object"]
        always = sorted(name for name, shape in properties.items() if shape.seen == objects)
        others = sorted(name for name, shape in properties.items() if shape.seen < objects)
        made: dict[str, Any] = {
            "properties": {n: properties[n].schema(firm=firm) for n in (*always, *others)}
        }
        if firm and always and objects >= REQUIRED_FROM:
            made["required"] = always
        return made

    def _object(self, value: dict[str, Any]) -> None:
        for name, item in value.items():
            if self._properties is None:
                return
            if name not in self._properties:
                if len(self._properties) >= NAMES_MOST:
                    self._properties = None
                    return
                self._properties[name] = Shape(self._depth + 1)
            self._properties[name].take(item)

    def _string(self, value: str) -> None:
        if self._strings is not None:
            self._strings[value] += 1
            if len(self._strings) > ENUM_MOST or not _WORD.match(value):
                self._strings = None

    def _enumeration(self) -> list[str]:
        found = self._strings
        if not found or len(found) < 2 or found.total() < ENUM_FROM:
            return []
        if min(found.values()) < ENUM_EACH:
            return []
        return [] if any(map(has_secret, found)) else sorted(found)


def kind_of(value: Any) -> str:
    """The JSON type of a parsed value; a float without a fraction is a number all the same."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
