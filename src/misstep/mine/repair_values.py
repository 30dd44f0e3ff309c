"""Edits of values: what a schema decides about one place in a text that is JSON already.

In: a text, a finding about one place in it, the schema. Out: the text after one edit and the
edit's name with the place, or None where the schema leaves a choice. Only the characters of that
member change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from misstep.mine.json_places import Place, dropped, place_of, places, renamed, replaced
from misstep.mine.schema_paths import declared, options_of, schema_at, takes, tokens
from misstep.mine.supported import Heard
from misstep.redact import clean_pointer
from misstep.types import Finding
from misstep.validate.breaches import folded
from misstep.validate.schema import compiled
from misstep.validate.strict_json import parse, walk

Edited = tuple[str, str]
"""The text after an edit, and its name."""
_SPELLING = re.compile(r"[\s_-]+")
_SHOWN = 60
"""Characters of a place that an edit's name shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A finding about one place in a JSON text."""

    text: str
    finding: Finding
    schema: str | None
    """The schema of the whole text."""
    heard: Callable[[], Heard]
    """What was said and what came back before the step."""
    elsewhere: frozenset[str] = frozenset()
    """Names of the arguments of the other tools on offer."""

    @property
    def where(self) -> str:
        """JSON pointer of the place."""
        return self.finding.where

    @property
    def root(self) -> Any:
        """The schema as it was compiled; None where there is none."""
        return None if self.schema is None else compiled(self.schema).schema

    def around(self) -> dict[str, Any] | None:
        """The schema of the object that the place is a member of."""
        return schema_at(self.root, self.where.rpartition("/")[0])

    def value(self, place: Place) -> Any:
        """The value that stands in a place."""
        return json.loads(self.text[slice(*place.value)])


def edited(spot: Spot) -> Edited | None:
    """The one edit that the finding and the schema decide."""
    return next((e for rule in _RULES.get(spot.finding.code, ()) if (e := rule(spot))), None)


def without_twin(text: str) -> Edited | None:
    """The text without a member that stands there twice with the same value."""
    for pointer, twins in places(text).items():
        if len(twins) > 1 and pointer:
            values = [json.loads(text[slice(*twin.value)]) for twin in twins]
            if any(value != values[0] for value in values):
                return None
            return dropped(text, twins[1]), f"drop-twin {_show(pointer)}"
    return None


def _show(pointer: str) -> str:
    shown = clean_pointer(pointer)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


def _whole(spot: Spot) -> Edited | None:
    """Arguments that are a string with the object in it."""
    if "double_encoded" not in spot.finding.tags:
        return None
    return str(json.loads(spot.text)), "decode"


def _null(spot: Spot) -> Edited | None:
    place = place_of(spot.text, spot.where)
    if place is None or "null_for_optional" not in spot.finding.tags:
        return None
    return dropped(spot.text, place), f"drop-null {_show(spot.where)}"


def _decoded(spot: Spot) -> Edited | None:
    """A list or an object that was written as a string."""
    place = place_of(spot.text, spot.where)
    if place is None or "double_encoded" not in spot.finding.tags:
        return None
    return replaced(spot.text, place, spot.value(place)), f"decode {_show(spot.where)}"


def _coerced(spot: Spot) -> Edited | None:
    """A number or a truth value that was written as a string, or a number in place of a string."""
    place = place_of(spot.text, spot.where)
    if place is None or "coercible" not in spot.finding.tags:
        return None
    raw, value = spot.text[slice(*place.value)], spot.value(place)
    if isinstance(value, str):
        return replaced(spot.text, place, value), f"unquote {_show(spot.where)}"
    if isinstance(value, bool):
        return None
    return replaced(spot.text, place, f'"{raw}"'), f"quote {_show(spot.where)}"


def _option(spot: Spot) -> Edited | None:
    """An option in another case, or with other blanks, dashes and underscores."""
    place, schema = place_of(spot.text, spot.where), schema_at(spot.root, spot.where)
    if place is None or schema is None or "case_variant" not in spot.finding.tags:
        return None
    options = [o for o in options_of(schema) if isinstance(o, str)]
    wanted = _spelling(spot.value(place))
    alike = [o for o in options if _spelling(o) == wanted]
    if len(alike) != 1:
        return None
    made = json.dumps(alike[0], ensure_ascii=False)
    return replaced(spot.text, place, made), f"option {_show(spot.where)}"


def _spelling(value: Any) -> str:
    return _SPELLING.sub("", str(value).casefold())


def _respelled(spot: Spot) -> Edited | None:
    """A property under another spelling of a declared name."""
    place, around = place_of(spot.text, spot.where), spot.around()
    if place is None or around is None:
        return None
    given, written = _siblings(spot.text, spot.where), tokens(spot.where)[-1]
    alike = [n for n in declared(around) if folded(n) == folded(written)]
    if len(alike) != 1 or alike[0] in given:
        return None
    if sum(folded(name) == folded(alike[0]) for name in given) != 1:
        return None
    return renamed(spot.text, place, alike[0]), f"respell {_show(spot.where)}"


def _found_missing(spot: Spot) -> Edited | None:
    """A required property that stands there under another spelling."""
    head, _, name = spot.where.rpartition("/")
    wanted = folded(tokens(spot.where)[-1])
    alike = [n for n in _siblings(spot.text, spot.where) if folded(n) == wanted]
    place = place_of(spot.text, f"{head}/{_escaped(alike[0])}") if len(alike) == 1 else None
    if place is None or name == alike[0]:
        return None
    return renamed(spot.text, place, tokens(spot.where)[-1]), f"respell {_show(place.pointer)}"


def _extra(spot: Spot) -> Edited | None:
    """A property that the schema forbids and that is worth nothing.

    It is worth something where it may have been meant for another property (a number even for one
    that is given), or where its value was asked for; and one that another tool takes says that the
    tool itself is wrong.
    """
    place, around = place_of(spot.text, spot.where), spot.around()
    if place is None or around is None or tokens(spot.where)[-1] in spot.elsewhere:
        return None
    given, value = _siblings(spot.text, spot.where), spot.value(place)
    counted = isinstance(value, int | float) and not isinstance(value, bool)
    free = [s for name, s in declared(around).items() if counted or name not in given]
    if any(takes(schema, value) for schema in free) or _asked_for(value, spot.heard()):
        return None
    return dropped(spot.text, place), f"drop-argument {_show(spot.where)}"


def _asked_for(value: Any, heard: Heard) -> bool:
    leaves = (at for _, at in walk(value) if not isinstance(at, dict | list))
    return any(heard.holds(leaf) for leaf in leaves if leaf not in (None, False, ""))


def _siblings(text: str, where: str) -> list[str]:
    """The names of the object that the place is a member of."""
    holder = parse(text).value
    for token in tokens(where)[:-1]:
        if isinstance(holder, list) and token.isdigit() and int(token) < len(holder):
            holder = holder[int(token)]
        else:
            holder = holder.get(token) if isinstance(holder, dict) else None
    return list(holder) if isinstance(holder, dict) else []


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


_RULES: dict[str, tuple[Callable[[Spot], Edited | None], ...]] = {
    "ARGS_NOT_OBJECT": (_whole,),
    "WRONG_TYPE": (_null, _decoded, _coerced),
    "ENUM": (_option,),
    "UNEXPECTED_ARG": (_respelled, _extra),
    "MISSING_REQUIRED": (_found_missing,),
}
"""What may be done about a code, first to last; for every other code one would have to guess."""
