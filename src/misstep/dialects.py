"""Raw text in which models write tool calls: reading it, writing it, finding it in plain text.

In: text as a model emitted it. Out: parts (text, reasoning, calls), or the spans of call markup.
The one dialect that misstep samples and trains with is Hermes':

    <tool_call>
    {"name": "look_up", "arguments": {"city": "Oslo"}}
    </tool_call>

Argument text is the exact slice that the model wrote, broken JSON included: nothing is repaired,
nothing is re-serialised. Nothing here raises on any text, and every scan is linear in its length.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from misstep.types import Part, ToolCall

OPEN = "<tool_call>"
CLOSE = "</tool_call>"
THINK_OPEN = "<think>"
THINK_CLOSE = "</think>"

_STRING = r'"(?:[^"\\]|\\.)*"'
_NAME = re.compile(rf'"name"\s*:\s*({_STRING})', re.S)
_ARGUMENTS = re.compile(r'"arguments"\s*: ?')
_NEXT_KEY = re.compile(r',\s*"name"\s*:')
_SEPARATORS = ("", " ", "\n", "\n\n")
_DECODER = json.JSONDecoder(strict=False)


# --- writing -----------------------------------------------------------------------------------


def render_call(call: ToolCall) -> str:
    """The call as a Hermes block; the argument text stands in it unchanged."""
    name = json.dumps(call.name, ensure_ascii=False)
    return f'{OPEN}\n{{"name": {name}, "arguments": {call.arguments}}}\n{CLOSE}'


def render_answer(parts: Iterable[Part]) -> str:
    """Text and calls of one answer in their order; reasoning, images and results are left out.

    A newline separates a call from what stands before it, unless that ends in white space.
    """
    out = ""
    for part in parts:
        if part.call is not None:
            gap = "\n" if out and not out[-1].isspace() else ""
            out += gap + render_call(part.call)
        elif part.kind == "text":
            out += part.text or ""
    return out


# --- reading -----------------------------------------------------------------------------------


def parse_answer(text: str, *, tools: Collection[str] = ()) -> tuple[Part, ...]:
    """The parts of one answer: reasoning in `<think>`, Hermes calls, and the text between them.

    A block without a closing tag runs to the end of the text (a cut answer). A block in which no
    name can be found stays text, as does all that stands in other dialects. `tools`, if given,
    holds the offered names; it decides only where a block names itself twice.
    """
    parts: list[Part] = []
    reasoning, at = _thoughts(text)
    if reasoning is not None:
        parts.append(Part(kind="reasoning", text=reasoning))
    index = 0
    start = at
    while (opened := text.find(OPEN, at)) >= 0:
        call, at = _block(text, opened + len(OPEN), tools)
        if call is None:
            continue
        _add_text(parts, text[start:opened], beside_call=True)
        parts.append(Part(kind="call", call=_numbered(call, index)))
        index += 1
        start = at
    _add_text(parts, text[start:], beside_call=index > 0)
    return tuple(parts)


def _thoughts(text: str) -> tuple[str | None, int]:
    """The reasoning at the head of the text, and where the rest begins."""
    head = len(text) - len(text.lstrip())
    if not text.startswith(THINK_OPEN, head):
        return None, 0
    start = head + len(THINK_OPEN)
    end = text.find(THINK_CLOSE, start)
    if end < 0:
        return text[start:], len(text)
    return text[start:end], end + len(THINK_CLOSE)


def _add_text(parts: list[Part], text: str, *, beside_call: bool) -> None:
    if text and not (beside_call and text in _SEPARATORS):
        parts.append(Part(kind="text", text=text))


def _numbered(call: ToolCall, index: int) -> ToolCall:
    return ToolCall(name=call.name, arguments=call.arguments, index=index)


def _block(text: str, start: int, tools: Collection[str]) -> tuple[ToolCall | None, int]:
    """The call in the block whose body begins at `start`, and where the block ends."""
    found = _json_block(text, start)
    if found is not None:
        return found
    closed = text.find(CLOSE, start)
    end = len(text) if closed < 0 else closed
    after = end if closed < 0 else closed + len(CLOSE)
    return _broken_block(text[start:end], closed >= 0, tools), after


def _json_block(text: str, start: int) -> tuple[ToolCall | None, int] | None:
    """As `_block` for a body that is one JSON object with a name; else None.

    Reading it as JSON lets a closing tag stand inside an argument string.
    """
    at = _skip_space(text, start)
    if not text.startswith("{", at):
        return None
    try:
        value, end = _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None
    name = value.get("name") if isinstance(value, dict) else None
    closed = _skip_space(text, end)
    is_closed = text.startswith(CLOSE, closed)
    if not isinstance(name, str) or (not is_closed and closed < len(text)):
        return None
    arguments = _value_slice(text[at + 1 : end - 1], "arguments") if "arguments" in value else ""
    return ToolCall(name=name, arguments=arguments), closed + (len(CLOSE) if is_closed else 0)


def _value_slice(body: str, key: str) -> str:
    """The text of the value at `key` in the members of a valid JSON object; the last one wins.

    Where the value is the last member its white space belongs to it, but for one leading space.
    """
    at, found = 0, ""
    while at < len(body):
        at = _skip_space(body, at)
        name, at = _DECODER.raw_decode(body, at)
        at = _skip_space(body, at) + 1
        start = at + (1 if body.startswith(" ", at) else 0)
        _, end = _DECODER.raw_decode(body, _skip_space(body, at))
        comma = _skip_space(body, end)
        if name == key:
            found = body[start:] if comma >= len(body) else body[start:end]
        at = comma + 1
    return found


def _broken_block(body: str, closed: bool, tools: Collection[str]) -> ToolCall | None:
    """The call in a body that is not one JSON object, by where its keys stand."""
    opened = _ARGUMENTS.search(body)
    before = body[: opened.start()] if opened else body
    name = _name_in(before, tools)
    if name is not None:
        if opened is None:
            return ToolCall(name=name, arguments="")
        rest = body[opened.end() :]
        # a block that lacks one brace lacks that of the arguments: its own is the last
        lacks_one = closed or _is_json(rest)
        return ToolCall(name=name, arguments=_without_brace(rest) if lacks_one else rest)
    follow = _last(_NEXT_KEY, body, opened.end()) if opened else None
    if opened is None or follow is None:
        return None
    name = _name_in(body[follow:], tools)
    if name is None:
        return None
    return ToolCall(name=name, arguments=body[opened.end() : follow])


def _name_in(text: str, tools: Collection[str]) -> str | None:
    """The first name that is offered, else the first name at all."""
    names = [_unquoted(m.group(1)) for m in _NAME.finditer(text)]
    return next((n for n in names if n in tools), names[0] if names else None)


def _unquoted(literal: str) -> str:
    try:
        return str(json.loads(literal, strict=False))
    except ValueError:
        return literal[1:-1]


def _without_brace(rest: str) -> str:
    """Without the brace that closes the block's own object, where there is one."""
    tail = rest.rstrip()
    return tail[:-1] if tail.endswith("}") else rest


