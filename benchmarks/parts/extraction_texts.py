"""Texts with known content: forms drawn from `extraction_forms.yaml`, and what a text says of them.

In: the name of a form and a number. Out: a `Page`: a text, the JSON that it holds, and how each
value is spelt in the text. The same name and number give the same page. What an optional field
holds is said in the text, or the field is missing from both. Numbers and days are spelt in several
ways, words stand for choices, and sentences stand by that say nothing of the form.

A kind of field is a line of words (`_WORDS`) or a mapping: `enum` (value: its spellings), `yes`
and `no` (sentences; YAML reads these keys as true and false), `many` (a kind, or fields that `row`
spells; `to` at most), `one` (fields that `said` spells).
"""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Schema = dict[str, Any]
Kind = str | Mapping[Any, Any]
"""As the file of forms has it."""
MISSING = 0.35
"""How often an optional field is missing."""
MAYBE = "maybe "
"""Before the name of an optional field."""
_COUNTED = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    *("nineteen", "twenty"),
)
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_NAMED = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A value and how a text spells it."""

    value: Any
    said: str
    places: dict[str, str] = field(default_factory=dict)
    """Spelling by JSON pointer, of the scalars inside; the value itself has the pointer ``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One text and what it holds."""

    asked: str
    value: dict[str, Any]
    said: dict[str, str]
    """Spelling in the text, by JSON pointer of each scalar of `value`."""


@cache
def source() -> dict[str, Any]:
    """The file of forms."""
    path = Path(__file__).with_name("extraction_forms.yaml")
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def names() -> tuple[str, ...]:
    """Of all forms."""
    return tuple(source()["forms"])


def schema_of(name: str) -> Schema:
    """The JSON Schema of a form."""
    return _object_schema(source()["forms"][name]["fields"])


def page(name: str, number: int) -> Page:
    """A text about one form."""
    form, dice = source()["forms"][name], random.Random(f"extraction/{name}/{number}")
    value, said, places = _fields(form["fields"], dice)
    lines = [_spelt(dice.choice(line.split(" | ")), said) for line in form["texts"]]
    first, *rest = [_sentence(line) for line in lines if line]
    if dice.random() < 0.5:
        dice.shuffle(rest)
    body = [first, *rest]
    for _ in range(dice.choice((0, 1, 1, 2))):
        body.insert(dice.randint(0, len(body)), _aside(dice))
    text = dice.choice((" ", " ", "\n")).join(body)
    return Page(asked=f"{dice.choice(source()['asks'])}\n\n{text}", value=value, said=places)


def _aside(dice: random.Random) -> str:
    template = dice.choice(source()["asides"])
    kinds = _NAMED.findall(template)
    return _spelt(template, {kind: draw(kind, dice).said for kind in kinds})


def _spelt(template: str, said: Mapping[str, str]) -> str:
    """A template with its fields; nothing where one is missing outside `[…]`."""

    def known(text: str) -> bool:
        return all(name in said for name in _NAMED.findall(text))

    text = _OPTIONAL.sub(lambda m: m[1] if known(m[1]) else "", template)
    return _NAMED.sub(lambda m: said[m[1]], text) if known(text) else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


# --- objects and lists -------------------------------------------------------------------------


def _object_schema(fields: Mapping[str, Kind]) -> Schema:
    return {
        "type": "object",
        "properties": {name.removeprefix(MAYBE): schema(kind) for name, kind in fields.items()},
        "required": [name for name in fields if not name.startswith(MAYBE)],
        "additionalProperties": False,
    }


def _fields(
    fields: Mapping[str, Kind], dice: random.Random
) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
    """Values by field, spellings by field, spellings by pointer."""
    value: dict[str, Any] = {}
    said: dict[str, str] = {}
    places: dict[str, str] = {}
    for name, kind in fields.items():
        if name.startswith(MAYBE) and dice.random() < MISSING:
            continue
        name, drawn = name.removeprefix(MAYBE), draw(kind, dice)
        value[name], said[name] = drawn.value, drawn.said
        places |= {f"/{name}{where}": spelt for where, spelt in drawn.places.items()}
    return value, said, places


def _one(fields: Mapping[str, Kind], template: str, dice: random.Random) -> Drawn:
    value, said, places = _fields(fields, dice)
    return Drawn(value, _spelt(template, said), places)


def _many(kind: Mapping[Any, Any], dice: random.Random) -> Drawn:
    inner, wanted = kind["many"], dice.randint(1, kind.get("to", 3))
    found: dict[str, Drawn] = {}
    while len(found) < wanted:
        one = _one(inner, kind["row"], dice) if isinstance(inner, Mapping) else draw(inner, dice)
        first = next(iter(one.value.values())) if isinstance(one.value, dict) else one.value
        found.setdefault(str(first), one)
    rows = list(found.values())
    *before, last = (row.said for row in rows)
    places = {f"/{at}{w}": s for at, row in enumerate(rows) for w, s in row.places.items()}
    said = f"{', '.join(before)} and {last}" if before else last
    return Drawn([row.value for row in rows], said, places)


# --- kinds -------------------------------------------------------------------------------------


def schema(kind: Kind) -> Schema:
    """The JSON Schema of a kind of field."""
    if isinstance(kind, str):
        word, *rest = kind.split(" ", 1)
        return _WORDS[word][0]("".join(rest)) if word in _WORDS else {"type": "string"}
    if "enum" in kind:
        return {"enum": list(kind["enum"])}
    if True in kind:
        return {"type": "boolean"}
    if "one" in kind:
        return _object_schema(kind["one"])
    inner = kind["many"]
    items = _object_schema(inner) if isinstance(inner, Mapping) else schema(inner)
    return {"type": "array", "items": items}


def draw(kind: Kind, dice: random.Random) -> Drawn:
    """A value of a kind of field."""
    if isinstance(kind, str):
        word, *rest = kind.split(" ", 1)
        value, said = (
            _WORDS[word][1]("".join(rest), dice) if word in _WORDS else _pooled(word, dice)
        )
        return Drawn(value, said, {"": said})
    if "one" in kind:
        return _one(kind["one"], kind["said"], dice)
    if "many" in kind:
        return _many(kind, dice)
    choices = kind.get("enum", kind)
    value = dice.choice(list(choices))
    said = dice.choice(choices[value])
    return Drawn(value, said, {"": said})


Spelt = tuple[Any, str]


def _pooled(name: str, dice: random.Random) -> Spelt:
    value = dice.choice(source()["pools"][name].split("|"))
    return value, value


def _any(words: str, dice: random.Random) -> Spelt:
    value = dice.choice(words.split("|"))
    return value, value


def _person(_: str, dice: random.Random) -> Spelt:
    value = f"{_pooled('first', dice)[0]} {_pooled('last', dice)[0]}"
    return value, value


def _email(_: str, dice: random.Random) -> Spelt:
    value = f"{_pooled('first', dice)[0]}.{_pooled('last', dice)[0]}@example.org".lower()
    return value, value


def _code(form: str, dice: random.Random) -> Spelt:
    """Every `#` is a digit."""
    value = re.sub("#", lambda _: str(dice.randint(1, 9)), form)
    return value, value


def _house(_: str, dice: random.Random) -> Spelt:
    value = f"{dice.randint(1, 90)}{dice.choice(('', '', 'a', 'b'))}"
    return value, value


def _version(_: str, dice: random.Random) -> Spelt:
    value = f"{dice.randint(1, 9)}.{dice.randint(0, 30)}"
    return value, value


def _int(bounds: str, dice: random.Random) -> Spelt:
    """Small numbers in words now and then, large ones with a comma (no year has one)."""
    low, high = map(int, bounds.split())
    value = dice.randint(low, high)
    if value < len(_COUNTED) and dice.random() < 0.4:
        return value, _COUNTED[value]
    grouped = high > 3_000 and dice.random() < 0.5
    return value, f"{value:,}" if grouped else str(value)


def _number(bounds: str, dice: random.Random) -> Spelt:
    low, high = map(int, bounds.split())
    value = dice.randint(10 * low, 10 * high) / 10
    return _plain(value), f"{_plain(value)}"


def _price(bounds: str, dice: random.Random) -> Spelt:
    low, high = map(int, bounds.split())
    value = dice.randint(low, high) + dice.choice((0, 0.5, 0.95, 0.2))
    euros, cents = divmod(round(100 * value), 100)
    spellings = [f"€{value:.2f}", f"{value:.2f} euros", f"{value:.2f} EUR"]
    spellings.append(f"{euros} euros" + (f" and {cents} cents" if cents else ""))
    return _plain(value), dice.choice(spellings)


def _plain(value: float) -> int | float:
    """As a person would write it: 3, not 3.0."""
    return int(value) if value == int(value) else round(value, 2)


def _date(_: str, dice: random.Random) -> Spelt:
    day = datetime.date(2024, 1, 1) + datetime.timedelta(days=dice.randrange(730))
    month = _MONTHS[day.month - 1]
    spellings = (
        f"{day.day} {month} {day.year}",
        f"{month} {day.day}, {day.year}",
        f"{day.day}.{day.month}.{day.year}",
        f"{day.day} {month[:3]} {day.year}",
        day.isoformat(),
    )
    return day.isoformat(), dice.choice(spellings)


def _time(_: str, dice: random.Random) -> Spelt:
    hour, minute = dice.randint(7, 21), dice.choice((0, 0, 15, 30, 45))
    late = "pm" if hour >= 12 else "am"
    short = f"{hour if hour <= 12 else hour - 12}"
    value = f"{hour:02}:{minute:02}"
    past = f":{minute:02}" if minute else ""
    return value, dice.choice((value, f"{short}{past} {late}"))


def _phone(_: str, dice: random.Random) -> Spelt:
    value = f"0{dice.randint(20, 99)} {dice.randint(10_000, 99_999)}"
    return value, value


def _typed(name: str, **more: Any) -> Callable[[str], Schema]:
    return lambda _: {"type": name, **more}


def _pattern(form: str) -> Schema:
    """The schema of a code: letters as they stand, and so many digits."""
    body = re.sub("#+", lambda m: rf"\d{{{len(m[0])}}}", form)
    return {"type": "string", "pattern": f"^{body}$"}


def _digits(count: str) -> str:
    return "#" * int(count)


def _rating(bounds: str) -> Schema:
    low, high = map(int, bounds.split())
    return {"type": "integer", "minimum": low, "maximum": high}


_TEXT = _typed("string")
_WORDS: dict[str, tuple[Callable[[str], Schema], Callable[[str, random.Random], Spelt]]] = {
    "any": (_TEXT, _any),
    "person": (_TEXT, _person),
    "phone": (_TEXT, _phone),
    "number_of_house": (_TEXT, _house),
    "version": (_TEXT, _version),
    "email": (_typed("string", format="email"), _email),
    "date": (_typed("string", format="date"), _date),
    "time": (_typed("string", pattern=r"^\d\d:\d\d$"), _time),
    "code": (_pattern, _code),
    "digits": (lambda n: _pattern(_digits(n)), lambda n, dice: _code(_digits(n), dice)),
    "int": (_typed("integer"), _int),
    "rating": (_rating, _int),
    "number": (_typed("number"), _number),
    "price": (_typed("number"), _price),
}
"""By first word: the schema and the draw, each of what follows the word. Else a pool is named."""
