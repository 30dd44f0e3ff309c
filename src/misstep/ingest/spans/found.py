"""What a span turns out to be: a request to a model, the run of a tool, an agent, or none of these.

These values leave the span's attributes behind, so that a trace is held as its distinct messages
and little else until it is known which of its spans belong together.
"""

from __future__ import annotations

import msgspec

from misstep.ingest.format import Record
from misstep.ingest.messages import place
from misstep.ingest.spans.history import Keyed
from misstep.ingest.spans.span import Span
from misstep.types import Cause, Context, Message, Origin, Usage


class Spot(msgspec.Struct, kw_only=True):
    """A span's place: in its trace, and in the logs."""

    trace: str
    id: str
    parent: str | None
    start: float
    """Unix seconds; 0 where unknown."""
    time: float | None
    record: Record
    pointer: str
    conversation: str = ""
    """The conversation or session that the span names, where it does."""

    @property
    def key(self) -> tuple[str, str]:
        """What tells spans apart."""
        return (self.trace, self.id)

    @property
    def origin(self) -> Origin:
        """The span in its file."""
        return self.record.at(place(self.record, self.pointer), self.id or None)

    @property
    def order(self) -> tuple[float, str, str]:
        """Spans in the order of time, the same for any order of files."""
        return (self.start, self.trace, self.id)


def spot_of(span: Span, conversation: str = "") -> Spot:
    """The place of a span."""
    return Spot(
        trace=span.trace,
        id=span.id,
        parent=span.parent,
        start=span.start or 0.0,
        time=span.time,
        record=span.record,
        pointer=span.pointer,
        conversation=conversation,
    )


class Request(msgspec.Struct, kw_only=True):
    """One request to a model, with its answers."""

    spot: Spot
    history: list[Keyed]
    answers: list[Message]
    """Without origins."""
    context: Context
    model: str | None = None
    usage: Usage | None = None

    @property
    def told(self) -> bool:
        """Whether the span holds any content; a request that only failed says nothing either."""
        return any(m.parts for m, _ in self.history) or any(a.parts for a in self.answers)


class Run(msgspec.Struct, kw_only=True):
    """One execution of a tool."""

    spot: Spot
    name: str
    call_id: str | None = None
    arguments: str | None = None
    """None where they were not captured."""
    verbatim: bool = False
    result: str | None = None
    is_error: bool | None = None
    hint: str | None = None
    cause: Cause | None = None


class Agent(msgspec.Struct, kw_only=True):
    """One run of an agent."""

    spot: Spot
    name: str
    model: str | None = None
    schema: str | None = None
    """JSON Schema of the answer that the agent's requests were to give."""
    request: Request | None = None
    """The conversation that the agent's own span holds."""


class Other(msgspec.Struct, kw_only=True):
    """A span that is none of these; it may still stand between two that are."""

    spot: Spot
    kind: str = "other-span"


Finding = Request | Run | Agent | Other


class Tree(msgspec.Struct, kw_only=True):
    """Parents of all spans, and which of them are agents, tools or requests."""

    parents: dict[tuple[str, str], str | None] = msgspec.field(default_factory=dict)

    def above(self, spot: Spot) -> list[tuple[str, str]]:
        """The keys of the spans above one, nearest first; a loop of parents ends it."""
        found: list[tuple[str, str]] = []
        seen = {spot.key}
        parent = spot.parent
        while parent:
            key = (spot.trace, parent)
            if key in seen or len(found) > 200:
                break
            seen.add(key)
            found.append(key)
            parent = self.parents.get(key)
        return found