def _is_json(text: str) -> bool:
    try:
        json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return False
    return True


def _last(pattern: re.Pattern[str], text: str, start: int) -> int | None:
    at = None
    for match in pattern.finditer(text, start):
        at = match.start()
    return at


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


# --- finding -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Markup:
    """Call markup found in plain text."""

    start: int
    """Character offset of its first character."""
    end: int
    """Character offset behind its last character; the opener and the name, not all arguments."""
    dialect: str
    name: str


@dataclass(frozen=True, slots=True)
class Dialect:
    """One raw syntax: `pattern` has a group `name`, which is checked against the offered tools."""

    name: str
    pattern: str


_SPACE = r"\s*+"
_KEY = r'\{\s*+"(?:name|tool_name|function)"\s*+:\s*+"(?P<name>[^"\n]{1,128})"'
_KEYED = rf"{_SPACE}(?:\[{_SPACE})?{_KEY}"
_LINE = r"(?m:^)[ \t]{0,8}+"
_WORD = r"(?P<name>[\w.:/-]{1,128}+)"
_IDENTIFIER = r"(?P<name>[A-Za-z_][\w.]{0,127}+)"
_VALUES = r"(?:arguments|parameters|tool_input|input)"

DIALECTS: tuple[Dialect, ...] = (
    Dialect("hermes", r"<tool_call>" + _KEYED),
    Dialect("qwen-coder", r"<function=(?P<name>[^>\s]{1,128})>"),
    Dialect("glm", rf"<tool_call>{_SPACE}{_WORD}{_SPACE}<arg_key>"),
    Dialect("invoke", r"<(?:[|｜]DSML[|｜])?invoke name=\"(?P<name>[^\"\n]{1,128})\""),
    Dialect("harmony", r"\bto=(?:functions\.)?(?P<name>[\w.-]{1,128}+)(?=[\s<][^{]{0,120}\{)"),
    Dialect("open-toolscall", rf"<\|open\|>{_SPACE}toolscall{_SPACE}tool=\"?{_WORD}"),
    Dialect("mistral", r"\[TOOL_CALLS\]" + _KEYED),
    Dialect("mistral-args", rf"\[TOOL_CALLS\]{_SPACE}{_WORD}{_SPACE}(?=\[|\{{)"),
    Dialect("functools", r"\bfunctools" + _KEYED),
    Dialect("python-tag", r"<\|python_(?:tag|start)\|>" + _KEYED),
    Dialect("python-tag", rf"<\|python_(?:tag|start)\|>{_SPACE}\[?{_IDENTIFIER}\("),
    Dialect(
        "deepseek", r"<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>)?(?P<name>[^\s<｜]{1,128})"
    ),
    Dialect("kimi", rf"<\|tool_call_begin\|>{_SPACE}(?:functions\.)?(?P<name>[\w./-]{{1,128}}+)"),
    Dialect("phi", r"<\|tool_call\|>" + _KEYED),
    Dialect("granite", r"<function_call>" + _KEYED),
    Dialect("gemma", rf"<start_function_call>{_SPACE}call:{_WORD}(?=\{{)"),
    Dialect("olmo", rf"<function_calls>{_SPACE}{_IDENTIFIER}\("),
    Dialect("react", rf"{_LINE}Action[ \t]*+:[ \t]*+{_WORD}[ \t\r]*+\n{_SPACE}Action Input\s*+:"),
    Dialect("json-calls", rf'"tool_calls"{_SPACE}:{_KEYED}(?=\s*+,\s*+"{_VALUES}")'),
    Dialect("json-calls", rf'{_LINE}(?:\[{_SPACE})?{_KEY}(?=\s*+,\s*+"{_VALUES}")'),
    Dialect("pythonic", rf"{_LINE}\[{_IDENTIFIER}\((?=[A-Za-z_]\w{{0,63}}+[ \t]*+=|\)\s*+[\],])"),
)
"""Openers with a name behind them. A new dialect is one line here and one test."""

