"""What the OpenAI Agents SDK says of its agents beside the requests: their tools, their mistakes.

In: the data of agent spans, the errors of spans. Out: tools by name, filled into requests that say
nothing of tools; calls that the SDK could not run marked with what it said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from misstep.ingest.spans.found import Request
from misstep.types import Context, ToolSpec


def names_of(data: Mapping[str, Any]) -> Context:
    """An agent's tools and handoffs by name."""
    tools, handoffs = (data.get(key) for key in ("tools", "handoffs"))
    names = [t for t in tools if isinstance(t, str)] if isinstance(tools, list) else []
    for agent in handoffs if isinstance(handoffs, list) else ():
        if isinstance(agent, str):
            names.append(handoff_tool(agent))
    return Context(tools=tuple(ToolSpec(name=name) for name in dict.fromkeys(names)))


def handoff_tool(agent: str) -> str:
    """The name that the SDK gives to the tool of a handoff, unless it is told another."""
    return "transfer_to_" + "".join(c if c.isalnum() else "_" for c in agent).lower()


def fill(request: Request, names: Context) -> None:
    """The agent's tools, where the request itself says nothing of them.

    A call that looks like a handoff under another name is taken for one.
    """
    if request.context.tools or not names.tools:
        return
    named = {tool.name for tool in names.tools}
    called = {call.name for answer in request.answers for call in answer.calls} - named
    own = tuple(ToolSpec(name=name) for name in sorted(called) if name.startswith("transfer_to_"))
    request.context = replace(request.context, tools=names.tools + own)


def missing_tool(error: Any) -> tuple[str, str] | None:
    """The tool that a model called and its agent does not have, with what the SDK says."""
    data = error.get("data") if isinstance(error, dict) else None
    tool = data.get("tool_name") if isinstance(data, dict) else None
    if not isinstance(tool, str) or not isinstance(error, dict):
        return None
    return tool, f"{error.get('message') or 'error'}: {tool}"


def blame(request: Request, tool: str, said: str) -> None:
    """Marks the calls of a tool in a request's answers."""
    request.answers = [
        replace(
            answer,
            parts=tuple(
                replace(part, call=replace(part.call, fault=said))
                if part.call is not None and part.call.name == tool
                else part
                for part in answer.parts
            ),
        )
        for answer in request.answers
    ]
