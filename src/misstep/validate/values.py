"""Which argument values look as if somebody must have supplied them, and how to look for them.

In: the parsed arguments of a call. Out: `Leaf` values with a kind: `email`, `uuid`, `date`, `path`
or `id` (order numbers, account numbers, hashes, opaque tokens). Everything else is the model's own
choice: text of several words, small numbers, names, free text, code. Values under names that ask
for something new (an idempotency key), and the id of what a creating tool creates, are the model's
too. The lists were tuned by reading every hit on real logs (design/tracelint.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from misstep.validate.strict_json import escape

Kind = Literal["email", "uuid", "date", "path", "id"]
MAX_LEAVES = 200
"""Values of one call that are looked at."""
MIN_VALUE = 4
MAX_VALUE = 200
"""Characters of a value beyond which it is text, not an identifier."""
MIN_NUMBER = 1000
"""Smaller whole numbers are places in a list or counts, seldom identifiers."""


@dataclass(slots=True)  # not frozen: one for each value of each call
class Leaf:
    """One plain value in the arguments of a call."""

    above: str
    """JSON pointer of what it stands in, or of itself without a token."""
    name: str
    """The nearest key above it."""
    value: Any
    token: str | int | None = None
    """Its own key or place."""

    @property
    def where(self) -> str:
        """JSON pointer; asked for of few values."""
        return self.above if self.token is None else f"{self.above}/{escape(str(self.token))}"


def leaves(value: Any) -> Iterable[Leaf]:
    """The plain values of parsed arguments in their order, `MAX_LEAVES` at most."""
    if isinstance(value, dict) and len(value) <= MAX_LEAVES:
        found = [Leaf("", key, inner, key) for key, inner in value.items()]
        if not any(isinstance(leaf.value, dict | list) for leaf in found):
            return found  # as most arguments are
    return _leaves(value)


def _leaves(value: Any) -> Iterator[Leaf]:
    todo = [Leaf("", "", value)]
    for _ in range(MAX_LEAVES * 8):
        if not todo:
            return
        at = todo.pop()
        if isinstance(at.value, dict):
            where = at.where
            inner = [Leaf(where, k, v, k) for k, v in at.value.items()]
            todo.extend(reversed(inner[:MAX_LEAVES]))
        elif isinstance(at.value, list):
            where = at.where
            inner = [Leaf(where, at.name, v, i) for i, v in enumerate(at.value)]
            todo.extend(reversed(inner[:MAX_LEAVES]))
        else:
            yield at


def word_set(text: str) -> frozenset[str]:
    """The words of a list that is written as one text."""
    return frozenset(text.split())


_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_ID_WORDS = word_set(
    "id ids uuid guid reference ref number numbers no pnr sku isbn iban account order ticket "
    "reservation booking confirmation tracking invoice customer user flight phone cursor token "
    "token_id hash sha digest serial vin ssn passport"
)
_NOT_IDS = word_set(
    "line lines page pages column row max min limit count offset port index size width height "
    "version model seed timeout color colour lang language currency country locale timezone format "
    "encoding units unit status total amount price number_of quantity age year years month day "
    "days hour hours minute minutes second seconds ms tokens temperature top budget duration "
    "start end step steps chars length depth level priority rank score points per workers"
)
_FREE = word_set(
    "text content contents body message query queries q search prompt description title summary "
    "subject comment note notes reason explanation thought thoughts command cmd code script "
    "pattern regex expression sql answer label labels tag tags topic keyword keywords "
    "instructions instruction question input output data value values old new replacement "
    "str string name names type kind mode style lang url urls uri link href html css"
)
_MADE_UP = word_set(
    "idempotency nonce trace correlation request client temp tmp random salt call toolcall "
    "target dest destination output out save"
)
_CREATES = word_set(
    "create add new register generate insert write save upload put make start begin init define "
    "declare set store append todo plan task think record log report spawn launch submit"
)
_EMAIL = re.compile(r"[\w.+'-]{1,64}@[\w-]+(?:\.[\w-]+)+")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.I)
_DATE = re.compile(r"((?:19|20)\d\d)-(\d\d)-(\d\d)(?:[T ][\d:.Z+-]*)?")
_PATH = re.compile(r"(?:~|[A-Za-z]:)?[/\\][^\s:*?\"<>|]*[^\s:*?\"<>|/\\]")
_TOKEN = re.compile(r"[#+]?[A-Za-z0-9][\w.:#~=+-]*")
_HASH = re.compile(r"(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{16,128}", re.I)
_CODED = re.compile(r"#?[A-Z]{1,6}[-_#]?\d{4,12}")
_STANDARD = re.compile(r"(?:ISO|RFC|CVE|PEP|UTF|SHA|AES|RSA|HTTP|EPSG|WIN|GPT|JSR|CWE)\W?\d", re.I)
PLACEHOLDER = re.compile(
    r"<[\w -]{2,40}>|\{+[\w -]{2,40}\}+|\[[A-Z_ ]{3,40}\]|your[_-].{2,40}"
    r"|x{4,}|(?:[a-z]{1,12}[_-]?)?(?:0?1234567?8?9?0?|0{5,}|9{5,}|abc123)"
    r"|.{1,64}@(?:example|test|domain|email|company)\.(?:com|org|net)",
    re.I,
)


@lru_cache(maxsize=8192)
def words(name: str) -> tuple[str, ...]:
    """The words of an argument's or a tool's name, in lower case."""
    return tuple(word.lower() for word in _CAMEL.findall(name))


@lru_cache(maxsize=4096)
def verb_words(tool: str) -> tuple[str, ...]:
    """The words of a tool's own name, without the server or the module in front of it."""
    return words(re.split(r"__|[./:]", tool.rstrip("_./:"))[-1])


