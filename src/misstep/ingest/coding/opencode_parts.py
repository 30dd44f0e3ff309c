"""One message of opencode with its parts as messages.

In: the row of a message and the rows of its parts, in order. Out: `Turn` values, and each row
accounted for. What the program itself put into a user's message is the harness's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson
from msgspec.structs import replace

from misstep.ingest.coding import ai_sdk
from misstep.ingest.coding.opencode_rows import Row, dig
from misstep.ingest.format import Tally
from misstep.ingest.images import resolved
from misstep.ingest.messages import int_or_none, kind_of, text_or_none, unix_time
from misstep.redact import clip
from misstep.types import Context, Message, Part, ToolCall, ToolResult, Usage

_BOOKS = ("step-start", "snapshot", "patch", "agent", "subtask", "retry")
_INVALID = "invalid"
"""opencode's own tool, to which it hands every call that it could not use."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One message in its place."""

    message: Message
    context: Context | None = None
    starts: tuple[str, ...] = ()
    """Sessions of sub-agents that its calls started."""


def instructions(row: Row) -> Message | None:
    """The system prompt that older versions keep with each answer."""
    texts = row.data.get("system")
    if not isinstance(texts, list) or row.data.get("role") != "assistant":
        return None
    text = "\n".join(t for t in texts if isinstance(t, str))
    return Message(role="system", parts=(Part(kind="text", text=text),)) if text else None


def said_turn(row: Row, parts: Sequence[Row], tally: Tally, *, side: bool) -> list[Turn]:
    """A user's message; what opencode wrote into it is the harness's."""
    if row.data.get("role") != "user":
        said = f"role: expected user or assistant, got {row.data.get('role')!r}"
        tally.aside(row.origin, "bad-message", clip(said, 300))
        _leave(parts, tally)
        return []
    tally.use()
    kept: list[Part] = []
    written = False
    for part in parts:
        own = _said_part(part, tally)
        if own is not None:
            kept.append(own)
            written = written or part.data.get("synthetic") is not True
    message = Message(
        role="user",
        parts=tuple(kept),
        actor="human" if written and not side else "harness",
        time=unix_time(dig(row.data, "time", "created")),
        origins=(row.origin,),
    )
    return [Turn(message=message)]


def _said_part(part: Row, tally: Tally) -> Part | None:
    kind, text = part.data.get("type"), part.data.get("text")
    if kind == "text" and isinstance(text, str):
        if part.data.get("ignored") is True:
            tally.ignore("not-sent")
            return None
        tally.use()
        return Part(kind="text", text=text) if text else None
    if kind == "file":
        url = text_or_none(part.data.get("url")) or ""
        if str(part.data.get("mime")).startswith("text/"):
            tally.ignore("file")  # its text stands in a part of its own
            return None
        tally.use()
        return resolved(Part(kind="image", text=url))
    _ignore(part, tally)
    return None


def _ignore(part: Row, tally: Tally) -> None:
    kind = part.data.get("type")
    if isinstance(kind, str) and kind in (*_BOOKS, "compaction", "step-finish"):
        tally.ignore(kind)
    else:
        said = f"no known part of this message: {kind_of(kind) if kind is None else kind!r}"
        tally.aside(part.origin, "bad-message", clip(said, 300))


def _leave(parts: Sequence[Row], tally: Tally) -> None:
    for part in parts:
        tally.aside(part.origin, "bad-message", "a part of a message without a known role")


class _Step(msgspec.Struct):
    """One request and its answer, while its parts come in."""

    parts: list[Part]
    results: list[Part]
    origins: list[Any]
    starts: list[str]
    context: Context | None = None
    finish: Mapping[str, Any] | None = None

    @property
    def calls(self) -> int:
        return sum(part.kind == "call" for part in self.parts)


def answer_turns(row: Row, parts: Sequence[Row], tally: Tally, *, side: bool) -> list[Turn]:
    """The steps of an answer, each with the results of its calls."""
    steps = list(_steps(row, parts, tally))
    error = _error(row.data.get("error"))
    if not steps and error is None and row.data.get("error") is None:
        tally.ignore("empty-message")
        return []
    tally.use()
    if not steps:
        steps = [_Step([], [], [row.origin], [])]
    turns: list[Turn] = []
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        message = _answer(row, step, alone=len(steps) == 1, side=side)
        if last:
            message = _ended(message, row.data.get("error"), error)
        turns.append(Turn(message=message, context=step.context, starts=tuple(step.starts)))
        if step.results:
            origins = message.origins
            results = Message(role="tool", parts=tuple(step.results), origins=origins)
            turns.append(Turn(message=replace(results, time=message.time)))
    return turns


