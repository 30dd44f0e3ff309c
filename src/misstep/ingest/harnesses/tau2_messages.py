"""tau2-bench's messages as the agent's conversation.

In: the rows of a simulation. Out: messages; calls of the simulated user and their results give
none. Argument text comes from the provider's own answer (`raw_data`), which is a chat completion's
choice or, from other agents, the provider's message with `stop_reason` and `thinking_blocks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from misstep.chat import call_from_chat, content_text
from misstep.ingest.format import Misfit
from misstep.ingest.messages import kind_of, shown, text_or_none, unix_time, usage_of
from misstep.redact import clip
from misstep.types import Message, Part, ToolCall, ToolResult


def messages_of(row: Any, pointer: str) -> Iterable[Message]:
    """The messages of one row, without origins: one, or none for what the agent never sees.

    Raises:
        Misfit: the row has no known shape.
    """
    if not isinstance(row, dict):
        raise Misfit(pointer, f"expected a message object, got {kind_of(row)}")
    role = row.get("role")
    time = unix_time(row.get("timestamp"))
    if role == "assistant":
        yield replace(_answer(row, pointer), time=time)
    elif role == "user":
        parts = tuple(shown(row.get("content")))
        if parts or not row.get("tool_calls"):
            yield Message(role="user", parts=parts, actor="simulated-user", time=time)
    elif role == "tool":
        several = row.get("tool_messages")
        results = tuple(_results(several if isinstance(several, list) else [row], pointer))
        if results:
            yield Message(role="tool", parts=results, time=time)
    elif role == "system":
        yield Message(role="system", parts=tuple(shown(row.get("content"))), time=time)
    else:
        raise Misfit(f"{pointer}/role", f"unknown role {clip(str(role), 80)!r}")


def _results(rows: Sequence[Any], pointer: str) -> Iterable[Part]:
    """The results of the agent's own calls."""
    for row in rows:
        if not isinstance(row, dict):
            raise Misfit(pointer, f"expected a tool message, got {kind_of(row)}")
        if row.get("requestor") == "user":
            continue
        flag = row.get("error")
        result = ToolResult(
            text=content_text(row.get("content")),
            call_id=text_or_none(row.get("id")),
            is_error=flag if isinstance(flag, bool) else None,
        )
        yield Part(kind="result", result=result)


def _answer(row: Mapping[str, Any], pointer: str) -> Message:
    raw = mapping(row.get("raw_data"))
    body = mapping(raw.get("message"))
    thought = text_or_none(body.get("reasoning_content")) or "\n".join(_thoughts(raw, body))
    parts = [Part(kind="reasoning", text=thought)] if thought else []
    parts += shown(row.get("content"))
    parts += [Part(kind="call", call=call) for call in _calls(row, body, pointer)]
    return Message(
        role="assistant",
        parts=tuple(parts),
        # the run opens with a greeting that no model wrote
        actor="agent" if raw or row.get("usage") or row.get("turn_idx") else "harness",
        finish_reason=text_or_none(raw.get("finish_reason", raw.get("stop_reason"))),
        model=text_or_none(raw.get("model")),
        usage=usage_of(row.get("usage")),
    )


def _thoughts(*bodies: Mapping[str, Any]) -> Iterator[str]:
    for body in bodies:
        blocks = body.get("thinking_blocks")
        for block in blocks if isinstance(blocks, list) else ():
            thought = text_or_none(mapping(block).get("thinking"))
            if thought is not None:
                yield thought


def _calls(row: Mapping[str, Any], body: Mapping[str, Any], pointer: str) -> Iterable[ToolCall]:
    """The logged calls, each with the text that the provider sent for it."""
    logged, sent = row.get("tool_calls") or [], body.get("tool_calls")
    if not isinstance(logged, list):
        raise Misfit(f"{pointer}/tool_calls", f"expected a list, got {kind_of(logged)}")
    sent = sent if isinstance(sent, list) and len(sent) == len(logged) else [None] * len(logged)
    for index, (call, raw) in enumerate(zip(logged, sent, strict=True)):
        try:
            parsed = call_from_chat(call, index)
            written = call_from_chat(raw, index) if isinstance(raw, dict) else parsed
        except ValueError as error:
            raise Misfit(f"{pointer}/tool_calls/{index}", str(error)) from None
        same = written.verbatim and written.name == parsed.name
        yield replace(parsed, arguments=written.arguments, verbatim=True) if same else parsed


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is an object; else an empty one."""
    return value if isinstance(value, dict) else {}
