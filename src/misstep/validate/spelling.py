"""Whether a text holds a value in any spelling.

In: one text that an agent saw, and a value with its kind. Out: a test of the text. A value is held
in other case, with other separators, without its prefix, as a date by month and day or by a word
that needs a calendar; or, text by text, as the words that it was put together from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from misstep.validate.values import Kind, date_of

Probe = Callable[["Text", set[str]], bool]
"""Tests one text; the words that it saw of a composed value are kept in the set."""

_SEPARATORS = re.compile(r"[\W_]+")
_GROUPING = re.compile(r"(?<=\d)[,\-. ()/]{1,2}(?=\d)")
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_WORD = re.compile(r"[^\W_]{2,}")
_MONTHS = re.split(
    r"\W",
    "january|february|march|april|may|june|july|august|september|october|november|december",
)
_RELATIVE = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|(?:next|last|this|coming|past|previous|following) "
    r"(?:\w+ )?(?:day|week|weekend|month|year|quarter|night|mon|tue|wed|thu|fri|sat|sun)\w*"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day|\d+ (?:day|week|month|year)s?|"
    r"(?:one|two|three|a few|several|couple of) (?:day|week|month|year)s?|"
    r"(?:day|week|month|year)s? (?:after|before|later|earlier)|now|recent\w*|latest|current\w*|"
    r"christmas|new year|thanksgiving|easter|q[1-4]|spring|summer|autumn|fall|winter)\b",
    re.I,
)


@dataclass(slots=True)
class Text:
    """One text that the agent saw, with the spellings that are compared, each made once."""

    raw: str
    at: int
    """Index of its message; -1 for what the request offered."""
    ok: bool = True
    by_human: bool = False
    said: str = ""
    """For a failed result: the arguments of its call, which it may only repeat."""
    tool: str = ""
    _made: dict[str, Any] = field(default_factory=dict)

    @property
    def folded(self) -> str:
        return self._once("folded", lambda: self.raw.casefold())

    @property
    def squeezed(self) -> str:
        """Letters and digits alone."""
        return self._once("squeezed", lambda: _SEPARATORS.sub("", self.folded))

    @property
    def numbers(self) -> str:
        """The text with the separators inside numbers (of a telephone, of a card) taken out."""
        return self._once("numbers", lambda: _GROUPING.sub("", self.raw))

    @property
    def relative(self) -> bool:
        """Whether it names a day by words that need a calendar."""
        if "relative" not in self._made:
            self._made["relative"] = _RELATIVE.search(self.raw) is not None
        return bool(self._made["relative"])

    @property
    def years(self) -> frozenset[int]:
        """The years that it names."""
        if "years" not in self._made:
            self._made["years"] = frozenset(map(int, _YEAR.findall(self.raw)))
        return cast(frozenset[int], self._made["years"])

    def _once(self, key: str, make: Callable[[], str]) -> str:
        if key not in self._made:
            self._made[key] = make()
        return str(self._made[key])


def probe_of(value: str, kind: Kind | None) -> Probe:
    """A test of one text for `value`."""
    if kind == "date" and (day := date_of(value)) is not None:
        return _date_probe(value, day)
    if kind == "path":
        name = re.split(r"[/\\]", value.rstrip("/\\"))[-1].casefold()
        return lambda text, parts: name in text.folded
    folded, plain = value.casefold(), _SEPARATORS.sub("", value.casefold())
    runs = () if kind in ("uuid", None) else _runs(value)
    number = _number(value)
    pieces = {} if number is not None else _pieces(folded, kind)

    def probe(text: Text, parts: set[str]) -> bool:
        if number is not None:
            if number.search(text.raw):
                return True
        elif folded in text.folded or (len(plain) >= 3 and plain in text.squeezed):
            return True
        if any(run.search(text.numbers) for run in runs):
            return True
        parts.update(p for p, word in pieces.items() if p not in parts and word.search(text.folded))
        return bool(pieces) and len(parts) == len(pieces)

    return probe


def _runs(value: str) -> tuple[re.Pattern[str], ...]:
    """The long numbers in a value; of a very long one (a telephone's) its last nine digits do."""
    return tuple(
        re.compile(rf"{run[-9:]}(?!\d)" if len(run) > 9 else rf"(?<!\d){run}(?!\d)")
        for run in re.findall(r"\d{5,}", value)
    )


def _pieces(folded: str, kind: Kind | None) -> dict[str, re.Pattern[str]]:
    """The words of a value that may have been put together from them: a name and a number."""
    found = set(_WORD.findall(folded))
    short = any(len(p) < 3 and any(c.isdigit() for c in p) for p in found)
    if kind == "uuid" or (kind is not None and (len(found) < 2 or short)):
        return {}
    return {p: re.compile(rf"(?<![^\W_]){re.escape(p)}(?![^\W_])") for p in found}


def _number(value: str) -> re.Pattern[str] | None:
    """A number as a text may write it: with commas, with zeros behind the point."""
    found = re.fullmatch(r"-?(\d{1,15})(?:\.(\d{1,6}))?", value)
    if found is None:
        return None
    whole, rest = found[1].lstrip("0") or "0", (found[2] or "").rstrip("0")
    point = rf"\.{rest}0*" if rest else r"(?:\.0+)?"
    return re.compile(rf"(?<![\d.])0*{'[, ]?'.join(whole)}{point}(?!\d)")


def _adjacent(month: int, number: int) -> Iterator[str]:
    """What stands in a text that gives a month and a day in digits, in whichever order."""
    for first, second in ((month, number), (number, month)):
        for between in "-/.":
            yield f"{first}{between}{second}"
            yield f"{first}{between}0{second}"


def _date_probe(value: str, day: tuple[int, int, int]) -> Probe:
    """A date is supplied by its month and day, or by words that need a calendar."""
    _, month, number = day
    name = _MONTHS[month - 1] if 1 <= month <= 12 else "#"
    spelled = rf"{name[:3]}(?:{name[3:]}|t)?"
    said = re.compile(
        rf"\b{spelled}\W{{1,2}}(?:the )?0?{number}(?:st|nd|rd|th)?\b|"
        rf"\b0?{number}(?:st|nd|rd|th)?(?: of)?\W{spelled}\b|"
        rf"\b0?{month}[-/.]0?{number}\b|\b0?{number}[-/.]0?{month}\b|"
        rf"\b{spelled}\W\d{{1,2}}(?:st|nd|rd|th)?[^\d\n]{{1,12}}0?{number}\b|{re.escape(value[:10])}",
        re.I,
    )
    near = (name[:3], *_adjacent(month, number), value[:10].casefold())
    named = rf"(?:{'|'.join(month[:3] for month in _MONTHS)})[a-z]*"
    bare = re.compile(rf"\b0?{number}(?:st|nd|rd|th)\b(?! (?:of )?{named}\b)", re.I)

    def probe(text: Text, parts: set[str]) -> bool:
        if any(part in text.folded for part in near) and said.search(text.raw):
            return True
        return text.by_human and (text.relative or bool(bare.search(text.raw)))

    return probe
