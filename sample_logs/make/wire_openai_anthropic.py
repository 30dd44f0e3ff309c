"""OpenAI chat completions, OpenAI Responses and Anthropic Messages, for `model_server`."""

from __future__ import annotations

import json
from typing import Any

from model_wires import BAD, Asked, Call, Reply, Wire, parsed, plain_error, sliced, sse

SSE = "text/event-stream; charset=utf-8"


# -- OpenAI chat completions


def _chat_call(call: Call, index: int, asked: Asked) -> dict[str, Any]:
    called = call.id or asked.id("call_", index)
    if call.kind == "custom":
        inner = {"name": call.name, "input": call.arguments}
        return {"id": called, "type": "custom", "custom": inner}
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": called, "type": "function", "function": function}


def _chat_finish(reply: Reply) -> str:
    return reply.finish or ("tool_calls" if reply.calls else "stop")


def _chat_usage(reply: Reply) -> dict[str, int]:
    read, wrote = reply.tokens
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


def chat(reply: Reply, asked: Asked) -> dict[str, Any]:
    """A chat completion."""
    text = reply.text or None
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": reply.refusal}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    calls = [_chat_call(call, i, asked) for i, call in enumerate(reply.calls)]
    if calls and asked.body.get("functions"):
        message["function_call"] = calls[0]["function"]
    elif calls:
        message["tool_calls"] = calls
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": _chat_finish(reply),
    }
    return {
        "id": asked.id("chatcmpl-"),
        "object": "chat.completion",
        "created": asked.time,
        "model": reply.model,
        "choices": [choice],
        "usage": _chat_usage(reply),
    }


def _chat_deltas(reply: Reply, asked: Asked) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in sliced(reply.reasoning)]
    deltas += [{"content": piece} for piece in sliced(reply.text)]
    deltas += [{"refusal": piece} for piece in sliced(reply.refusal or "")]
    for index, call in enumerate(reply.calls):
        whole = _chat_call(call, index, asked)
        kind, field = whole["type"], "input" if whole["type"] == "custom" else "arguments"
        deltas.append({"tool_calls": [{"index": index, **whole, kind: {**whole[kind], field: ""}}]})
        for piece in sliced(call.arguments):
            deltas.append({"tool_calls": [{"index": index, kind: {field: piece}}]})
    return deltas


def _chat_pieces(reply: Reply, asked: Asked) -> tuple[str, list[bytes]]:
    base = {
        "id": asked.id("chatcmpl-"),
        "object": "chat.completion.chunk",
        "created": asked.time,
        "model": reply.model,
    }

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sse({**base, "choices": [choice]})

    pieces = [chunk(delta) for delta in _chat_deltas(reply, asked)]
    pieces.append(chunk({}, _chat_finish(reply)))
    options = asked.body.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage"):
        pieces.append(sse({**base, "choices": [], "usage": _chat_usage(reply)}))
    return SSE, [*pieces, sse("[DONE]")]


# -- OpenAI Responses


def _items(reply: Reply, asked: Asked) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if reply.reasoning:
        summary = [{"type": "summary_text", "text": reply.reasoning}]
        items.append({"id": asked.id("rs_"), "type": "reasoning", "summary": summary})
    items += reply.items
    said = [{"type": "output_text", "annotations": [], "logprobs": [], "text": reply.text}]
    if reply.refusal:
        said = [{"type": "refusal", "refusal": reply.refusal}]
    if reply.text or reply.refusal or not (items or reply.calls):
        message = {"type": "message", "status": "completed", "role": "assistant", "content": said}
        items.append({"id": asked.id("msg_"), **message})
    for index, call in enumerate(reply.calls):
        items.append(_response_call(call, index, asked))
    return items


def _response_call(call: Call, index: int, asked: Asked) -> dict[str, Any]:
    called = {"call_id": call.id or asked.id("call_", index), "name": call.name}
    if call.kind == "custom":
        head = {"id": asked.id("ctc_", index), "type": "custom_tool_call", "status": "completed"}
        return {**head, **called, "input": call.arguments}
    head = {"id": asked.id("fc_", index), "type": "function_call", "status": "completed"}
    space = {"namespace": call.namespace} if call.namespace else {}
    return {**head, "arguments": call.arguments, **called, **space}


def _response_end(reply: Reply) -> dict[str, Any]:
    if reply.finish in ("length", "max_output_tokens", "content_filter"):
        reason = "content_filter" if reply.finish == "content_filter" else "max_output_tokens"
        return {"status": "incomplete", "incomplete_details": {"reason": reason}, "error": None}
    if reply.finish == "failed":
        error = {"code": "server_error", "message": "The model failed to answer."}
        return {"status": "failed", "incomplete_details": None, "error": error}
    return {"status": "completed", "incomplete_details": None, "error": None}


_ECHOED = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


def response(reply: Reply, asked: Asked) -> dict[str, Any]:
    """A response object."""
    read, wrote = reply.tokens
    usage = {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": wrote,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + wrote,
    }
    return {
        "id": asked.id("resp_"),
        "object": "response",
        "created_at": asked.time,
        **_response_end(reply),
        "model": reply.model,
        "output": _items(reply, asked),
        **{key: asked.body.get(key, usual) for key, usual in _ECHOED.items()},
        "usage": usage,
    }


