"""Events of OpenHands before its SDK: actions and observations in one list.

The model's answer stands, whole, in `tool_call_metadata.model_response` of each action that came of
it and again in the observation. An answer that could not be read at all is not in the log; only the
error that was said about it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from misstep.chat import content_text
from misstep.ingest.context import Contexts
from misstep.ingest.format import Misfit
from misstep.ingest.harnesses.harness import (
    call_part,
    items,
    mapping,
    rendered,
    text_part,
    tool_message,
)
from misstep.ingest.harnesses.openhands_talk import Talk
from misstep.ingest.messages import chat_message, int_or_none, text_or_none, unix_time, usage_of
from misstep.types import Cause, Message, Origin, ToolCall, ToolResult

_QUIET = frozenset(
    {"change_agent_state", "agent_state_changed", "null", "recall", "condensation_request", "pause"}
)
"""Kinds that are the program's own."""
_RUNNING = -1
"""What stands for the exit code of a command that has not ended."""
_SPOKEN = frozenset({"message", "finish", "reject", "think"})


def take(event: Mapping[str, Any], talk: Talk, origin: Origin, contexts: Contexts) -> str | None:
    """Add one event; gives the kind of an event that is bookkeeping.

    Raises:
        Misfit: it is neither an action nor an observation, or holds an answer of no known shape.
    """
    action, seen = event.get("action"), event.get("observation")
    if isinstance(action, str):
        if action in _QUIET:
            return action
        return _action(action, event, talk, origin, contexts)
    if not isinstance(seen, str):
        raise Misfit("", "neither an action nor an observation", "unknown-record")
    if seen in _QUIET:
        return seen
    return _observation(seen, event, talk, origin)


def _action(
    kind: str, event: Mapping[str, Any], talk: Talk, origin: Origin, contexts: Contexts
) -> str | None:
    args = mapping(event.get("args"))
    name, common = str(event.get("id")), _common(event, origin)
    if kind == "system":
        tools = args.get("tools")
        talk.offer = contexts.of({"tools": tools}) if isinstance(tools, list) else talk.offer
        parts = text_part(args.get("content"))
        talk.say(replace(common, role="system", parts=parts), name)
        return None
    if kind == "condensation":
        _condense(args, talk, common)
        return None
    if event.get("source") == "user":
        if kind != "message":
            return f"user-{kind}"[:60]
        parts = text_part(args.get("content"))
        talk.say(replace(common, role="user", actor="human", parts=parts), name)
        return None
    if event.get("source") != "agent":
        return f"environment-{kind}"[:60]
    metadata = mapping(event.get("tool_call_metadata"))
    raw = mapping(metadata.get("model_response"))
    if raw:
        talk.answer(_answer(raw, common), name, text_or_none(raw.get("id")))
    else:
        parts = tuple(_without_response(kind, args, metadata))
        talk.answer(replace(common, role="assistant", actor="agent", parts=parts), name, None)
    if kind == "delegate":
        talk.delegate()
    return None


def _common(event: Mapping[str, Any], origin: Origin) -> Message:
    return Message(role="user", time=unix_time(event.get("timestamp")), origins=(origin,))


def _answer(raw: Mapping[str, Any], common: Message) -> Message:
    choice = mapping(next(iter(items(raw.get("choices"))), None))
    said = mapping(choice.get("message"))
    message = chat_message({**said, "role": "assistant"}, "/tool_call_metadata/model_response")
    return replace(
        message,
        actor="agent",
        finish_reason=text_or_none(choice.get("finish_reason")),
        model=text_or_none(raw.get("model")),
        usage=usage_of(raw.get("usage")),
        time=common.time,
        origins=common.origins,
    )


def _without_response(
    kind: str, args: Mapping[str, Any], metadata: Mapping[str, Any]
) -> Iterator[Any]:
    """The parts of an action whose answer was not logged."""
    if kind in _SPOKEN and not metadata:
        text = args.get("content") or args.get("final_thought") or args.get("thought")
        yield from text_part(text)
        return
    yield from text_part(args.get("thought"))
    own = {k: v for k, v in args.items() if k != "thought"}
    yield call_part(
        ToolCall(
            name=text_or_none(metadata.get("function_name")) or kind,
            arguments=rendered(own),
            id=text_or_none(metadata.get("tool_call_id")),
            verbatim=False,
        )
    )


def _condense(args: Mapping[str, Any], talk: Talk, common: Message) -> None:
    listed = items(args.get("forgotten_event_ids"))
    start, end = int_or_none(args.get("forgotten_events_start_id")), None
    if start is not None:
        end = int_or_none(args.get("forgotten_events_end_id"))
    forgotten = {str(one) for one in listed}
    if start is not None and end is not None and 0 <= end - start < 1_000_000:
        forgotten |= {str(one) for one in range(start, end + 1)}
    summary = text_or_none(args.get("summary"))
    said = replace(common, actor="harness", parts=text_part(summary)) if summary else None
    talk.condense(forgotten, said, int_or_none(args.get("summary_offset")) or 0)


def _observation(kind: str, event: Mapping[str, Any], talk: Talk, origin: Origin) -> str | None:
    if kind == "condense":
        return kind
    if kind == "delegate":
        talk.done()
    content = content_text(event.get("content"))
    common = _common(event, origin)
    metadata = mapping(event.get("tool_call_metadata"))
    caused = event.get("cause") is not None
    if not caused or (not metadata and kind == "error"):
        talk.say(replace(common, actor="harness", parts=text_part(content)), str(event.get("id")))
        return None
    extras = mapping(event.get("extras"))
    about = mapping(extras.get("metadata"))
    codes = (int_or_none(about.get("exit_code")), int_or_none(extras.get("exit_code")))
    code = next((c for c in codes if c is not None and c != _RUNNING), None)
    cause: Cause | None = "human" if kind == "user_rejected" else None
    flag = event.get("success")
    result = ToolResult(
        text=f"{about.get('prefix') or ''}{content}{about.get('suffix') or ''}",
        call_id=text_or_none(metadata.get("tool_call_id")),
        name=text_or_none(metadata.get("function_name")) or kind,
        is_error=True if kind in ("error", "user_rejected") else _failed(flag, code),
        hint=text_or_none(extras.get("error_id")),
        cause=cause,
        exit_code=code,
    )
    message = tool_message(result)
    talk.say(replace(message, time=common.time, origins=common.origins), str(event.get("id")))
    return None


def _failed(success: Any, code: int | None) -> bool | None:
    """OpenHands' own word; on a command it only restates the exit code."""
    return None if code or not isinstance(success, bool) else not success
