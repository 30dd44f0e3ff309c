"""Messages of Gemini CLI sessions to messages of ours.

In: one message as the CLI writes it. Out: a `Turn`: an answer with the results of its calls, or
what a user or the program said. An answer keeps its calls in `toolCalls`, with their results and
status; where the CLI put back a history, they stand as parts of `content`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import orjson

from misstep.chat import content_text
from misstep.ingest.format import Misfit
from misstep.ingest.messages import (
    content_hash,
    inline,
    int_or_none,
    kind_of,
    text_or_none,
    unix_time,
)
from misstep.redact import clip
from misstep.types import Actor, Cause, Message, Origin, Part, ToolCall, ToolResult, Usage

_KINDS = ("user", "gemini", "info", "warning", "error")
_EXIT = re.compile(r"^Exit Code: (-?\d+)$", re.M)
_SHELL = "run_shell_command"
_HARNESS = re.compile(r"\s*<(?:session_context|hook_context|system-reminder|state_snapshot)\b")
_API_ERROR = "[API Error"


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the log: an answer and what came back, or one message; or nothing."""

    kind: str
    messages: tuple[Message, ...] = ()


def turn_of(body: Any, origin: Origin, *, actor: Actor) -> Turn:
    """One message.

    Raises:
        Misfit: no message, or one of an unknown shape; the pointer is inside the message.
    """
    if not isinstance(body, dict):
        raise Misfit("", f"expected a message object, got {kind_of(body)}")
    kind = body.get("type")
    if kind not in _KINDS:
        raise Misfit("/type", f"unknown message type {clip(str(kind), 80)!r}")
    if kind == "gemini":
        return Turn(kind="gemini", messages=tuple(_answer(body, origin, actor)))
    if kind == "user":
        return Turn(kind="user", messages=tuple(_said(body, origin, actor)))
    text = content_text(body.get("content"))
    if kind == "error" and text.startswith(_API_ERROR):
        failed = Message(
            role="assistant",
            actor=actor,
            error=text,
            time=unix_time(body.get("timestamp")),
            origins=(origin,),
        )
        return Turn(kind="error", messages=(failed,))
    return Turn(kind=str(kind))


def _answer(body: Mapping[str, Any], origin: Origin, actor: Actor) -> Iterator[Message]:
    time = unix_time(body.get("timestamp"))
    listed = body.get("toolCalls")
    if listed is not None and not isinstance(listed, list):
        raise Misfit("/toolCalls", f"expected a list, got {kind_of(listed)}")
    calls = list(_calls(listed or []))
    known = {call.id for call, _ in calls}
    parts = [*_thoughts(body.get("thoughts")), *parts_of(body.get("content"), known)]
    made = sum(part.kind == "call" for part in parts)
    for at, (call, _) in enumerate(calls, start=made):
        parts.append(Part(kind="call", call=_numbered(call, at)))
    yield Message(
        role="assistant",
        parts=tuple(parts),
        actor=actor,
        model=text_or_none(body.get("model")),
        usage=_usage(body.get("tokens")),
        time=time,
        origins=(origin,),
    )
    results = tuple(Part(kind="result", result=r) for _, r in calls if r is not None)
    if results:
        yield Message(role="tool", parts=results, time=time, origins=(origin,))


def _numbered(call: ToolCall, index: int) -> ToolCall:
    return ToolCall(
        name=call.name, arguments=call.arguments, index=index, id=call.id, verbatim=False
    )


def _thoughts(thoughts: Any) -> Iterator[Part]:
    for thought in thoughts if isinstance(thoughts, list) else ():
        if isinstance(thought, dict):
            subject, said = thought.get("subject"), thought.get("description")
            text = "\n".join(t for t in (subject, said) if isinstance(t, str) and t)
            if text:
                yield Part(kind="reasoning", text=text)


def parts_of(content: Any, known: set[str | None]) -> Iterator[Part]:
    """Text, thoughts and pictures of a content; calls, but for the `known` ones.

    Raises:
        Misfit: content that is neither text nor a list of parts, or a call without a name.
    """
    listed = content if isinstance(content, list) else [content]
    calls = 0
    for index, piece in enumerate(listed):
        if isinstance(piece, str):
            if piece:
                yield Part(kind="text", text=piece)
        elif isinstance(piece, dict):
            text, call = text_or_none(piece.get("text")), piece.get("functionCall")
            if text:
                yield Part(kind="reasoning" if piece.get("thought") is True else "text", text=text)
            elif isinstance(call, dict):
                if text_or_none(call.get("id")) not in known or call.get("id") is None:
                    yield Part(kind="call", call=_numbered(_call(call, index), calls))
                    calls += 1
            elif "functionResponse" not in piece and "thoughtSignature" not in piece:
                data = orjson.dumps(dict(piece)).decode()
                yield Part(kind="image", text=inline(piece) or content_hash(data))
        elif piece is not None:
            raise Misfit("/content", f"expected text or a list of parts, got {kind_of(piece)}")