def _response_pieces(reply: Reply, asked: Asked) -> tuple[str, list[bytes]]:
    whole = response(reply, asked)
    early = {**whole, "status": "in_progress", "output": [], "usage": None, "error": None}
    early |= {"incomplete_details": None, "tools": []}
    steps: list[dict[str, Any]] = [
        {"type": "response.created", "response": early},
        {"type": "response.in_progress", "response": early},
    ]
    for index, item in enumerate(whole["output"]):
        begun = {**item, "status": "in_progress"} if "status" in item else item
        steps.append({"type": "response.output_item.added", "output_index": index, "item": begun})
        here = {"item_id": item.get("id"), "output_index": index}
        steps += _item_steps(item, here, begun)
        steps.append({"type": "response.output_item.done", "output_index": index, "item": item})
    steps.append({"type": f"response.{whole['status']}", "response": whole})
    numbered = ({**step, "sequence_number": at} for at, step in enumerate(steps))
    return SSE, [sse(step, step["type"]) for step in numbered]


def _item_steps(
    item: dict[str, Any], here: dict[str, Any], begun: dict[str, Any]
) -> list[dict[str, Any]]:
    if item["type"] == "message":
        begun["content"] = []
        return [s for i, p in enumerate(item["content"]) for s in _part_steps(p, i, here)]
    field, event = {
        "function_call": ("arguments", "response.function_call_arguments"),
        "custom_tool_call": ("input", "response.custom_tool_call_input"),
    }.get(item["type"], ("", ""))
    if not field:
        return []
    begun[field] = ""
    deltas = [{"type": f"{event}.delta", **here, "delta": p} for p in sliced(item[field])]
    return [*deltas, {"type": f"{event}.done", **here, "name": item["name"], field: item[field]}]


def _part_steps(part: dict[str, Any], index: int, here: dict[str, Any]) -> list[dict[str, Any]]:
    field = "text" if part["type"] == "output_text" else "refusal"
    event = f"response.{part['type']}"
    at = {**here, "content_index": index}
    extra = {"logprobs": []} if field == "text" else {}
    added = {"type": "response.content_part.added", **at, "part": {**part, field: ""}}
    deltas = [{"type": f"{event}.delta", **at, **extra, "delta": p} for p in sliced(part[field])]
    done = {"type": f"{event}.done", **at, **extra, field: part[field]}
    return [added, *deltas, done, {"type": "response.content_part.done", **at, "part": part}]


# -- Anthropic Messages


def _blocks(reply: Reply, asked: Asked) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if reply.reasoning:
        signed = {"signature": "c2lnbmVk"}
        blocks.append({"type": "thinking", "thinking": reply.reasoning, **signed})
    blocks += reply.items
    said = reply.text or reply.refusal
    if said:
        blocks.append({"type": "text", "text": said})
    for index, call in enumerate(reply.calls):
        called = call.id or asked.id("toolu_", index)
        given = parsed(call)
        tool = {"id": called, "name": call.name, "input": {} if given is BAD else given}
        blocks.append({"type": "tool_use", **tool})
    return blocks


def message(reply: Reply, asked: Asked) -> dict[str, Any]:
    """A message; arguments that are no JSON object become `{}`."""
    read, wrote = reply.tokens
    usual = "tool_use" if reply.calls else "refusal" if reply.refusal else "end_turn"
    return {
        "id": asked.id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": _blocks(reply, asked),
        "stop_reason": reply.finish or usual,
        "stop_sequence": None,
        "usage": {
            "input_tokens": read,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": wrote,
            "service_tier": "standard",
        },
    }


def _message_pieces(reply: Reply, asked: Asked) -> tuple[str, list[bytes]]:
    whole = message(reply, asked)
    raw = [call.arguments for call in reply.calls]
    start = {**whole, "content": [], "stop_reason": None}
    start["usage"] = {**whole["usage"], "output_tokens": 1}
    steps: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    first_call = len(whole["content"]) - len(raw)
    for index, block in enumerate(whole["content"]):
        text = raw[index - first_call] if index >= first_call else None
        steps += _block_steps(block, index, text)
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    used = {"output_tokens": whole["usage"]["output_tokens"]}
    steps.append({"type": "message_delta", "delta": ended, "usage": used})
    steps.append({"type": "message_stop"})
    return SSE, [sse(step, step["type"]) for step in steps]


def _block_steps(block: dict[str, Any], index: int, raw: str | None) -> list[dict[str, Any]]:
    empty, deltas = dict(block), []
    if block["type"] == "text":
        empty["text"] = ""
        deltas = [{"type": "text_delta", "text": p} for p in sliced(block["text"])]
    elif block["type"] == "thinking":
        empty |= {"thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": p} for p in sliced(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    elif "input" in block:
        empty["input"] = {}
        text = raw if raw is not None else json.dumps(block["input"])
        deltas = [
            {"type": "input_json_delta", "partial_json": piece} for piece in ["", *sliced(text)]
        ]
    return [
        {"type": "content_block_start", "index": index, "content_block": empty},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def _message_error(reply: Reply) -> Any:
    known = {429: "rate_limit_error", 529: "overloaded_error", 400: "invalid_request_error"}
    kind = known.get(reply.status, "api_error")
    said = f"The server answered with status {reply.status}."
    return {"type": "error", "error": {"type": kind, "message": said}}


CHAT = Wire(whole=chat, pieces=_chat_pieces, error=plain_error)
RESPONSES = Wire(whole=response, pieces=_response_pieces, error=plain_error)
MESSAGES = Wire(whole=message, pieces=_message_pieces, error=_message_error)