_COMPILED: dict[str, re.Pattern[str]] = {}
_FENCE = re.compile(r"^[ \t]{0,3}(`{3,}|~{3,})", re.M)


def markup(text: str, tools: Collection[str]) -> list[Markup]:
    """Call markup in `text` that names one of `tools`, outside code fences, in order of place.

    Overlapping finds of several dialects count once: the first that starts, then the longest.
    """
    if not any(name in text for name in tools):
        return []  # true of most texts, and quicker than any pattern
    fences = _fences(text)
    found = sorted(
        (m for d in DIALECTS for m in _finds(d, text, tools) if not _inside(m.start, fences)),
        key=lambda m: (m.start, -m.end),
    )
    kept: list[Markup] = []
    for one in found:
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
    return kept


def _finds(dialect: Dialect, text: str, tools: Collection[str]) -> Iterator[Markup]:
    pattern = _COMPILED.get(dialect.pattern)
    if pattern is None:
        pattern = _COMPILED.setdefault(dialect.pattern, re.compile(dialect.pattern))
    for match in pattern.finditer(text):
        name = match.group("name")
        if name in tools:
            yield Markup(start=match.start(), end=match.end(), dialect=dialect.name, name=name)


def _fences(text: str) -> list[tuple[int, int]]:
    """Spans of code fences; an unclosed one runs to the end."""
    spans: list[tuple[int, int]] = []
    opened: tuple[int, str] | None = None
    for match in _FENCE.finditer(text):
        mark = match.group(1)
        if opened is None:
            opened = (match.start(), mark)
        elif mark[0] == opened[1][0] and len(mark) >= len(opened[1]):
            spans.append((opened[0], match.end()))
            opened = None
    if opened is not None:
        spans.append((opened[0], len(text)))
    return spans


def _inside(at: int, spans: list[tuple[int, int]]) -> bool:
    index = bisect_right(spans, (at, float("inf"))) - 1
    return index >= 0 and at < spans[index][1]
