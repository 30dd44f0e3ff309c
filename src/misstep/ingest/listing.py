"""Entries of a tools file that are more than one tool: MCP's answers to `tools/list`.

In: the values of a tools file. Out: the tools in them, and what the file says of their source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal


def unlisted(values: Iterable[Any]) -> Iterator[Any]:
    """Each tool; of JSON-RPC messages those that a `tools/list` was answered with."""
    for value in values:
        if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
            yield value
            continue
        result = value.get("result")
        tools = result.get("tools") if isinstance(result, dict) else None
        if isinstance(tools, list):
            yield from tools


def source_of(entry: Any, *, vouched: bool) -> Literal["given", "inferred", "filled"]:
    """`inferred` where the entry says that its schema was (misstep tools); else it is given.

    `vouched`: the user wrote a contract beside such a schema, so the tool itself is no guess.
    """
    if not isinstance(entry, dict) or entry.get("source") != "inferred":
        return "given"
    return "filled" if vouched else "inferred"
