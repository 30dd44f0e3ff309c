"""The events of a streamed Responses answer, put together to the response object.

In: events in order. Out: the object that the last event holds; where the stream broke off, what
was put out until then, marked with `CUT`. Argument text is joined piece by piece, never parsed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from misstep.ingest.stream import CUT

_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
_FIELDS = {
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
    "response.mcp_call_arguments.delta": "arguments",
    "response.code_interpreter_call_code.delta": "code",
}
_PIECES = {
    "response.output_text.delta": ("content", "output_text", "text"),
    "response.refusal.delta": ("content", "refusal", "refusal"),
    "response.reasoning_text.delta": ("content", "reasoning_text", "text"),
    "response.reasoning_summary_text.delta": ("summary", "summary_text", "text"),
}


def join_response(stream: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Responses events to one response object; an error event to an error body."""
    whole: dict[str, Any] = {"object": "response", "output": []}
    items: dict[int, dict[str, Any]] = {}
    for event in stream:
        kind = event.get("type")
        if kind == "error":
            return {"error": event.get("error") or dict(event)}
        if isinstance(event.get("response"), dict):
            whole |= event["response"]
        if kind in _ENDS:
            return _ended(whole, items)
        at = event.get("output_index")
        if isinstance(kind, str) and isinstance(at, int):
            _grow(items, at, kind, event)
    return {**whole, "output": _listed(items), CUT: True}


def _ended(whole: dict[str, Any], items: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    return whole if whole.get("output") or not items else {**whole, "output": _listed(items)}


def _listed(items: Mapping[int, dict[str, Any]]) -> list[dict[str, Any]]:
    return [items[at] for at in sorted(items) if isinstance(items[at].get("type"), str)]


def _grow(items: dict[int, dict[str, Any]], at: int, kind: str, event: Mapping[str, Any]) -> None:
    item = items.setdefault(at, {})
    given, delta = event.get("item"), event.get("delta")
    if isinstance(given, dict):
        items[at] = dict(given)
    elif isinstance(delta, str) and kind in _FIELDS:
        known = item.get(_FIELDS[kind])
        item[_FIELDS[kind]] = (known if isinstance(known, str) else "") + delta
    elif isinstance(delta, str) and kind in _PIECES:
        holder, name, field = _PIECES[kind]
        _extend(item, holder, {"type": name, field: ""}, event)


def _extend(
    item: dict[str, Any], holder: str, empty: dict[str, Any], event: Mapping[str, Any]
) -> None:
    """Add a delta to the content part that it names; parts come in the order of their index."""
    index = event.get("summary_index" if holder == "summary" else "content_index")
    listed = item.get(holder)
    pieces = [dict(p) for p in listed if isinstance(p, dict)] if isinstance(listed, list) else []
    at = index if isinstance(index, int) and 0 <= index < len(pieces) else len(pieces)
    if at == len(pieces):
        pieces.append(empty)
    field = next(name for name in empty if name != "type")
    known = pieces[at].get(field)
    pieces[at][field] = (known if isinstance(known, str) else "") + event["delta"]
    item[holder] = pieces
