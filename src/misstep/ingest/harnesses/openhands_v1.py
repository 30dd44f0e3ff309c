"""Events of the OpenHands SDK: one JSON object each, told apart by `kind`.

Argument text is byte for byte, but the SDK replaces arguments that are no JSON by a note of its
own; the call then has no text and the note is its fault. The system prompt's event lists the tools
without their schemas. Model and usage of an answer stand in `base_state.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from msgspec.structs import replace

from misstep.chat import content_text
from misstep.ingest.harnesses.harness import (
    call_part,
    items,
    mapping,
    rendered,
    text_part,
    tool_message,
)
from misstep.ingest.harnesses.openhands_talk import Talk
from misstep.ingest.messages import int_or_none, text_or_none, unix_time
from misstep.types import Cause, Message, Origin, Part, ToolCall, ToolResult, ToolSpec, Usage

_MALFORMED = "_openhands_malformed_tool_call"
_RUNNING = -1
"""What stands for the exit code of a command that has not ended."""
_BLAMED = "agent_action"


def is_event(value: Mapping[str, Any]) -> bool:
    """Whether this is an event of the SDK."""
    kind = value.get("kind")
    if not isinstance(kind, str) or not isinstance(value.get("source"), str):
        return False
    return "timestamp" in value and "id" in value


Known = Mapping[str, tuple[str | None, Usage]]
"""Model and usage by response id."""


def take(event: Mapping[str, Any], talk: Talk, origin: Origin, known: Known) -> str | None:
    """Add one event; gives the kind of an event that is bookkeeping."""
    kind = str(event.get("kind"))
    name = str(event.get("id"))
    if isinstance(event.get("parent_id"), str):
        talk.rewind(event["parent_id"])
    model, usage = known.get(str(event.get("llm_response_id")), (None, None))
    common = Message(role="user", time=unix_time(event.get("timestamp")), origins=(origin,))
    if kind == "SystemPromptEvent":
        text = mapping(event.get("system_prompt")).get("text")
        more = text_part(mapping(event.get("dynamic_context")).get("text"))
        talk.say(replace(common, role="system", parts=text_part(text) + more), name)
    elif kind == "MessageEvent":
        _message(event, talk, common, replace(common, model=model, usage=usage))
    elif kind == "ActionEvent":
        answer = replace(common, role="assistant", actor="agent", parts=_action(event))
        answer = replace(answer, model=model, usage=usage)
        talk.answer(answer, name, text_or_none(event.get("llm_response_id")))
    elif kind in ("ObservationEvent", "AgentErrorEvent", "UserRejectObservation"):
        message = tool_message(_result(event, kind))
        talk.say(replace(message, time=common.time, origins=common.origins), name)
    elif kind == "Condensation":
        summary = text_or_none(event.get("summary"))
        said = replace(common, actor="harness", parts=text_part(summary)) if summary else None
        forgotten = {str(one) for one in items(event.get("forgotten_event_ids"))}
        talk.condense(forgotten, said, int_or_none(event.get("summary_offset")) or 0)
    else:
        return kind[:60]
    return None


def _message(event: Mapping[str, Any], talk: Talk, common: Message, told: Message) -> None:
    said = mapping(event.get("llm_message"))
    parts = (*_reasoning(said), *text_part(content_text(said.get("content"))))
    parts += text_part("".join(_texts(event.get("extended_content"))))
    name = str(event.get("id"))
    if said.get("role") != "assistant":
        actor = common.actor if event.get("source") == "agent" else "human"
        harness = event.get("source") in ("environment", "hook")
        talk.say(replace(common, actor="harness" if harness else actor, parts=parts), name)
        return
    answer = replace(told, role="assistant", actor="agent", parts=parts)
    talk.answer(answer, name, text_or_none(event.get("llm_response_id")))


def _reasoning(body: Mapping[str, Any]) -> tuple[Part, ...]:
    whole = text_part(body.get("reasoning_content"), "reasoning")
    blocks = [mapping(b).get("thinking") for b in items(body.get("thinking_blocks"))]
    return whole or tuple(p for text in blocks for p in text_part(text, "reasoning"))


def _texts(content: Any) -> list[str]:
    return [str(mapping(block).get("text") or "") for block in items(content)]


def _action(event: Mapping[str, Any]) -> tuple[Part, ...]:
    body = mapping(event.get("tool_call"))
    arguments = body.get("arguments")
    note = _note(arguments)
    call = ToolCall(
        name=str(body.get("name") or event.get("tool_name") or ""),
        arguments="" if note is not None else rendered("{}" if arguments is None else arguments),
        id=text_or_none(event.get("tool_call_id")) or text_or_none(body.get("id")),
        syntax="json" if note is None else "text",
        verbatim=isinstance(arguments, str) and note is None,
        fault=note,
    )
    thought = text_part("".join(_texts(event.get("thought"))))
    return (*_reasoning(event), *thought, call_part(call))


def _note(arguments: Any) -> str | None:
    """What the SDK wrote in the place of arguments that it could not parse."""
    if not isinstance(arguments, str) or _MALFORMED not in arguments:
        return None
    try:
        note = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return None
    told = isinstance(note, dict) and note.get(_MALFORMED) is True
    return str(note.get("error") or "malformed") if told else None


def _result(event: Mapping[str, Any], kind: str) -> ToolResult:
    called, name = text_or_none(event.get("tool_call_id")), text_or_none(event.get("tool_name"))
    if kind == "UserRejectObservation":
        reason = str(event.get("rejection_reason") or "")
        source = text_or_none(event.get("rejection_source"))
        return ToolResult(
            text=reason, call_id=called, name=name, is_error=True, hint=source, cause="human"
        )
    if kind == "AgentErrorEvent":
        said = str(event.get("error") or "")
        sort = text_or_none(mapping(event.get("classification")).get("kind"))
        cause: Cause | None = "model" if sort == _BLAMED else None
        return ToolResult(
            text=said, call_id=called, name=name, is_error=True, hint=sort, cause=cause
        )
    seen = mapping(event.get("observation"))
    text = content_text(seen.get("content", seen.get("output")))
    text += "".join(_texts(event.get("extended_content")))
    about = mapping(seen.get("metadata"))
    text = f"{about.get('prefix') or ''}{text}{about.get('suffix') or ''}"
    codes = (int_or_none(seen.get("exit_code")), int_or_none(about.get("exit_code")))
    code = next((c for c in codes if c is not None and c != _RUNNING), None)
    flag = seen.get("is_error")
    return ToolResult(
        text=text,
        call_id=called,
        name=name,
        is_error=flag if isinstance(flag, bool) and (flag or not code) else None,
        exit_code=code,
    )


def tools_of(event: Mapping[str, Any]) -> tuple[ToolSpec, ...]:
    """The tools that a system prompt's event lists; only those of MCP servers with a schema."""
    specs = []
    for tool in items(event.get("tools")):
        body = mapping(tool)
        server = mapping(body.get("mcp_tool"))
        name = body.get("name") or server.get("name") or body.get("title")
        if isinstance(name, str) and name:
            schema = server.get("inputSchema")
            specs.append(
                ToolSpec(
                    name=name,
                    description=text_or_none(body.get("description")),
                    parameters=rendered(schema) if isinstance(schema, dict) else None,
                )
            )
    return tuple(specs)


def answered(state: Mapping[str, Any]) -> dict[str, tuple[str | None, Usage]]:
    """Model and usage by response id, from the state of a conversation."""
    found: dict[str, tuple[str | None, Usage]] = {}
    used = mapping(mapping(state.get("stats")).get("usage_to_metrics"))
    for metrics in used.values():
        for one in items(mapping(metrics).get("token_usages")):
            body = mapping(one)
            if isinstance(body.get("response_id"), str):
                tokens = Usage(
                    input_tokens=int_or_none(body.get("prompt_tokens")),
                    output_tokens=int_or_none(body.get("completion_tokens")),
                )
                found[body["response_id"]] = (text_or_none(body.get("model")), tokens)
    return found
