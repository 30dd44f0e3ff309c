"""What makes two messages or two sessions the same: hashes of content, never of place or time.

`message_key` joins the history in a request to the answers that were logged before: it leaves out
reasoning, outer white space, the spelling of argument objects, hosted calls and their results,
since clients change those when they send an answer back. `session_id` is exact: every part, the
request of each step, the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson

from misstep.types import Context, Message, Part, ToolCall, ToolSpec, content_id

_SORTED = orjson.OPT_SORT_KEYS


def message_key(message: Message) -> bytes:
    """A 16-byte key; equal for an answer and for the same answer in a later request's history."""
    texts: list[str] = []
    images: list[str | None] = []
    own: list[ToolCall] = []
    hosted: list[ToolCall] = []
    results: list[tuple[str | None, str]] = []
    for part in message.parts:
        if part.call is not None:
            (hosted if part.call.kind == "hosted" else own).append(part.call)
        elif part.result is not None:
            if message.role == "tool":
                results.append((part.result.call_id, part.result.text))
        elif part.kind == "text":
            texts.append(part.text or "")
        elif part.kind == "image":
            images.append(part.text)
    text = "".join(texts).strip()
    # hosted calls, whose form clients change, count only by themselves
    calls: list[tuple[str | None, ...]] = [
        (call.id, call.name, _canonical(call.arguments)) for call in own
    ]
    if not own and not text:
        calls = [(call.id, call.name) for call in hosted]
    content = (message.role, text, images, calls, results, message.error)
    return hashlib.blake2b(orjson.dumps(content), digest_size=16).digest()


def _canonical(arguments: str) -> str:
    try:
        return orjson.dumps(orjson.loads(arguments), option=_SORTED).decode()
    except (orjson.JSONDecodeError, TypeError):  # TypeError: nested too deep to be written
        return arguments


def session_id(messages: Sequence[Message], contexts: Sequence[Context]) -> str:
    """The content hash of one conversation."""
    offered = [_context_id(context) for context in contexts]
    written = []
    for message in messages:
        plain = (
            message.role,
            [_plain(part) for part in message.parts],
            None if message.context is None else offered[message.context],
            message.finish_reason,
            message.end,
            message.error,
            message.model,
            *([message.fault] if message.fault is not None else []),
            *([message.prefilled] if isinstance(message.prefilled, int) else []),
        )
        written.append(orjson.dumps(plain))
    written.append(b"")
    return hashlib.blake2b(b"\x00".join(written), digest_size=8).hexdigest()


def _plain(part: Part) -> Any:
    call, result = part.call, part.result
    if call is not None:
        spelled = (call.name, call.arguments, call.kind, call.syntax, call.verbatim)
        return ("call", call.id, *spelled, *([] if call.fault is None else [call.fault]))
    if result is not None:
        texts = (result.call_id, result.name, result.text)
        kept = result.cause is not None or result.exit_code is not None
        told = [result.cause, result.exit_code] if kept else []
        return ("result", *texts, result.is_error, result.hint, *told)
    return (part.kind, part.text)


@lru_cache(maxsize=256)
def _context_id(context: Context) -> str:
    plain = (
        [_tool(tool) for tool in context.tools],
        context.response_schema,
        context.json_mode,
        context.tool_choice,
        context.max_tokens,
        context.temperature,
        context.top_p,
    )
    return content_id(orjson.dumps(plain).decode())


def _tool(tool: ToolSpec) -> tuple[str | bool | None, ...]:
    return (tool.name, tool.description, tool.parameters, tool.strict, tool.contract)
