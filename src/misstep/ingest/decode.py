"""One record's bytes to a JSON value, or to the reason why not.

orjson gives up 1024 levels deep, so nothing recursive ever sees more. Nothing here raises.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import orjson

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.S)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
ENCODER_LIMIT = 250
"""orjson writes at most 254 levels; what is read must be writable again."""


class Fault(msgspec.Struct, frozen=True):
    """Why bytes are no usable JSON value."""

    reason: str
    said: str


_LONG = 4096
"""Bytes from which on it is faster to look at the containers than to count brackets."""


def depth(data: bytes, limit: int) -> int:
    """Deepest nesting of brackets outside strings; stops counting one above `limit`."""
    if data.count(b"{") + data.count(b"[") <= limit:
        return 0
    at = deepest = 0
    for bracket in _STRING.sub(b"", data).translate(None, _NOT_BRACKETS):
        if bracket in b"{[":
            at += 1
            deepest = max(deepest, at)
            if deepest > limit:
                return deepest
        else:
            at -= 1
    return deepest


def decode(data: bytes, *, max_depth: int, cut: bool = False) -> Any | Fault:
    """The JSON value of one record.

    Args:
        max_depth: deepest nesting that is read.
        cut: whether this is the last line of a file and lacks its line break.
    """
    limit = min(max_depth, ENCODER_LIMIT)
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if depth(data, limit) > limit:
            return _too_deep(limit)
        return _second_look(data, str(error), cut)
    many = len(data) > _LONG or data.count(b"{") + data.count(b"[") > limit
    return _too_deep(limit) if many and deeper(value, limit) else value


def _too_deep(limit: int) -> Fault:
    return Fault("too-deep", f"nested more than {limit} levels deep; not parsed")


def deeper(value: Any, limit: int) -> bool:
    """Whether containers stand in each other more than `limit` levels deep."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True


def _second_look(data: bytes, said: str, cut: bool) -> Any | Fault:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return Fault("encoding", f"invalid UTF-8 at byte {error.start} of the record")
    if "surrogate" in said:
        return Fault("encoding", f"a lone surrogate in a string: {said}")
    if b"NaN" in data or b"Infinity" in data:
        return _with_constants(data, said)
    if cut:
        return Fault("not-json", f"the last line, and it looks cut off: {said}")
    return Fault("not-json", said)


def _with_constants(data: bytes, said: str) -> Any | Fault:
    """Python writes NaN and Infinity bare; such records are read all the same."""
    try:
        value = json.loads(data)
        orjson.dumps(value)
    except (ValueError, TypeError, orjson.JSONEncodeError):
        return Fault("not-json", said)
    return value
