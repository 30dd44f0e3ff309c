"""Where in an Inspect transcript an event stands: within a tool's work, or within a grader's.

In: the events of a sample in their order. Since 2025 spans say who is within whom; before, `step`
events opened and closed scorers, and a tool's event held the events of its own work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from misstep.ingest.harnesses.harness import items, mapping
from misstep.ingest.messages import text_or_none

Placed = tuple[Mapping[str, Any], str, str | None]
"""An event, its pointer, and the pointer of the tool event that holds it, if one does."""


def walk(events: Any, pointer: str, within: str | None = None) -> Iterator[Placed]:
    """All events, those inside tool events right after these."""
    for index, event in enumerate(items(events)):
        body, at = mapping(event), f"{pointer}/{index}"
        yield body, at, within
        if body.get("events"):
            inner = at if body.get("event") == "tool" else within
            yield from walk(body["events"], f"{at}/events", inner)


class Spans:
    """The spans of one transcript."""

    def __init__(self, events: Any, pointer: str) -> None:
        self._up: dict[str, str | None] = {}
        self._kind: dict[str, str | None] = {}
        self._graded: set[str] = set()
        self._learn(events, pointer)

    def _learn(self, events: Any, pointer: str) -> None:
        scorers = 0
        for event, at, _ in walk(events, pointer):
            if event.get("event") == "span_begin" and isinstance(event.get("id"), str):
                self._up[event["id"]] = text_or_none(event.get("parent_id"))
                self._kind[event["id"]] = text_or_none(event.get("type"))
            elif event.get("event") == "step" and event.get("type") == "scorer":
                scorers += {"begin": 1, "end": -1}.get(str(event.get("action")), 0)
            if scorers > 0:
                self._graded.add(at)

    def _upward(self, span: str | None) -> Iterator[str]:
        seen: set[str] = set()
        while span is not None and span not in seen:
            seen.add(span)
            yield span
            span = self._up.get(span)

    def tool(self, span: Any) -> str | None:
        """The innermost tool span around a span, or the span itself."""
        start = text_or_none(span)
        return next((s for s in self._upward(start) if self._kind.get(s) == "tool"), None)

    def above(self, scope: str) -> str | None:
        """The tool scope around a tool scope."""
        return self.tool(self._up.get(scope))

    def grades(self, event: Mapping[str, Any], at: str) -> bool:
        """Whether an event is a grader's work."""
        span = text_or_none(event.get("span_id"))
        if any(self._kind.get(s) == "scorer" for s in self._upward(span)):
            return True
        return event.get("role") == "grader" or at in self._graded
