"""Chat dicts for templates with tool support, and argument text that survives them verbatim.

Templates serialise a call's arguments themselves, which would mend or mangle what the model wrote.
So each call gets a small object as its arguments, with a private-use mark as its one key; wherever
the rendered text holds that object, the argument text is put in its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from misstep.chat import tool_to_chat
from misstep.models.neutral import RESERVED
from misstep.types import Message, ToolSpec

_OPEN, _CLOSE = RESERVED[2:]
_MARKED = re.compile(rf'\{{\s*"{_OPEN}(\d+){_CLOSE}"\s*:\s*0\s*\}}')

Hide = Callable[[str], str]


def rows_of(message: Message, hide: Hide, arguments: list[str]) -> list[dict[str, Any]]:
    """Chat dicts of one message; argument texts go to the end of `arguments`."""
    if message.role == "tool":
        return [
            {
                "role": "tool",
                "content": hide(r.text),
                "name": hide(r.name or ""),
                "tool_call_id": hide(r.call_id or ""),
            }
            for r in message.results
        ]
    row: dict[str, Any] = {"role": message.role, "content": hide(message.text)}
    calls: list[dict[str, Any]] = []
    for call in message.calls:
        mark = {f"{_OPEN}{len(arguments)}{_CLOSE}": 0}
        arguments.append(hide(call.arguments))
        function = {"name": hide(call.name), "arguments": mark}
        calls.append({"type": "function", "id": f"call_{call.index}", "function": function})
    if calls:
        row["tool_calls"] = calls
    return [row]


def with_system(rows: list[dict[str, Any]], extra: str) -> list[dict[str, Any]]:
    """The dicts with `extra` at the end of the leading system turn, made where there is none."""
    if rows and rows[0]["role"] == "system":
        return [{**rows[0], "content": f"{rows[0]['content']}\n\n{extra}"}, *rows[1:]]
    return [{"role": "system", "content": extra}, *rows]


def tool_rows(tools: Sequence[ToolSpec], hide: Hide) -> list[dict[str, Any]]:
    """Tools in the spelling that templates take, every string in them neutralised."""
    return [_hide_all(tool_to_chat(tool), hide) for tool in tools]


def with_arguments(rendered: str, arguments: Sequence[str]) -> str:
    """The rendered text with the argument texts in place of their marks."""
    return _MARKED.sub(lambda m: arguments[int(m.group(1))], rendered)


def _hide_all(value: Any, hide: Hide) -> Any:
    """A JSON value with every string in it neutralised."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, list):
        return [_hide_all(item, hide) for item in value]
    if isinstance(value, dict):
        return {hide(str(k)): _hide_all(v, hide) for k, v in value.items()}
    return value
