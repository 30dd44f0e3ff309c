"""Messages that a framework logged as the printed form of a Python object.

In: `role='user' content='…' tool_calls=[…] name=None …`, as agno and others print their message
models. Out: the fields as a dict. Only literals are read; nothing is evaluated.
"""

from __future__ import annotations

import ast
import re
from typing import Any

import orjson

from misstep.ingest.traces.framework_parts import opened

_FIELD = re.compile(r"\s*(\w+)=")


def printed_fields(text: str) -> dict[str, Any] | None:
    """The fields that are set; None for other text."""
    if not text.startswith("role='"):
        return None
    fields: dict[str, Any] = {}
    at = 0
    while (found := _FIELD.match(text, at)) and len(fields) < 40:
        end = _value_end(text, found.end())
        value = literal(text[found.end() : end])
        fields.setdefault(found[1], value)
        at = end
    failed = fields.pop("tool_call_error", None)
    told = {name: value for name, value in fields.items() if value is not None}
    return {**told, "is_error": failed} if isinstance(failed, bool) else told


def _value_end(text: str, at: int) -> int:
    """Where the printed value that starts at `at` ends."""
    depth, quote = 0, ""
    while at < len(text):
        char = text[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == " " and depth <= 0:
            break
        at += 1
    return min(at, len(text))


def literal(text: str) -> Any:
    """The value of JSON or of a Python literal; None for what is none or could not be written."""
    told = opened(text)
    if not isinstance(told, str):
        return told
    try:
        value = ast.literal_eval(text)
        orjson.dumps(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
    return value
