"""Dialects that write calls as markup with one element an argument.

Such text keeps no types: a value is what its schema says, and where no schema is known a value that
is JSON (but no JSON string) is taken as that, everything else as a string. The argument object is
our rendering, so `verbatim` is False. A parameter that never closes ends where the next one opens,
or with its call.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

import orjson

from misstep.dialects.found import Found, Given, Read, call_of
from misstep.types import ToolCall

_QWEN_CALL = re.compile(r"(?:<tool_call>\s*)?<function=(?P<name>[^>\n]{1,256})>")
_QWEN_END = re.compile(r"</function>(?:\s*</tool_call>)?|</tool_call>")
_QWEN_KEY = re.compile(r"<parameter=([^>\n]{1,256})>")
_QWEN_KEY_END = re.compile(r"</parameter>")
_GLM_CALL = re.compile(r"<tool_call>\s*(?P<name>[\w.:/-]{1,256})\s*(?=<arg_key>|</tool_call>)")
_GLM_END = re.compile(r"</tool_call>")
_GLM_PAIR = re.compile(
    r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)(?:</arg_value>|(?=<arg_key>)|\Z)", re.S
)
_MARK = r"(?:[|｜]DSML[|｜])?"
_CALLS = rf"<{_MARK}(?:function_calls|tool_calls)>\s*|<minimax:tool_call>\s*"
_INVOKE = re.compile(rf"(?:{_CALLS})?<{_MARK}invoke name=\"(?P<name>[^\"\n]{{1,256}})\"\s*>")
_INVOKE_END = re.compile(
    rf"</{_MARK}invoke>(?:\s*(?:</{_MARK}(?:function_calls|tool_calls)>|</minimax:tool_call>))?"
)
_INVOKE_KEY = re.compile(
    rf"<{_MARK}parameter name=\"([^\"\n]{{1,256}})\"(?: string=\"(true|false)\")?\s*>"
)
_INVOKE_KEY_END = re.compile(rf"</{_MARK}parameter>")
_GEMMA = re.compile(r"<start_function_call>\s*call:(?P<name>[\w.:/-]{1,256})\s*\{")
_GEMMA_END = re.compile(r"\}\s*<end_function_call>|<end_function_call>")
_GEMMA_PAIR = re.compile(r"\s*,?\s*([\w.-]+)\s*:\s*(?:<escape>(.*?)(?:<escape>|\Z)|([^,<]*))", re.S)


def typed(value: str, kind: str | None) -> object:
    """One value by its schema's type; without one, JSON where it is JSON, else a string."""
    if kind == "string":
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return value if kind is None and isinstance(found, str) else found


def _object(name: str, pairs: Sequence[tuple[str, str, str | None]], given: Given) -> ToolCall:
    """A call from its arguments: key, text, and the type that the markup itself states."""
    values = {key: typed(text, stated or given.types(name, key)) for key, text, stated in pairs}
    try:
        rendered = orjson.dumps(values).decode()
    except TypeError:  # a number beyond 64 bits, a lone surrogate, too deep
        rendered = json.dumps(values)
    return call_of(name, rendered, verbatim=False)


def _envelopes(
    text: str, opens: re.Pattern[str], closes: re.Pattern[str]
) -> Iterator[tuple[re.Match[str], str, int]]:
    """Each opening mark, the body behind it, and where its envelope ends."""
    at = 0
    while (mark := opens.search(text, at)) is not None:
        end = closes.search(text, mark.end())
        after = opens.search(text, mark.end())
        if after is not None and (end is None or after.start() < end.start()):
            stop, at = after.start(), after.start()  # never closed
        else:
            stop, at = (len(text), len(text)) if end is None else (end.start(), end.end())
        yield mark, text[mark.end() : stop], at


def _keys(
    body: str, opens: re.Pattern[str], closes: re.Pattern[str]
) -> Iterator[tuple[re.Match[str], str]]:
    marks = list(opens.finditer(body))
    for mark, after in zip_longest(marks, marks[1:]):
        stop = len(body) if after is None else after.start()
        end = closes.search(body, mark.end(), stop)
        yield mark, body[mark.end() : stop if end is None else end.start()]


def qwen_coder(text: str, given: Given) -> Iterator[Found]:
    """`<function=NAME><parameter=K>V</parameter></function>`; values stand on lines of their own.

    Llama's `<function=NAME>{…}</function>` opens alike and holds JSON.
    """
    for mark, body, end in _envelopes(text, _QWEN_CALL, _QWEN_END):
        name = mark["name"].strip()
        if body.lstrip().startswith("{"):
            one = call_of(name, body.strip())
        else:
            found = _keys(body, _QWEN_KEY, _QWEN_KEY_END)
            pairs = [(key[1].strip(), _unlined(value), None) for key, value in found]
            one = _object(name, pairs, given)
        yield Found(mark.start(), end, (one,))


def _unlined(value: str) -> str:
    return value.removeprefix("\n").removesuffix("\n")


def glm(text: str, given: Given) -> Iterator[Found]:
    """`<tool_call>NAME<arg_key>K</arg_key><arg_value>V</arg_value></tool_call>`."""
    for mark, body, end in _envelopes(text, _GLM_CALL, _GLM_END):
        pairs = [(m[1].strip(), m[2], None) for m in _GLM_PAIR.finditer(body)]
        yield Found(mark.start(), end, (_object(mark["name"], pairs, given),))


def invoke(text: str, given: Given) -> Iterator[Found]:
    """`<invoke name="N"><parameter name="K">V</parameter></invoke>`, DeepSeek's and MiniMax' too.

    DeepSeek states whether a value is a string; entities of XML are read.
    """
    for mark, body, end in _envelopes(text, _INVOKE, _INVOKE_END):
        pairs = []
        for key, value in _keys(body, _INVOKE_KEY, _INVOKE_KEY_END):
            stated = {"true": "string", "false": "json"}.get(key[2] or "")
            plain = value if key[2] else html.unescape(_unlined(value))
            pairs.append((key[1], plain, stated))
        yield Found(mark.start(), end, (_object(mark["name"], pairs, given),))


def gemma(text: str, given: Given) -> Iterator[Found]:
    """`<start_function_call>call:NAME{k:<escape>v<escape>}<end_function_call>`."""
    for mark, body, end in _envelopes(text, _GEMMA, _GEMMA_END):
        pairs = [
            (m[1], m[2] if m[2] is not None else m[3].rstrip("} \n"), "string" if m[2] else None)
            for m in _GEMMA_PAIR.finditer(body)
        ]
        yield Found(mark.start(), end, (_object(mark["name"], pairs, given),))


def tags(opener: str, closer: str, inner: Read) -> Read:
    """A reader of what another reader finds between two marks; the marks belong to its finds."""
    opens, closes = re.compile(opener), re.compile(closer)

    def read(text: str, given: Given) -> Iterator[Found]:
        at = 0
        while (mark := opens.search(text, at)) is not None:
            end = closes.search(text, mark.end())
            stop, at = (len(text), len(text)) if end is None else (end.start(), end.end())
            calls = tuple(c for f in inner(text[mark.end() : stop], given) for c in f.calls)
            if calls:
                yield Found(mark.start(), at, calls)

    return read
