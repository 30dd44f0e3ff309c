"""Bedrock Converse: requests with their responses, streamed or not, in every layout of a pair.

Kept: system, messages, tools, system tools (hosted), output format, tool choice, stop reason,
usage, the status of tool results. Input of calls is a parsed object, except in streams, where it is
verbatim. An answer whose call the service could not read (an error of its own, or a `malformed_…`
stop reason) is a fault of the model. There is no time and no model in the body; the model comes
from the URL where that is logged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import orjson

from misstep.ingest.blocks import RAW_INPUT
from misstep.ingest.converse_stream import join_converse
from misstep.ingest.exchange import error_text, traffic
from misstep.ingest.format import Misfit, Record
from misstep.ingest.formats.openai_chat import looks_converse
from misstep.ingest.halves import Body, Exchange, Provider, url_of
from misstep.ingest.messages import (
    content_hash,
    inline,
    int_or_none,
    kind_of,
    place,
    text_or_none,
)
from misstep.ingest.prefill import ends_with_assistant
from misstep.ingest.stream import CUT
from misstep.types import Message, Part, ToolCall, ToolResult, Usage

_MODEL = re.compile(r"/model/([^/?]+)/converse")
_UNREAD = re.compile(r"invalid sequence as part of ToolUse|invalid tool use", re.I)
_BESIDE = ("cachePoint", "guardContent")
"""Blocks that say nothing of the conversation."""


def is_request(body: Body) -> bool:
    """Messages, or a prompt of its own, in Converse's form."""
    return isinstance(body.get("messages"), list) and looks_converse(body)


def is_answer(body: Body) -> bool:
    """An output, or an error body."""
    if isinstance(body.get("output"), dict):
        return "message" in body["output"]
    message = body.get("message", body.get("Message"))
    return (isinstance(message, str) and len(body) <= 3) or isinstance(body.get("error"), dict)


def _rows(request: Body) -> Iterator[tuple[Any, str]]:
    if request.get("system"):
        yield {"role": "system", "content": request["system"]}, "/system"
    for index, row in enumerate(request.get("messages") or ()):
        yield row, f"/messages/{index}"


def _turns(row: Any, pointer: str) -> list[Message]:
    if not isinstance(row, dict):
        raise Misfit(pointer, f"expected a message object, got {kind_of(row)}")
    role, parts = row.get("role"), _parts(row.get("content"), f"{pointer}/content")
    if role == "assistant":
        return [Message(role="assistant", parts=parts)]
    if role == "system":
        return [Message(role="system", parts=parts)]
    if role != "user":
        said = f"unknown role {role!r}; expected user or assistant"
        raise Misfit(f"{pointer}/role", said)
    results = tuple(part for part in parts if part.kind == "result")
    rest = tuple(part for part in parts if part.kind != "result")
    told = [Message(role="tool", parts=results)] if results else []
    return [*told, Message(role="user", parts=rest)] if rest or not told else told


def _parts(content: Any, pointer: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Part(kind="text", text=content),) if content else ()
    if not isinstance(content, list):
        raise Misfit(pointer, f"expected a list of blocks, got {kind_of(content)}")
    parts: list[Part] = []
    calls = 0
    for at, block in enumerate(content):
        if not isinstance(block, dict):
            raise Misfit(f"{pointer}/{at}", f"expected a block, got {kind_of(block)}")
        part = _part(block, f"{pointer}/{at}", calls)
        if part is not None:
            calls += part.kind == "call"
            parts.append(part)
    return tuple(parts)


def _part(block: Mapping[str, Any], at: str, calls: int) -> Part | None:
    if isinstance(block.get("text"), str):
        return Part(kind="text", text=block["text"]) if block["text"] else None
    if isinstance(block.get("toolUse"), dict):
        return Part(kind="call", call=_call(block["toolUse"], at, calls))
    if isinstance(block.get("toolResult"), dict):
        return Part(kind="result", result=_result(block["toolResult"]))
    thought = block.get("reasoningContent")
    if isinstance(thought, dict):
        inner = thought.get("reasoningText")
        text = text_or_none(inner.get("text") if isinstance(inner, dict) else None)
        return Part(kind="reasoning", text=text) if text else None
    if not block or any(name in block for name in _BESIDE):
        return None
    named = inline(block) or content_hash(orjson.dumps(block).decode())
    return Part(kind="image", text=named)


def _call(use: Mapping[str, Any], at: str, index: int) -> ToolCall:
    name = use.get("name")
    if not isinstance(name, str):
        raise Misfit(f"{at}/toolUse/name", f"a tool use without a name: {kind_of(name)}")
    raw = use.get(RAW_INPUT)
    return ToolCall(
        name=name,
        arguments=raw if isinstance(raw, str) else orjson.dumps(use.get("input", {})).decode(),
        index=index,
        id=text_or_none(use.get("toolUseId")),
        kind="hosted" if use.get("type") == "server_tool_use" else "function",
        verbatim=isinstance(raw, str),
    )