def may_hold(value: Any, tool: str) -> bool:
    """A quick look: false only where `kind_of` finds nothing in a value."""
    if not isinstance(value, dict):
        return True
    for name, inner in value.items():
        if isinstance(inner, str):
            if len(inner) >= MIN_VALUE and _supplied(name, tool):
                return True
        elif isinstance(inner, dict | list) or (isinstance(inner, int) and inner >= MIN_NUMBER):
            return True
    return False


def kind_of(leaf: Leaf, tool: str) -> Kind | None:
    """What kind of supplied value a leaf looks like; None where it may be the model's own."""
    value = leaf.value
    if isinstance(value, str):
        if len(value) < MIN_VALUE or not _supplied(leaf.name, tool):
            return None
        text = value.strip()
        return (
            _kind_of_text(text, words(leaf.name)) if MIN_VALUE <= len(text) <= MAX_VALUE else None
        )
    if isinstance(value, int) and not isinstance(value, bool) and value >= MIN_NUMBER:
        named = words(leaf.name)
        return "id" if _id_name(named) and not _own(named, tool) else None
    return None


@lru_cache(maxsize=8192)
def _supplied(name: str, tool: str) -> bool:
    """Whether the names leave open that somebody must have supplied the text."""
    named = words(name)
    return _FREE.isdisjoint(named) and not _own(named, tool)


def _kind_of_text(text: str, named: tuple[str, ...]) -> Kind | None:
    shaped = _shape(text)
    if shaped is not None:
        return shaped
    asked = _id_name(named)
    if asked and PLACEHOLDER.fullmatch(text):
        return "id"
    if " " in text or _TOKEN.fullmatch(text) is None or not any(map(str.isdigit, text)):
        return None
    if asked:
        return "id" if len(text) >= 5 or not text.isdigit() else None
    coded = _CODED.fullmatch(text) and not _STANDARD.match(text)
    return "id" if (coded or _HASH.fullmatch(text)) and _NOT_IDS.isdisjoint(named) else None


def _shape(text: str) -> Kind | None:
    """The kind that the text shows whatever its name; each is looked for by a character first."""
    if "@" in text and _EMAIL.fullmatch(text):
        return "email"
    if "-" in text:
        if len(text) == 36 and _UUID.fullmatch(text):
            return "uuid"
        if _DATE.fullmatch(text):
            return "date"
    return "path" if ("/" in text or "\\" in text) and _PATH.fullmatch(text) else None


def _id_name(named: tuple[str, ...]) -> bool:
    """Whether a name of an argument asks for an identifier."""
    return bool(named) and named[-1] in _ID_WORDS and _NOT_IDS.isdisjoint(named)


def _own(named: tuple[str, ...], tool: str) -> bool:
    """Whether the model is free to make the value up."""
    if not _MADE_UP.isdisjoint(named):
        return True
    made = verb_words(tool)
    if not made or made[0] not in _CREATES or not named or named[-1] not in ("id", "ids", "uuid"):
        return False
    return len(named) == 1 or not set(named[:-1]).isdisjoint(made)


def date_of(text: str) -> tuple[int, int, int] | None:
    """Year, month and day of a value of kind `date`."""
    found = _DATE.fullmatch(text.strip())
    return None if found is None else (int(found[1]), int(found[2]), int(found[3]))