def _steps(row: Row, parts: Sequence[Row], tally: Tally) -> Iterator[_Step]:
    step = _Step([], [], [row.origin], [])
    for part in parts:
        kind = part.data.get("type")
        if kind == "step-start" and (step.parts or step.finish is not None):
            yield step
            step = _Step([], [], [row.origin], [])
        if kind == "step-finish":
            step.finish = part.data
            tally.use()
        elif _take(part, step):
            step.origins.append(part.origin)
            tally.use()
        else:
            _ignore(part, tally)
    if step.parts or step.finish is not None:
        yield step


def _take(part: Row, step: _Step) -> bool:
    """Whether the part is content of an answer; then it is in the step."""
    kind, text = part.data.get("type"), part.data.get("text")
    if kind in ("text", "reasoning") and isinstance(text, str):
        if text:
            step.parts.append(Part(kind="text" if kind == "text" else "reasoning", text=text))
        return True
    name, state = part.data.get("tool"), part.data.get("state")
    if kind != "tool" or not isinstance(name, str) or not isinstance(state, dict):
        return False
    call = _call(name, state, text_or_none(part.data.get("callID")), step.calls)
    step.parts.append(Part(kind="call", call=call))
    if call.fault is not None:
        step.context = step.context or ai_sdk.offer(call.fault, beside=_INVALID)
    result = _result(call, state)
    if result is not None:
        step.results.append(Part(kind="result", result=result))
    child = text_or_none(dig(state, "metadata", "sessionId"))
    if child is not None:
        step.starts.append(child)
    return True


def _call(name: str, state: Mapping[str, Any], call_id: str | None, index: int) -> ToolCall:
    given = state.get("input")
    raw = text_or_none(state.get("raw"))
    arguments = raw or orjson.dumps(given if given is not None else {}).decode()
    verbatim, fault = raw is not None, _fault(name, state)
    if fault is not None:
        if name == _INVALID:
            arguments, verbatim = "{}", False
            name = text_or_none(dig(given, "tool")) or name
        arguments, verbatim = ai_sdk.quoted(fault) or (arguments, verbatim)
    return ToolCall(
        name=name,
        arguments=arguments,
        index=index,
        id=call_id,
        verbatim=verbatim,
        fault=fault,
    )


def _fault(name: str, state: Mapping[str, Any]) -> str | None:
    """Why a call was never made: opencode hands it to a tool of its own, Kilo keeps it as it is."""
    if name == _INVALID:
        return text_or_none(dig(state.get("input"), "error"))
    said = text_or_none(state.get("error"))
    return said if said is not None and ai_sdk.unused(said) else None


def _result(call: ToolCall, state: Mapping[str, Any]) -> ToolResult | None:
    """What came back; a shell's failure stands only in its exit code."""
    status = state.get("status")
    if status not in ("completed", "error"):
        return None
    text = state.get("output" if status == "completed" else "error")
    code = int_or_none(dig(state, "metadata", "exit"))
    failed: bool | None = status == "error" or call.fault is not None
    if not failed and code:
        failed = None
    return ToolResult(
        text=text if isinstance(text, str) else "" if text is None else orjson.dumps(text).decode(),
        call_id=call.id,
        name=call.name,
        is_error=failed,
        cause="model" if call.fault is not None else None,
        exit_code=code,
    )


def _answer(row: Row, step: _Step, *, alone: bool, side: bool) -> Message:
    finish = step.finish or {}
    tokens = finish.get("tokens") or (row.data.get("tokens") if alone else None)
    reason = text_or_none(finish.get("reason"))
    return Message(
        role="assistant",
        parts=tuple(step.parts),
        actor="sub-agent" if side else "agent",
        finish_reason=reason or (text_or_none(row.data.get("finish")) if alone else None),
        model=text_or_none(row.data.get("modelID")),
        usage=_usage(tokens),
        time=unix_time(dig(row.data, "time", "created")),
        origins=tuple(step.origins),
    )


def _usage(tokens: Any) -> Usage | None:
    taken, given = int_or_none(dig(tokens, "input")), int_or_none(dig(tokens, "output"))
    known = taken is not None or given is not None
    return Usage(input_tokens=taken, output_tokens=given) if known else None


def _error(error: Any) -> str | None:
    if not isinstance(error, dict):
        return None
    name = text_or_none(error.get("name")) or "error"
    said = text_or_none(dig(error, "data", "message"))
    return f"{name}: {said}" if said else name


def _ended(message: Message, error: Any, said: str | None) -> Message:
    """An answer with what ended it: a limit, a schema that it does not meet, a broken request."""
    name = error.get("name") if isinstance(error, dict) else None
    if name == "MessageOutputLengthError":
        return replace(message, finish_reason="length")
    if name == "StructuredOutputError":
        return replace(message, fault=said)
    if said is None:
        return message
    return replace(message, error=said, end="cut" if message.parts else "complete")
