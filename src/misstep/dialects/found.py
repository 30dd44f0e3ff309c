"""What a dialect's reader finds: calls with the stretch of text that holds them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from misstep.types import ToolCall

Types = Callable[[str, str], str | None]
"""JSON Schema type of an argument, by tool and argument name; None where it is not known."""


def untyped(tool: str, argument: str) -> str | None:
    """No schema is known."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What is known beside the text."""

    tools: Collection[str] = ()
    types: Types = field(default=untyped)


@dataclass(frozen=True, slots=True)
class Found:
    """One envelope: its span in the text, and the calls in it."""

    start: int
    end: int
    calls: tuple[ToolCall, ...]
    lead: str = "text"
    """What the text before it is: `text`, or `reasoning` where the dialect says so."""


Read = Callable[[str, Given], Iterator[Found]]
"""The envelopes of one dialect in a text, in order and not overlapping."""


def call_of(
    name: str,
    arguments: str,
    *,
    verbatim: bool = True,
    code: bool = False,
    fault: str | None = None,
    call_id: str | None = None,
) -> ToolCall:
    """A call; its index is set when all are known."""
    return ToolCall(
        name=name,
        arguments=arguments,
        id=call_id,
        syntax="code" if code else "json",
        verbatim=verbatim,
        fault=fault,
    )
