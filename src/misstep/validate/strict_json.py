"""JSON text, judged strictly: the value, or the one kind of failure that stops a strict parser.

In: text that is meant to be JSON. Out: a `Parsed` with the value or a `Fault`, and notes that do
not make the text invalid. jiter decides what is JSON (RFC 8259, duplicate keys reported); what
stands here only names its refusals. Nothing is repaired, nothing raises, depth is no danger: a
text nested deeper than jiter's limit of about 200 is a `JSON_SYNTAX` with the tag `too_deep`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jiter
import msgspec

from misstep.redact import clean_pointer, cut

SPACE = " \t\r\n"
"""What RFC 8259 counts as white space."""

_AT = re.compile(r" at line (\d+) column (\d+)$")
_FENCE = re.compile(r"```[^\n`{\[]*(?:\n|(?=[{\[]))(?P<body>.*?)(?P<close>\n?[ \t]*```|\Z)", re.S)
_LARGE = re.compile(r"[0-9](?:(?<![0-9.][0-9])[0-9]{15}|[eE]\+?[0-9]{3})")
_NONFINITE = re.compile(r"[-+]?(?:NaN|nan|Infinity|inf)\b")
_PYTHON = re.compile(r"(?:True|False|None)\b")
_QUOTE = re.compile(r"['’‘“”`]|[A-Za-z_$][\w$-]*\s*:")
_OBJECT_LIKE = re.compile(r"\{\s*(?:[\"'“”‘’]|[A-Za-z_$][\w$]*\s*:)")
_NUMBERS = frozenset({int, float, dict, list})
_MAX_CANDIDATES = 20
_EXACT = 2**53
_SHORT = 4096
"""Characters of a text whose value is remembered: several validators ask for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong with a JSON text."""

    code: str
    said: str
    span: tuple[int, int] | None = None
    """Character offsets into the text."""
    tags: tuple[str, ...] = ()
    quote: tuple[int, int] | None = None
    """Character offsets of what `told` quotes behind `said`."""

    def told(self, text: str) -> str:
        """What is wrong with `text`, with the place where it is, without secrets and people."""
        return self.said if self.quote is None else f"{self.said}{cut(text, *self.quote)!r}"


class Parsed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a text holds."""

    ok: bool
    """True where there is a value; duplicate keys leave one (the last wins)."""
    value: Any = None
    fault: Fault | None = None
    notes: tuple[Fault, ...] = ()


def parse(text: str) -> Parsed:
    """The value of a JSON text or the kind of its failure; nobody may change the value."""
    return _known(text) if len(text) <= _SHORT else _parse(text)


