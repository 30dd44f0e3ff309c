"""The dialect that misstep samples and trains with, Hermes': writing it and reading it back.

In: parts, or text as a model emitted it. Out: the other. A call is written as

    <tool_call>
    {"name": "look_up", "arguments": {"city": "Oslo"}}
    </tool_call>

Argument text is the exact slice that the model wrote, broken JSON included: nothing is repaired,
nothing is re-serialised. Nothing here raises on any text, and every scan is linear in its length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable

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
    reasoning, at = split_thought(text)
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


def split_thought(text: str) -> tuple[str | None, int]:
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
