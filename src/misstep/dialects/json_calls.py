"""Dialects that write calls as JSON between marks of their own.

The argument text is the exact slice of the text. Where the JSON is broken, the name is found by its
key and the arguments run from theirs to the end of the envelope. Arguments that are a JSON text
inside a string, as OpenAI writes them, are unwrapped once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from misstep.dialects.found import Found, Given, Read, call_of
from misstep.types import ToolCall

_DECODER = json.JSONDecoder(strict=False)
_STRING = r'"(?:[^"\\]|\\.)*"'
_NAME = re.compile(rf'"(?:name|tool_name|function)"\s*:\s*({_STRING})', re.S)
_ARGUMENTS = re.compile(r'"(?:arguments|parameters|tool_input|input|args)"\s*: ?')
_KEYS = ("arguments", "parameters", "tool_input", "input", "args")
_NAMES = ("name", "tool_name", "function")


def space(text: str, at: int) -> int:
    """The first place at or behind `at` that holds no white space."""
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def value_end(text: str, at: int) -> int | None:
    """Where the JSON value that starts at `at` ends; None where it is broken."""
    try:
        return _DECODER.raw_decode(text, at)[1]
    except (ValueError, RecursionError):
        return None


def keyed_calls(body: str, given: Given) -> tuple[ToolCall, ...]:
    """The calls in `{"name": …, "arguments": …}`, or in a list of such objects."""
    at = space(body, 0)
    if body.startswith("[", at):
        return tuple(_listed(body, at + 1, given))
    end = value_end(body, at)
    one = _keyed(body[at:end], given) if end is not None else _broken(body[at:], given)
    return () if one is None else (one,)


def _listed(body: str, at: int, given: Given) -> Iterator[ToolCall]:
    while True:
        at = space(body, at)
        if body.startswith(",", at):
            at = space(body, at + 1)
        if at >= len(body) or body[at] != "{":
            return
        end = value_end(body, at)
        one = _keyed(body[at:end], given) if end is not None else _broken(body[at:], given)
        if one is not None:
            yield one
        if end is None:
            return
        at = end


def members(text: str) -> Iterator[tuple[str, str]]:
    """Key and exact value text of each member of a valid JSON object."""
    at = space(text, 0) + 1
    while True:
        at = space(text, at)
        if at >= len(text) or text[at] == "}":
            return
        key, at = _DECODER.raw_decode(text, at)
        at = space(text, space(text, at) + 1)
        _, end = _DECODER.raw_decode(text, at)
        yield key, text[at:end]
        at = space(text, end)
        if text.startswith(",", at):
            at += 1


def _keyed(text: str, given: Given) -> ToolCall | None:
    held = dict(members(text)) if text.startswith("{") else {}
    inner = held.get("function")
    if inner is not None and inner.startswith("{"):  # {"type": "function", "function": {…}}
        one = _keyed(inner, given)
        return None if one is None else call_of(one.name, one.arguments, call_id=_id(held))
    name = next((_text(held[key]) for key in _NAMES if key in held), None)
    if not name:
        return None
    raw = next((held[key] for key in _KEYS if key in held), "")
    unwrapped = _text(raw) if raw.startswith('"') else None
    return call_of(name, raw if unwrapped is None else unwrapped, call_id=_id(held))


def _id(held: dict[str, str]) -> str | None:
    return _text(held["id"]) if "id" in held else None


def _text(literal: str) -> str | None:
    try:
        value = json.loads(literal, strict=False)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, str) else None


def _broken(text: str, given: Given) -> ToolCall | None:
    opened = _ARGUMENTS.search(text)
    stop = len(text) if opened is None else opened.start()
    names = [_text(m.group(1)) or "" for m in _NAME.finditer(text, 0, stop)]
    if not names:
        return None
    name = next((n for n in names if n in given.tools), names[0])
    if opened is None:
        return call_of(name, "")
    rest = text[opened.end() :].rstrip()
    end = value_end(rest, 0)
    if end is None and rest.endswith("}"):
        rest = rest[:-1]
    return call_of(name, rest if end is None else rest[:end])


def between(opener: str, closer: str | None, *, lead: str = "") -> Read:
    """A reader of JSON between marks; without a closing mark it runs as far as the JSON does.

    Args:
        opener: a pattern.
        closer: a pattern; None where the end of the JSON is the end.
        lead: a pattern that must follow the opener for it to count.
    """
    opens = re.compile(opener + (rf"(?={lead})" if lead else ""))
    closes = None if closer is None else re.compile(closer)

    def read(text: str, given: Given) -> Iterator[Found]:
        at = 0
        while (mark := opens.search(text, at)) is not None:
            end, after = _extent(text, mark.end(), closes)
            calls = keyed_calls(text[mark.end() : end], given)
            at = max(after, mark.end() + 1)
            if calls:
                yield Found(mark.start(), after, calls)

    return read


def _extent(text: str, start: int, closes: re.Pattern[str] | None) -> tuple[int, int]:
    """Where the body that begins at `start` ends, and where its envelope does."""
    end = value_end(text, space(text, start))
    if end is not None:
        mark = None if closes is None else closes.match(text, space(text, end))
        return end, end if mark is None else mark.end()
    mark = None if closes is None else closes.search(text, start)
    return (len(text), len(text)) if mark is None else (mark.start(), mark.end())


def named(opener: str, closer: str | None) -> Read:
    """A reader of marks that hold the name (group `name`, perhaps `id`), then the arguments."""
    opens = re.compile(opener, re.S)
    closes = None if closer is None else re.compile(closer)

    def read(text: str, given: Given) -> Iterator[Found]:
        at = 0
        while (mark := opens.search(text, at)) is not None:
            end, after = _extent(text, mark.end(), closes)
            found = mark.groupdict()
            arguments = text[space(text, mark.end()) : end].rstrip()
            name = found["name"] or found.get("name2") or ""
            one = call_of(name.strip(), arguments, call_id=found.get("id"))
            at = max(after, mark.end() + 1)
            yield Found(mark.start(), after, (one,))

    return read


_FENCE = re.compile(r"\s*```[\w-]*[ \t]*\n(?P<body>.*?)\n?[ \t]*(?:```\s*)?\Z", re.S)
_CALLS = re.compile(r'\s*\{\s*"tool_calls"\s*:\s*')


def whole(text: str, given: Given) -> Iterator[Found]:
    """Calls that are all of the answer: an object, a list, `{"tool_calls": […]}`; fenced or not."""
    fenced = _FENCE.match(text)
    body, shift = (fenced["body"], fenced.start("body")) if fenced else (text, 0)
    wrapped = _CALLS.match(body)
    start = wrapped.end() if wrapped else 0
    calls = keyed_calls(body[start:], given)
    if calls and all(_is_call(call.name, given) for call in calls):
        first = shift + space(body, 0) if not fenced else space(text, 0)
        yield Found(first, len(text), calls)


def _is_call(name: str, given: Given) -> bool:
    return not given.tools or name in given.tools
