"""The events of Bedrock's ConverseStream, put together to the response of Converse.

In: events as `{event type: payload}`, from `event_frames` or as the AWS clients hand them on. Out:
the response; without a stop reason it was cut. Input of calls is joined and never parsed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from misstep.ingest.blocks import RAW_INPUT
from misstep.ingest.stream import CUT


def join_converse(stream: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The events of a stream to one response; input of calls stays the text it came as."""
    blocks: dict[int, dict[str, Any]] = {}
    whole: dict[str, Any] = {CUT: True}
    for event in stream:
        if event.get("error"):
            return {"error": event["error"]}
        for kind, payload in event.items():
            if isinstance(payload, dict):
                _take(whole, blocks, kind, payload)
    said = {"role": "assistant", "content": [blocks[at] for at in sorted(blocks)]}
    return {**whole, "output": {"message": said}}


def _take(
    whole: dict[str, Any], blocks: dict[int, dict[str, Any]], kind: str, payload: Mapping[str, Any]
) -> None:
    index = payload.get("contentBlockIndex")
    at = index if isinstance(index, int) else 0
    if kind == "contentBlockStart":
        start = payload.get("start")
        opened = start.items() if isinstance(start, dict) else ()
        blocks[at] = {key: dict(held) for key, held in opened if isinstance(held, dict)}
    elif kind == "contentBlockDelta" and isinstance(payload.get("delta"), dict):
        _grow(blocks.setdefault(at, {}), payload["delta"])
    elif kind == "messageStop":
        whole["stopReason"] = payload.get("stopReason")
        whole.pop(CUT, None)
    elif kind == "metadata":
        whole["usage"] = payload.get("usage")
    elif kind.endswith("Exception"):
        whole["error"] = {kind: payload}


def _grow(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    use, thought = delta.get("toolUse"), delta.get("reasoningContent")
    if isinstance(delta.get("text"), str):
        known = block.get("text")
        block["text"] = (known if isinstance(known, str) else "") + delta["text"]
    elif isinstance(use, dict) and isinstance(use.get("input"), str):
        held = block.setdefault("toolUse", {})
        held[RAW_INPUT] = held.get(RAW_INPUT, "") + use["input"]
    elif isinstance(thought, dict) and isinstance(thought.get("text"), str):
        held = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {"text": ""})
        held["text"] += thought["text"]
