"""Gemini generateContent and Bedrock Converse, for `model_server`."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

from model_wires import BAD, Asked, Call, Reply, Wire, aws_error, parsed, sliced, sse, without

# -- Gemini


def _parts(reply: Reply) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = list(reply.items)
    if reply.reasoning:
        parts.insert(0, {"text": reply.reasoning, "thought": True})
    if reply.text:
        parts.append({"text": reply.text})
    for call in reply.calls:
        made = {"name": call.name, "args": parsed(call)}
        parts.append({"functionCall": {"id": call.id, **made} if call.id else made})
    return parts


def _candidate(reply: Reply, parts: list[dict[str, Any]], last: bool) -> dict[str, Any]:
    broken = next((call for call in reply.calls if parsed(call) is BAD), None)
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if broken is not None:
        said = f"Malformed function call: call:default_api:{broken.name}{broken.arguments}"
        return {
            "content": {},
            "finishReason": "MALFORMED_FUNCTION_CALL",
            "index": 0,
            "finishMessage": said,
        }
    if reply.refusal is not None:
        return {"finishReason": "SAFETY", "index": 0}
    if last:
        candidate["finishReason"] = reply.finish or "STOP"
    return candidate


def _usage(reply: Reply) -> dict[str, int]:
    read, wrote = reply.tokens
    return {
        "promptTokenCount": read,
        "candidatesTokenCount": wrote,
        "totalTokenCount": read + wrote,
    }


def _generated(reply: Reply, asked: Asked, parts: list[dict[str, Any]], last: bool) -> Any:
    return {
        "candidates": [_candidate(reply, parts, last)],
        "usageMetadata": _usage(reply),
        "modelVersion": reply.model,
        "responseId": asked.id("resp"),
    }


def generated(reply: Reply, asked: Asked) -> dict[str, Any]:
    """A GenerateContentResponse; arguments that are no JSON object spoil the whole answer."""
    whole: dict[str, Any] = _generated(reply, asked, _parts(reply), last=True)
    return whole


def _gemini_pieces(reply: Reply, asked: Asked) -> tuple[str, list[bytes]]:
    parts: list[dict[str, Any]] = []
    for part in _parts(reply):
        if "text" in part:
            parts += [{**part, "text": piece} for piece in sliced(part["text"], 24)]
        else:
            parts.append(part)
    parts = parts or [{"text": ""}]
    last = len(parts) - 1
    chunks = [_generated(reply, asked, [part], at == last) for at, part in enumerate(parts)]
    if any(parsed(call) is BAD for call in reply.calls):
        chunks = chunks[-1:]
    if "alt=sse" in asked.path:
        return "text/event-stream", [sse(chunk) for chunk in chunks]
    texts = [json.dumps(chunk, ensure_ascii=False).encode() for chunk in chunks]
    opened = [(b"[" if at == 0 else b",\r\n") + text for at, text in enumerate(texts)]
    return "application/json; charset=UTF-8", [*opened, b"]"]


def _gemini_error(reply: Reply) -> Any:
    known = {429: "RESOURCE_EXHAUSTED", 400: "INVALID_ARGUMENT", 503: "UNAVAILABLE"}
    said = f"The server answered with status {reply.status}."
    status = known.get(reply.status, "INTERNAL")
    return {"error": {"code": reply.status, "message": said, "status": status}}


# -- Bedrock Converse


def _content(reply: Reply, asked: Asked) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = list(reply.items)
    if reply.reasoning:
        thought = {"reasoningText": {"text": reply.reasoning, "signature": "c2lnbmVk"}}
        content.insert(0, {"reasoningContent": thought})
    if reply.text or reply.refusal:
        content.append({"text": reply.text or reply.refusal})
    for index, call in enumerate(reply.calls):
        content.append({"toolUse": {**_tool(call, index, asked), "input": parsed(call)}})
    return content


def _tool(call: Call, index: int, asked: Asked) -> dict[str, Any]:
    return {"toolUseId": call.id or asked.id("tooluse_", index), "name": call.name}


def _stop(reply: Reply) -> str:
    usual = "tool_use" if reply.calls else "content_filtered" if reply.refusal else "end_turn"
    return reply.finish or usual


def _counts(reply: Reply) -> dict[str, Any]:
    read, wrote = reply.tokens
    return {"inputTokens": read, "outputTokens": wrote, "totalTokens": read + wrote}


def converse(reply: Reply, asked: Asked) -> dict[str, Any]:
    """A Converse response."""
    said = {"role": "assistant", "content": _content(reply, asked)}
    return {
        "output": {"message": said},
        "stopReason": _stop(reply),
        "usage": _counts(reply),
        "metrics": {"latencyMs": 300},
    }


def _refuse_broken(reply: Reply, path: str, body: Any) -> Reply:
    """Converse cannot carry arguments that are no JSON: the real one answers with an error."""
    streamed = path.split("?")[0].endswith("-stream")
    if streamed or not any(parsed(call) is BAD for call in reply.calls):
        return reply
    said = (
        "Model produced invalid sequence as part of ToolUse. "
        "Please refer to the model tool use troubleshooting guide."
    )
    return without(reply, status=424, error={"message": said})


def _converse_pieces(reply: Reply, asked: Asked) -> tuple[str, list[bytes]]:
    frames = [_frame("messageStart", {"role": "assistant"})]
    content = [*_content(without(reply, calls=()), asked), *({} for _ in reply.calls)]
    first = len(content) - len(reply.calls)
    for index, block in enumerate(content):
        here = {"contentBlockIndex": index}
        if index >= first:
            call = reply.calls[index - first]
            start = {"toolUse": _tool(call, index - first, asked)}
            frames.append(_frame("contentBlockStart", {"start": start, **here}))
            deltas = [{"toolUse": {"input": piece}} for piece in sliced(call.arguments)]
        elif "text" in block:
            deltas = [{"text": piece} for piece in sliced(block["text"])]
        else:
            thought = block["reasoningContent"]["reasoningText"]["text"]
            deltas = [{"reasoningContent": {"text": piece}} for piece in sliced(thought)]
        frames += [_frame("contentBlockDelta", {"delta": delta, **here}) for delta in deltas]
        frames.append(_frame("contentBlockStop", here))
    frames.append(_frame("messageStop", {"stopReason": _stop(reply)}))
    ended = {"usage": _counts(reply), "metrics": {"latencyMs": 300}}
    return "application/vnd.amazon.eventstream", [*frames, _frame("metadata", ended)]


def _frame(event: str, payload: dict[str, Any]) -> bytes:
    """One message of the AWS event stream: lengths, checksum, headers, payload, checksum."""
    named = {
        ":event-type": event,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(v)) + v.encode()
        for name, v in named.items()
    )
    data = json.dumps(payload, ensure_ascii=False).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(data), len(headers))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + data
    return body + struct.pack(">I", zlib.crc32(body))


def _converse_error(reply: Reply) -> Any:
    return {"message": f"{aws_error(reply.status)}: the server answered {reply.status}."}


GEMINI = Wire(
    whole=generated,
    pieces=_gemini_pieces,
    error=_gemini_error,
    streams=lambda asked: ":streamGenerateContent" in asked.path,
)
CONVERSE = Wire(
    whole=converse,
    pieces=_converse_pieces,
    error=_converse_error,
    streams=lambda asked: "/converse-stream" in asked.path,
    prepare=_refuse_broken,
)
