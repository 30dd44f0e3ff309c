"""What the AI SDK (under opencode, Cline and others) says of a call that it could not use.

In: the error text, which the SDK writes in fixed forms. Out: the argument text as the model wrote
it, where the error quotes it, and the names of the offered tools, where it lists them.
"""

from __future__ import annotations

import re

from misstep.types import Context, ToolSpec

_UNREAD = re.compile(r"JSON parsing failed: Text: (.*)\.\s*\nError message: ", re.S)
_UNFIT = re.compile(r"Type validation failed: Value: (.*)\.\s*\nError message: ", re.S)
_LISTED = re.compile(r"unavailable tool '.*?'\. Available tools: ([^\n\"}]*)")
_UNUSED = re.compile(r"Invalid input for tool |Model tried to call unavailable tool ")
_MANY = 500


def unused(said: str) -> bool:
    """Whether an error is the SDK's own: no tool was run."""
    return _UNUSED.match(said) is not None


def quoted(said: str) -> tuple[str, bool] | None:
    """The arguments that an error quotes, and whether byte for byte; None where it quotes none."""
    found = _UNREAD.search(said)
    if found is not None:
        return found[1], True
    found = _UNFIT.search(said)
    return None if found is None else (found[1], False)


def offer(said: str, beside: str = "") -> Context | None:
    """The tools that an error lists as available, by name only; None where it lists none.

    Args:
        beside: a name in the list that is no tool for the model.
    """
    found = _LISTED.search(said)
    if found is None:
        return None
    names = [name.strip().rstrip(".") for name in found[1].split(",")[:_MANY]]
    tools = tuple(ToolSpec(name=name) for name in names if name and name != beside)
    return Context(tools=tools) if tools else None