def _result(told: Mapping[str, Any]) -> ToolResult:
    content, status = told.get("content"), told.get("status")
    texts = []
    for block in content if isinstance(content, list) else [content]:
        if isinstance(block, dict) and isinstance(block.get("text"), str):
            texts.append(block["text"])
        elif isinstance(block, dict) and "json" in block:
            texts.append(orjson.dumps(block["json"]).decode())
        elif block is not None:
            texts.append(content_hash(orjson.dumps(block).decode()))
    return ToolResult(
        text="".join(texts),
        call_id=text_or_none(told.get("toolUseId")),
        is_error=status == "error" if isinstance(status, str) else None,
    )


def _answers(exchange: Exchange, record: Record) -> list[Message]:
    body, at = exchange.response, exchange.response_at
    model = _model(record)
    output = body.get("output") if isinstance(body, dict) else None
    if isinstance(body, str) or (isinstance(body, dict) and output is None):
        text = error_text(body, exchange.status)
        unread = exchange.status == 424 or _UNREAD.search(text) is not None
        origins = (record.at(place(record, at)),)
        if unread:
            return [
                Message(role="assistant", actor="agent", fault=text, model=model, origins=origins)
            ]
        return [Message(role="assistant", actor="agent", error=text, model=model, origins=origins)]
    said = output.get("message") if isinstance(output, dict) else None
    if not isinstance(said, dict) or not isinstance(body, dict):
        raise Misfit(f"{at}/output/message", f"expected a message object, got {kind_of(said)}")
    stop = text_or_none(body.get("stopReason"))
    return [
        Message(
            role="assistant",
            parts=_parts(said.get("content"), f"{at}/output/message/content"),
            actor="agent",
            finish_reason=stop,
            end="cut" if body.get(CUT) else "complete",
            fault=stop if stop and stop.startswith("malformed_") else None,
            model=model,
            usage=_usage(body.get("usage")),
            origins=(record.at(place(record, at)),),
        )
    ]


def _model(record: Record) -> str | None:
    value = record.value if isinstance(record.value, dict) else {}
    named = text_or_none(value.get("modelId"))
    found = _MODEL.search(url_of(value) or "")
    return named or (unquote(found[1]) if found else None)


def _usage(raw: Any) -> Usage | None:
    if not isinstance(raw, dict):
        return None
    return Usage(
        input_tokens=int_or_none(raw.get("inputTokens")),
        output_tokens=int_or_none(raw.get("outputTokens")),
    )


def _offered(request: Body) -> Body:
    held = request.get("toolConfig")
    config: Body = held if isinstance(held, dict) else {}
    limits = request.get("inferenceConfig")
    limits = limits if isinstance(limits, dict) else {}
    return {
        "tools": _tools(config.get("tools")),
        "tool_choice": _choice(config.get("toolChoice")),
        "response_schema": _schema(request.get("outputConfig")),
        "max_tokens": limits.get("maxTokens"),
        "temperature": limits.get("temperature"),
        "top_p": limits.get("topP"),
    }


def _tools(tools: Any) -> Any:
    if not isinstance(tools, list):
        return tools
    kept = [tool for tool in tools if not (isinstance(tool, dict) and "cachePoint" in tool)]
    return [
        tool["systemTool"] if isinstance(tool, dict) and "systemTool" in tool else tool
        for tool in kept
    ]


def _choice(choice: Any) -> Any:
    if not isinstance(choice, dict):
        return None
    if isinstance(choice.get("tool"), dict):
        return {"name": choice["tool"].get("name")}
    return "required" if "any" in choice else "auto" if "auto" in choice else None


def _schema(config: Any) -> Any:
    for key in ("textFormat", "structure", "jsonSchema", "schema"):
        config = config.get(key) if isinstance(config, dict) else None
    return config


def _guess(halves: Exchange) -> float:
    answer = halves.response if isinstance(halves.response, dict) else None
    if answer is not None and not is_answer(answer):
        return 0.0
    if halves.request is None:
        return 1.0 if answer is not None and "output" in answer else 0.3
    return 0.5 if halves.waits else 1.0


PROVIDER = Provider(
    name="bedrock-converse",
    is_request=is_request,
    is_answer=is_answer,
    rows=_rows,
    turns=_turns,
    answers=_answers,
    join=join_converse,
    offered=_offered,
    begins=ends_with_assistant,
)

FORMAT = traffic(
    PROVIDER,
    "Bedrock Converse, requests with their responses; tool input only as a parsed object",
    _guess,
)
