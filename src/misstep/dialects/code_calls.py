"""Dialects that write calls as Python: `f(a='x'), g(b=1)`, in a list, line by line, or in a fence.

Values that are literals become a JSON object (our rendering, `verbatim=False`). A call that cannot
be read so keeps its text between the parentheses as its arguments, with a `fault` that says why.
Nothing is run: the text is parsed by Python's own grammar, and only literals are taken.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator

from misstep.dialects.found import Found, Given, call_of
from misstep.types import ToolCall

_MAX_TEXT = 200_000
_MAX_DEPTH = 60
_NAME = r"[A-Za-z_][\w.:/-]{0,255}"
_SPACED = re.compile(r"\s*(?P<name>[^()\[\]{}'\"=,;]{1,256}?)\s*\(")
_IDENTIFIER = re.compile(rf"\s*(?P<name>{_NAME})\s*\(")
_TAG = re.compile(r"<\|python_(?:tag|start)\|>\s*")
_TAG_END = re.compile(r"\s*(?:<\|python_end\|>|<\|eom_id\|>|<\|eot_id\|>|\Z)")
_LIST = re.compile(r"(?m:^)[ \t]*\[(?=\s*[A-Za-z_])")


def python_calls(text: str, *, spaced: bool = False) -> tuple[tuple[ToolCall, ...], int]:
    """The calls at the head of `text`, parted by commas, semicolons or line breaks, and their end.

    Args:
        spaced: whether a name may hold blanks and other signs (ToolACE).
    """
    names = _SPACED if spaced else _IDENTIFIER
    calls: list[ToolCall] = []
    at = end = 0
    while (opened := names.match(text, at)) is not None:
        closed = _closing(text, opened.end())
        stop = len(text) if closed is None else closed
        name = opened["name"].strip().removesuffix(".call")
        calls.append(_call(name, text[opened.end() : stop], closed is None))
        end = len(text) if closed is None else closed + 1
        after = re.compile(r"[ \t\r]*(?:,|;|\n)?[ \t\r\n]*").match(text, end)
        at = end if after is None else after.end()
        if at == end and at < len(text):
            break
    return tuple(calls), end


def _call(name: str, inside: str, cut: bool) -> ToolCall:
    if cut:
        return call_of(name, inside, code=True, fault="the call is never closed")
    values, fault = _literals(inside)
    if values is None:
        return call_of(name, inside, code=True, fault=fault)
    return call_of(name, json.dumps(values, ensure_ascii=False), verbatim=False)


def _literals(inside: str) -> tuple[dict[str, object] | None, str]:
    """The keyword arguments of a call as values; else why they cannot be told."""
    if len(inside) > _MAX_TEXT or _depth(inside) > _MAX_DEPTH:
        return None, "too long or too deep to be read"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(f"f({inside})", mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        return None, f"not a Python call: {error.args[0] if error.args else error}"
    if not isinstance(tree, ast.Call):
        return None, "not a call"
    values: dict[str, object] = {}
    for place, positional in enumerate(tree.args):
        literal = _literal(positional)
        if literal is _UNKNOWN:
            return None, f"positional argument {place + 1} is no literal"
        values[f"arg{place}"] = literal
    for keyword in tree.keywords:
        literal = _literal(keyword.value)
        if keyword.arg is None or literal is _UNKNOWN:
            return None, f"the value of {keyword.arg or '**'} is no literal"
        values[keyword.arg] = literal
    return values, ""


_UNKNOWN = object()
_WORDS = {"true": True, "false": False, "null": None}


def _literal(node: ast.expr) -> object:
    """The value of a literal; JSON's words for truth and nothing count as theirs."""
    if isinstance(node, ast.Name):
        return _WORDS.get(node.id, _UNKNOWN)
    if isinstance(node, (ast.List, ast.Tuple)):
        values = [_literal(entry) for entry in node.elts]
        return _UNKNOWN if any(v is _UNKNOWN for v in values) else values
    if isinstance(node, ast.Dict):
        keys = [_literal(key) if key is not None else _UNKNOWN for key in node.keys]
        values = [_literal(value) for value in node.values]
        if any(v is _UNKNOWN for v in (*keys, *values)):
            return _UNKNOWN
        return {str(key): value for key, value in zip(keys, values, strict=True)}
    try:
        value = ast.literal_eval(node)
        json.dumps(value)
    except (ValueError, TypeError, RecursionError):
        return _UNKNOWN
    return value


def _depth(text: str) -> int:
    deep = most = 0
    for sign in text:
        deep += (sign in "([{") - (sign in ")]}")
        most = max(most, deep)
    return most


_SIGN = re.compile(r"'''|\"\"\"|['\"()\[\]{}\\#\n]")


def _closing(text: str, at: int) -> int | None:
    """The parenthesis that closes the one before `at`; quoted ones do not count."""
    level = 1
    quote: str | None = None
    while (sign := _SIGN.search(text, at)) is not None:
        piece, at = sign.group(), sign.end()
        if piece == "\\":
            at += 1
        elif quote is not None:
            if piece == quote or (piece == "\n" and len(quote) == 1):
                quote = None
            elif len(quote) == 1 and piece == quote * 3:
                quote, at = None, sign.start() + 1
        elif piece[0] in "'\"":
            quote = piece
        elif piece in "([{":
            level += 1
        elif piece in ")]}":
            level -= 1
            if level == 0:
                return sign.start()
    return None


def pythonic(text: str, given: Given) -> Iterator[Found]:
    """`[f(a='x'), g(b=1)]` on a line of its own."""
    yield from _lists(text, given, spaced=False)


def toolace(text: str, given: Given) -> Iterator[Found]:
    """`[Func Name(a="x", b=1)]`: names may hold blanks."""
    yield from _lists(text, given, spaced=True)


def _lists(text: str, given: Given, *, spaced: bool) -> Iterator[Found]:
    at = 0
    opens = re.compile(r"(?m:^)[ \t]*\[(?=\s*[^\s\[\]{}\"'(),]{1})") if spaced else _LIST
    while (mark := opens.search(text, at)) is not None:
        calls, end = python_calls(text[mark.end() :], spaced=spaced)
        at = mark.end() + end
        if not calls:
            at = mark.end()
            continue
        closed = re.compile(r"\s*\]").match(text, at)
        at = at if closed is None else closed.end()
        if not given.tools or any(call.name in given.tools for call in calls):
            yield Found(mark.start(), at, calls)


def python_tag(text: str, given: Given) -> Iterator[Found]:
    """`<|python_tag|>NAME.call(k="v")`, `<|python_start|>[f(a=1)]<|python_end|>`."""
    for mark in _TAG.finditer(text):
        start = mark.end() + text.startswith("[", mark.end())
        calls, length = python_calls(text[start:])
        if calls:
            end = start + length + text.startswith("]", start + length)
            closed = _TAG_END.match(text, end)
            yield Found(mark.start(), end if closed is None else closed.end(), calls)


def lines(text: str, given: Given) -> Iterator[Found]:
    """Calls one a line or parted by semicolons, from the head of the text (Olmo, Raven, Gemma)."""
    calls, end = python_calls(text)
    if calls:
        yield Found(0, end, calls)
