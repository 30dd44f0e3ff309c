"""The user's tools file, for logs that keep no schemas.

In: JSON or JSON lines: a list of tools in OpenAI or Anthropic spelling, `{"tools": […]}`, one tool,
or one tool a line. Out: `ToolSpec` values with `source="given"`, each name once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from misstep.errors import InputError
from misstep.ingest.context import spec_of
from misstep.ingest.format import Misfit
from misstep.types import Context, Message, Session, ToolSpec

_EXPECTED = "expected a JSON list of tools (OpenAI or Anthropic spelling) or one tool a line"


def read_tools(path: Path) -> tuple[ToolSpec, ...]:
    """The tools of a file.

    Raises:
        InputError: the file is absent, is not JSON, or holds something that is no tool.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {_EXPECTED}") from None
    tools: dict[str, ToolSpec] = {}
    for index, value in enumerate(_values(path, data)):
        try:
            spec = replace(spec_of(value), source="given")
        except Misfit as misfit:
            raise InputError(f"{path}: tool {index}: {misfit.said}; {_EXPECTED}") from None
        tools.setdefault(spec.name, spec)
    if not tools:
        raise InputError(f"{path}: holds no tool; {_EXPECTED}")
    return tuple(tools.values())


def _values(path: Path, data: bytes) -> Iterable[Any]:
    try:
        whole = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        return _lines(path, data, str(error))
    if isinstance(whole, dict) and isinstance(whole.get("tools"), list):
        return list(whole["tools"])
    return whole if isinstance(whole, list) else [whole]


def _lines(path: Path, data: bytes, said: str) -> list[Any]:
    try:
        return [orjson.loads(line) for line in data.splitlines() if line.strip()]
    except orjson.JSONDecodeError:
        raise InputError(f"{path}: not JSON ({said}); {_EXPECTED}") from None


def with_tools(
    sessions: Sequence[Session], tools: Sequence[ToolSpec], keeps_tools: bool
) -> Sequence[Session]:
    """The sessions with `tools` where their log kept no schemas.

    A step without a known request gets the tools; a logged tool without parameters gets those of
    its namesake. Where the format keeps tools, a request that offered none stays so.
    """
    if not tools:
        return sessions
    return [_filled(session, tuple(tools), keeps_tools) for session in sessions]


def _filled(session: Session, tools: tuple[ToolSpec, ...], keeps_tools: bool) -> Session:
    contexts = [_fill(context, tools, keeps_tools) for context in session.contexts]
    bare = [m for m in session.messages if m.role == "assistant" and m.context is None]
    if not bare:
        return replace(session, contexts=tuple(contexts))
    given = Context(tools=tools)
    if given not in contexts:
        contexts.append(given)
    at = contexts.index(given)

    def place(message: Message) -> Message:
        known = message.role != "assistant" or message.context is not None
        return message if known else replace(message, context=at)

    return replace(
        session, contexts=tuple(contexts), messages=tuple(place(m) for m in session.messages)
    )


def _fill(context: Context, tools: tuple[ToolSpec, ...], keeps_tools: bool) -> Context:
    if not context.tools:
        return context if keeps_tools else replace(context, tools=tools)
    given = {tool.name: tool for tool in tools}
    if all(tool.parameters is not None or tool.name not in given for tool in context.tools):
        return context
    return replace(
        context,
        tools=tuple(
            given.get(tool.name, tool) if tool.parameters is None else tool
            for tool in context.tools
        ),
    )