def _calls(listed: list[Any]) -> Iterator[tuple[ToolCall, ToolResult | None]]:
    for index, entry in enumerate(listed):
        if not isinstance(entry, dict):
            raise Misfit(f"/toolCalls/{index}", f"expected an object, got {kind_of(entry)}")
        yield _call(entry, index), _result(entry)


def _call(entry: Mapping[str, Any], index: int) -> ToolCall:
    name = entry.get("name")
    if not isinstance(name, str):
        raise Misfit(f"/toolCalls/{index}/name", f"a tool call without a name: {kind_of(name)}")
    return ToolCall(
        name=name,
        arguments=orjson.dumps(entry.get("args") or {}).decode(),
        id=text_or_none(entry.get("id")),
        verbatim=False,
    )


_ENDS: dict[str, tuple[bool, Cause | None]] = {
    "success": (False, None),
    "error": (True, None),
    "cancelled": (True, "human"),
}


def ends_of(status: Any) -> tuple[bool | None, Cause | None]:
    """Whether a call with this status failed, and by whom; neither while it is not over."""
    return _ENDS.get(status, (None, None)) if isinstance(status, str) else (None, None)


def exit_code_of(tool: str | None, text: str) -> int | None:
    """The exit status that the shell's wrapper ends with."""
    found = _EXIT.findall(text) if tool == _SHELL else []
    return int(found[-1]) if found and len(found[-1]) < 6 else None


def _result(entry: Mapping[str, Any]) -> ToolResult | None:
    """The result of a call that is over."""
    failed, cause = ends_of(entry.get("status"))
    if failed is None:
        return None
    text = "\n".join(_responses(entry.get("result"))) or text_or_none(entry.get("resultDisplay"))
    name = text_or_none(entry.get("name"))
    return ToolResult(
        text=text or "",
        call_id=text_or_none(entry.get("id")),
        name=name,
        is_error=failed,
        cause=cause,
        exit_code=exit_code_of(name, text or ""),
    )


def _responses(result: Any) -> Iterator[str]:
    for piece in result if isinstance(result, list) else [result]:
        if isinstance(piece, str):
            yield piece
        elif isinstance(piece, dict):
            told = piece.get("functionResponse")
            if isinstance(told, dict):
                yield response_text(told.get("response"))
            elif isinstance(piece.get("text"), str):
                yield piece["text"]


def response_text(response: Any) -> str:
    """What a function response says: its output or its error, or all of it as JSON."""
    if isinstance(response, dict):
        for key in ("output", "error"):
            if key in response and len(response) == 1:
                return content_text(response[key])
    return content_text(response)


def _said(body: Mapping[str, Any], origin: Origin, actor: Actor) -> Iterator[Message]:
    """What a user said; results that the log repeats there stand at their calls."""
    content = body.get("content")
    time = unix_time(body.get("timestamp"))
    listed = content if isinstance(content, list) else [content]
    results = [
        p["functionResponse"] for p in listed if isinstance(p, dict) and "functionResponse" in p
    ]
    if results:
        parts = tuple(
            Part(kind="result", result=_repeated(told))
            for told in results
            if isinstance(told, dict)
        )
        yield Message(role="tool", parts=parts, time=time, origins=(origin,))
    parts = tuple(parts_of(content, set()))
    if parts or not results:
        first = next((p.text or "" for p in parts if p.kind == "text"), "")
        harness = actor == "sub-agent" or _HARNESS.match(first) is not None
        yield Message(
            role="user",
            parts=parts,
            actor="harness" if harness else "human",
            time=time,
            origins=(origin,),
        )


def _repeated(told: Mapping[str, Any]) -> ToolResult:
    response = told.get("response")
    failed = isinstance(response, dict) and set(response) == {"error"}
    return ToolResult(
        text=response_text(response),
        call_id=text_or_none(told.get("id")),
        name=text_or_none(told.get("name")),
        is_error=True if failed else None,
    )


def _usage(tokens: Any) -> Usage | None:
    if not isinstance(tokens, dict):
        return None
    return Usage(
        input_tokens=int_or_none(tokens.get("input")),
        output_tokens=int_or_none(tokens.get("output")),
    )
