"""Streamed answers put together again: server-sent events, as text or as a list of chunks.

In: the body of a streamed response. Out: the response object that the same request without
streaming would have given, plus `CUT` where the stream broke off before its end. Argument text is
joined piece by piece and never parsed, so it stays exactly as the model wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from misstep.ingest.blocks import RAW_INPUT
from misstep.ingest.messages import sound_of

CUT = "misstep_cut"
"""Key that marks a choice or a message whose stream broke off."""


def events(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of the `data:` lines; a broken last one is left out."""
    for line in text.splitlines():
        if not line.startswith("data:"):
            continue
        try:
            value = orjson.loads(line[5:].strip())
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict):
            yield value


def join_chat(chunks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """OpenAI chunks to one `chat.completion`."""
    whole: dict[str, Any] = {"object": "chat.completion"}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for key in ("id", "model", "created", "usage", "error"):
            if chunk.get(key) is not None:
                whole[key] = chunk[key]
        listed = chunk.get("choices")
        for piece in listed if isinstance(listed, list) else ():
            if isinstance(piece, dict):
                _add_choice(choices, piece)
    whole["choices"] = [_closed(choices[index]) for index in sorted(choices)]
    return whole


def _index(piece: Mapping[str, Any]) -> int:
    index = piece.get("index")
    return index if isinstance(index, int) else 0


def _add_choice(choices: dict[int, dict[str, Any]], piece: Mapping[str, Any]) -> None:
    at = _index(piece)
    fresh = {"index": at, "message": {"role": "assistant"}, "calls": [], "open": {}}
    choice = choices.setdefault(at, fresh)
    if piece.get("finish_reason") is not None:
        choice["finish_reason"] = piece["finish_reason"]
    delta = piece.get("delta")
    if not isinstance(delta, dict):
        return
    for key in ("content", "reasoning_content", "reasoning", "refusal"):
        if isinstance(delta.get(key), str):
            choice["message"][key] = choice["message"].get(key, "") + delta[key]
    _add_shown(choice["message"], delta)
    if isinstance(delta.get("function_call"), dict):
        legacy = choice["message"].setdefault("function_call", {"name": "", "arguments": ""})
        _extend(legacy, delta["function_call"], ("name", "arguments"))
    listed = delta.get("tool_calls")
    for call in listed if isinstance(listed, list) else ():
        if isinstance(call, dict):
            _add_call(_open_call(choice, call), call)


def _add_shown(message: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """What names a spoken answer, whose sound comes in pieces; pictures, which come whole."""
    sound, pictures = delta.get("audio"), delta.get("images")
    if (named := sound_of(sound)) is not None:
        message.setdefault("audio", {"id": named})
    if isinstance(pictures, list):
        message.setdefault("images", []).extend(pictures)


def _open_call(choice: dict[str, Any], piece: Mapping[str, Any]) -> dict[str, Any]:
    """The call that a piece goes on with, or a new one.

    Some servers give parallel calls one index, or none: another id beside a name begins a call.
    """
    index = piece.get("index")
    at = index if isinstance(index, int) else -1
    known: dict[str, Any] | None = choice["open"].get(at)
    body = piece.get("function") or piece.get("custom")
    named = bool(body.get("name")) if isinstance(body, dict) else False
    has, given = known.get("id") if known else None, piece.get("id")
    other = named and has and given and has != given
    if known is None or other or (named and at < 0 and not given):
        known = {"type": "function", "function": {"name": "", "arguments": ""}}
        choice["open"][at] = known
        choice["calls"].append((at, known))
    return known


def _add_call(call: dict[str, Any], piece: Mapping[str, Any]) -> None:
    if isinstance(piece.get("id"), str) and piece["id"]:
        call["id"] = piece["id"]
    if isinstance(piece.get("custom"), dict):
        call.pop("function", None)
        custom = call.setdefault("custom", {"name": "", "input": ""})
        _extend(custom, piece["custom"], ("name", "input"))
    elif isinstance(piece.get("function"), dict) and "function" in call:
        _extend(call["function"], piece["function"], ("name", "arguments"))


def _extend(known: dict[str, Any], piece: Mapping[str, Any], keys: Sequence[str]) -> None:
    for key in keys:
        said = piece.get(key)
        # some servers say the name again with every piece of the arguments
        if isinstance(said, str) and not (key == "name" and said == known[key] and len(piece) > 1):
            known[key] += said


def _closed(choice: dict[str, Any]) -> dict[str, Any]:
    calls = choice.pop("calls")
    del choice["open"]
    if calls:
        ordered = sorted(calls, key=lambda placed: placed[0])  # in one place, as they came
        choice["message"]["tool_calls"] = [call for _, call in ordered]
    if "finish_reason" not in choice:
        choice[CUT] = True
    return choice


def join_message(stream: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Anthropic events to one message."""
    whole: dict[str, Any] = {"type": "message", "role": "assistant", CUT: True}
    blocks: dict[int, dict[str, Any]] = {}
    for event in stream:
        kind = event.get("type")
        if kind == "message_start" and isinstance(event.get("message"), dict):
            whole |= event["message"]
        elif kind == "content_block_start" and isinstance(event.get("content_block"), dict):
            blocks[_index(event)] = dict(event["content_block"])
        elif kind == "content_block_delta" and isinstance(event.get("delta"), dict):
            _add_delta(blocks.setdefault(_index(event), {"type": "text"}), event["delta"])
        elif kind == "message_delta":
            _add_end(whole, event)
        elif kind == "message_stop":
            whole.pop(CUT, None)
        elif kind == "error":
            return dict(event)
    whole["content"] = [block for block in blocks.values() if block.get("type")]
    return whole


_DELTAS = {"text_delta": ("text", "text"), "thinking_delta": ("thinking", "thinking")}


def _add_delta(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    if delta.get("type") == "input_json_delta":
        piece = delta.get("partial_json")
        if isinstance(piece, str) and (piece or block.get("input")):
            block[RAW_INPUT] = block.get(RAW_INPUT, "") + piece
        return
    kind = delta.get("type")
    names = _DELTAS.get(kind) if isinstance(kind, str) else None
    if names is not None and isinstance(delta.get(names[1]), str):
        known = block.get(names[0])
        block[names[0]] = (known if isinstance(known, str) else "") + delta[names[1]]


def _add_end(whole: dict[str, Any], event: Mapping[str, Any]) -> None:
    delta = event.get("delta")
    if isinstance(delta, dict) and delta.get("stop_reason") is not None:
        whole["stop_reason"] = delta["stop_reason"]
    usage, known = event.get("usage"), whole.get("usage")
    if isinstance(usage, dict):
        whole["usage"] = {**(known if isinstance(known, dict) else {}), **usage}