def _parse(text: str) -> Parsed:
    if not text.strip(SPACE):
        return _failed("JSON_EMPTY", "expected JSON, got an empty text")
    data = text.encode("utf-8", "surrogatepass")
    try:
        value = jiter.from_json(data, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        return _refused(text, data, str(error))
    return _checked(text, value)


_known = lru_cache(maxsize=512)(_parse)


def partial(text: str) -> Any:
    """The value of a text that stops early, as far as it goes; None where there is none."""
    try:
        return jiter.from_json(
            text.encode("utf-8", "surrogatepass"), partial_mode="trailing-strings"
        )
    except ValueError:
        return None


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Every value inside `value` with its JSON pointer, itself first, without recursion."""
    stack = [("", value)]
    while stack:
        where, at = stack.pop()
        yield where, at
        if isinstance(at, dict):
            stack.extend((f"{where}/{escape(key)}", item) for key, item in at.items())
        elif isinstance(at, list):
            stack.extend((f"{where}/{index}", item) for index, item in enumerate(at))


def lists(value: Any) -> Iterator[tuple[str, list[Any]]]:
    """Every list inside `value` with its JSON pointer, without recursion."""
    stack: list[tuple[Any, Any]] = [((), value)]  # a path is a pair: the parent's path, a token
    while stack:
        path, at = stack.pop()
        if isinstance(at, list):
            yield _joined(path), at
            inside: Iterable[tuple[Any, Any]] = enumerate(at)
        else:
            inside = at.items() if isinstance(at, dict) else ()
        stack.extend(((path, key), item) for key, item in inside if isinstance(item, dict | list))


def _joined(path: Any) -> str:
    tokens: list[str] = []
    while path:
        path, token = path
        tokens.append(escape(str(token)))
    return "".join(f"/{token}" for token in reversed(tokens))


def escape(key: str) -> str:
    """One token of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _failed(code: str, said: str, at: int | None = None, **more: Any) -> Parsed:
    """A fault at `at`; `more` holds tags and what is quoted."""
    span = None if at is None else (at, at + 1)
    return Parsed(ok=False, fault=Fault(code=code, said=said, span=span, **more))


def _checked(text: str, value: Any) -> Parsed:
    """Numbers that a double cannot hold: too large is a fault, not exact is a note."""
    notes: list[Fault] = []
    if _may_hold_numbers(value) and _LARGE.search(text):
        for where, at in walk(value):
            if isinstance(at, float) and not math.isfinite(at):
                shown = clean_pointer(where)
                return _failed("JSON_NONFINITE", f"a number too large for a double at {shown!r}")
            if isinstance(at, int) and abs(at) > _EXACT:
                said = f"the integer at {clean_pointer(where)!r} is beyond 2^53"
                notes.append(Fault(code="JSON_BIGINT_LOSS", said=said))
    return Parsed(ok=True, value=value, notes=tuple(notes[:1]))


def _may_hold_numbers(value: Any) -> bool:
    """A quick look: false only for a text and for an object of plain texts and flags."""
    if isinstance(value, dict):
        return not _NUMBERS.isdisjoint(map(type, value.values()))
    return not isinstance(value, str)


def _refused(text: str, data: bytes, error: str) -> Parsed:
    """The failure behind one of jiter's messages, in the order of the documented cascade."""
    at = _offset(data, error)
    said = f"{error}: "
    if error.startswith("Detected duplicate key"):
        return _duplicate(text, data, said, at)
    if error.startswith("trailing characters"):
        return _trailing(text, at, said)
    for start, code in _BY_MESSAGE:
        if error.startswith(start):
            tags = ("too_deep",) if start == "recursion" else ()
            return _failed(code, said, at, tags=tags, quote=_around(at))
    lead = len(text) - len(text.lstrip(SPACE))
    if text.startswith("```", lead):
        return _fenced(text, prose=False)
    if at <= lead + 1 and not text.startswith(("{", "["), lead):
        return _no_json_yet(text, at, said)
    return _failed(_by_character(text, at), said, at, quote=_around(at))


_BY_MESSAGE = (
    ("EOF while", "JSON_TRUNCATED"),
    ("trailing comma", "JSON_TRAILING_COMMA"),
    ("control character", "JSON_CONTROL_CHAR"),
    ("invalid unicode", "JSON_ENCODING"),
    ("invalid escape", "JSON_ENCODING"),
    ("unexpected end of hex", "JSON_ENCODING"),
    ("lone leading", "JSON_ENCODING"),
    ("number out of range", "JSON_NONFINITE"),
    ("recursion", "JSON_SYNTAX"),
)


def _offset(data: bytes, error: str) -> int:
    """Character offset of the place that jiter's message names."""
    found = _AT.search(error)
    if found is None:
        return 0
    line, column = int(found[1]), int(found[2])
    start = 0
    for _ in range(line - 1):
        start = data.find(b"\n", start) + 1
    return len(data[: start + max(column - 1, 0)].decode("utf-8", "replace"))


def _around(at: int) -> tuple[int, int]:
    return max(at - 20, 0), at + 40


def _duplicate(text: str, data: bytes, said: str, at: int) -> Parsed:
    try:
        value = jiter.from_json(data, allow_inf_nan=False)
    except ValueError as error:
        return _refused(text, data, str(error))
    rest = _checked(text, value)
    fault = Fault(code="JSON_DUP_KEY", said=said, span=(at, at + 1), quote=_around(at))
    return msgspec.structs.replace(rest, fault=rest.fault or fault)


def _trailing(text: str, at: int, said: str) -> Parsed:
    """A whole value with something behind it: a second value, or prose."""
    first, rest = text[:at].strip(SPACE), text[at:].strip(SPACE)
    if rest[:1] in ("{", "[", '"') or _is_json(rest):
        return _failed("JSON_EXTRA_DATA", said, at, quote=_around(at))
    if first[:1] in ("{", "["):
        return _failed("JSON_PROSE", said, at, quote=_around(at))
    return _no_json_yet(text, at, said)


def _is_json(text: str) -> bool:
    try:
        jiter.from_json(text.encode("utf-8", "surrogatepass"), allow_inf_nan=False)
    except ValueError:
        return False
    return True


def _fenced(text: str, *, prose: bool) -> Parsed:
    """A text with a code fence; its body decides, unless it is strict JSON itself."""
    found = _FENCE.search(text)
    if found is None:
        return _failed("JSON_SYNTAX", "a fence without a body", text.find("```"))
    body, span = found["body"], found.span("body")
    outside = text[: found.start()] + text[found.end() :]
    if not _is_json(body):
        fault = (parse(body).fault if "```" not in body else None) or Fault(
            code="JSON_SYNTAX", said="a fence inside a fence"
        )
        tags = (*fault.tags, "fenced")
        return Parsed(ok=False, fault=replace(_later(fault, span[0]), tags=tags))
    around = prose or bool(outside.strip(SPACE))
    code = "JSON_FENCED_PROSE" if around else "JSON_FENCED"
    tags = () if found["close"] else ("unclosed",)
    said = f"JSON inside a code fence{' with text around it' if around else ''}"
    return Parsed(ok=False, fault=Fault(code=code, said=said, span=span, tags=tags))


def _later(fault: Fault, by: int) -> Fault:
    """A fault of a piece of a text that begins so many characters on."""
    span = None if fault.span is None else (fault.span[0] + by, fault.span[1] + by)
    quote = None if fault.quote is None else (fault.quote[0] + by, fault.quote[1] + by)
    return replace(fault, span=span, quote=quote)


def _no_json_yet(text: str, at: int, said: str) -> Parsed:
    """The text does not begin with JSON: look for some further on."""
    literal = _whole_literal(text)
    if literal is not None:
        return _failed(literal, said, at, quote=_around(at))
    if "```" in text:
        inside = _fenced(text, prose=True)
        if inside.fault is not None and inside.fault.code.startswith("JSON_FENCED"):
            return inside
    start = _first_json(text)
    if start is not None:
        return _failed("JSON_PROSE", "text before JSON: ", start, quote=_around(start))
    like = _OBJECT_LIKE.search(text)
    if like is not None:
        fault = parse(text[like.start() :]).fault
        if fault is not None:
            fault = replace(_later(fault, like.start()), span=None, tags=(*fault.tags, "prose"))
            return Parsed(ok=False, fault=fault)
    return _failed("JSON_NOT_FOUND", "expected JSON, got ", at, quote=(0, 80))


def _whole_literal(text: str) -> str | None:
    body = text.strip(SPACE)
    if _PYTHON.fullmatch(body):
        return "JSON_PY_LITERAL"
    if _NONFINITE.fullmatch(body):
        return "JSON_NONFINITE"
    return "JSON_QUOTES" if re.fullmatch(r"'[^']*'", body) else None


def _first_json(text: str) -> int | None:
    """Where the first strict object or list in the text begins."""
    for tried, found in enumerate(re.finditer(r"[{\[]", text)):
        if tried >= _MAX_CANDIDATES:
            return None
        data = text[found.start() :].encode("utf-8", "surrogatepass")
        try:
            jiter.from_json(data, allow_inf_nan=False)
        except ValueError as error:
            if not str(error).startswith("trailing characters"):
                continue
        return found.start()
    return None


def _by_character(text: str, at: int) -> str:
    """The kind of a syntax error inside a value, by the character that it stands on."""
    for start in (at, at - 1):  # jiter points behind a minus sign or the first letter of a word
        if start >= 0 and _NONFINITE.match(text, start):
            return "JSON_NONFINITE"
    if _PYTHON.match(text, at):
        return "JSON_PY_LITERAL"
    if _QUOTE.match(text, at):
        return "JSON_QUOTES"
    return "JSON_SYNTAX"
