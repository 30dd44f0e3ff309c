"""Items of Codex rollouts to parts, calls, results and messages.

In: the payload of one item. Out: a value, or a `Misfit` with a JSON pointer. A result carries no
flag: what tells of an error are exit codes, `success`, the end of the command in an event, and the
few fixed sentences that the program puts in the place of any output.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import orjson

from misstep.chat import content_text
from misstep.ingest.format import Misfit
from misstep.ingest.messages import int_or_none, kind_of, shown, text_or_none
from misstep.redact import clip
from misstep.types import Actor, Cause, Message, Origin, Part, Role, ToolCall, ToolResult

ItemKind = Literal["message", "reasoning", "call", "output"]

_UNREAD = "failed to parse function arguments"
_TURNED_DOWN = ("unsupported call: ", "unsupported custom tool call: ")
_HUMAN = re.compile(
    r"(?:exec command |patch |command |tool call )?(?:rejected|aborted|denied) by (?:the )?user"
)
_FAILED = (
    "failed in sandbox",
    "execution error: ",
    "exec_command failed",
    "apply_patch verification failed: ",
)
_EXIT = re.compile(
    r"(?:Exit code: (-?\d+)\nWall time: "
    r"|(?:Chunk ID: [^\n]*\n)?(?:Wall time: [^\n]*\n)?Process exited with code (-?\d+)\n)"
)
_HARNESS = re.compile(
    r"\s*(?:<(?:environment_context|user_instructions|turn_aborted|INSTRUCTIONS|skill|"
    r"permissions instructions|subagent_notification|user_shell_command|model_switch|"
    r"collaboration_mode|apps_instructions|skills_instructions|plugins_instructions)\b"
    r"|\# AGENTS\.md instructions)"
)
_ROLES: dict[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """What an event says about how a call ended."""

    exit_code: int | None = None
    failed: bool | None = None
    cause: Cause | None = None


def item_kind(kind: Any) -> ItemKind | None:
    """What an item of this type is; None for one that is no part of a conversation."""
    if not isinstance(kind, str):
        return None
    if kind in ("message", "reasoning"):
        return kind  # type: ignore[return-value]
    if kind.endswith("_call"):
        return "call"
    return "output" if kind.endswith("_output") else None


def call_of(item: Mapping[str, Any]) -> ToolCall:
    """A call of any kind.

    Raises:
        Misfit: a function or custom tool without a name.
    """
    kind = str(item["type"])
    called = text_or_none(item.get("call_id")) or text_or_none(item.get("id"))
    if kind not in ("function_call", "custom_tool_call"):
        given = item.get("arguments", item.get("action"))
        text, verbatim = _text(given)
        return ToolCall(
            name=kind.removesuffix("_call"),
            arguments=text,
            id=called,
            kind="hosted",
            verbatim=verbatim,
        )
    name = item.get("name")
    if not isinstance(name, str):
        raise Misfit("/payload/name", f"a tool call without a name: {kind_of(name)}")
    custom = kind == "custom_tool_call"
    text, verbatim = _text(item.get("input" if custom else "arguments"))
    return ToolCall(
        name=name,
        arguments=text,
        id=called,
        kind="custom" if custom else "function",
        syntax="text" if custom else "json",
        verbatim=verbatim,
    )


def _text(given: Any) -> tuple[str, bool]:
    if isinstance(given, str):
        return given, True
    return orjson.dumps({} if given is None else given).decode(), False


def result_of(item: Mapping[str, Any]) -> ToolResult:
    """An output, with what its own text and flags tell."""
    output = item.get("output", item.get("result"))
    flag = None
    if isinstance(output, dict) and "content" in output:
        flag = output.get("success")
        output = output["content"]
    text = output if isinstance(output, str) else content_text(output)
    exit_code = _exit_code(text)
    told = _told(text)
    return ToolResult(
        text=text,
        call_id=text_or_none(item.get("call_id")) or text_or_none(item.get("id")),
        is_error=not flag if isinstance(flag, bool) else told is not None or None,
        cause=told.cause if told is not None else None,
        exit_code=exit_code,
    )


def fault_of(text: str) -> str | None:
    """What the program said where it could not read the arguments of a call."""
    return text if text.startswith(_UNREAD) else None


def _told(text: str) -> Ending | None:
    """The error that a fixed sentence of the program tells of."""
    if text.startswith((_UNREAD, *_TURNED_DOWN)):
        return Ending(failed=True, cause="model")
    if text == "aborted" or _HUMAN.match(text):
        return Ending(failed=True, cause="human")
    return Ending(failed=True) if text.startswith(_FAILED) else None


def _exit_code(text: str) -> int | None:
    found = _EXIT.match(text)
    if found is not None:
        return int(found[1] or found[2])
    if not text.startswith("{") or '"metadata"' not in text:
        return None
    try:
        wrapper = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    about = wrapper.get("metadata") if isinstance(wrapper, dict) else None
    return int_or_none(about.get("exit_code")) if isinstance(about, dict) else None


def reasoning_of(item: Mapping[str, Any]) -> str:
    """The reasoning as far as the log holds it: the raw text, or else its summary."""
    for key in ("content", "summary"):
        listed = item.get(key)
        if isinstance(listed, list):
            texts = [
                p["text"] for p in listed if isinstance(p, dict) and isinstance(p.get("text"), str)
            ]
            if texts:
                return "\n\n".join(texts)
    return ""


def message_of(item: Mapping[str, Any], *, time: float | None, origin: Origin) -> Message:
    """A message item, whoever wrote it.

    Raises:
        Misfit: an unknown role, or content that is neither text nor a list.
    """
    role = item.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise Misfit("/payload/role", f"unknown role {clip(str(role), 80)!r}")
    content = item.get("content")
    if content is not None and not isinstance(content, str | list):
        raise Misfit("/payload/content", f"expected text or a list, got {kind_of(content)}")
    parts = tuple(shown(content))
    known = _ROLES[role]
    return Message(
        role=known,
        parts=parts,
        actor=None if known == "assistant" else _actor(item, known, parts),
        time=time,
        origins=(origin,),
    )


def _actor(item: Mapping[str, Any], role: Role, parts: tuple[Part, ...]) -> Actor:
    if role == "system":
        return "harness"
    passed = item.get("internal_chat_message_metadata_passthrough")
    told = passed.get("content_item_metadata") if isinstance(passed, dict) else None
    for entry in told if isinstance(told, list) else ():
        by = entry.get("provenance") if isinstance(entry, dict) else None
        if isinstance(by, dict) and isinstance(by.get("type"), str):
            return "human" if by["type"] == "user" else "harness"
    first = next((p.text or "" for p in parts if p.kind == "text"), "")
    return "harness" if _HARNESS.match(first) else "human"


def ending_of(event: Mapping[str, Any]) -> tuple[str, Ending] | None:
    """The call that an event says the end of, and how it ended."""
    kind = event.get("type")
    item = event.get("item") if kind == "item_completed" else event
    if not isinstance(item, dict):
        return None
    named = text_or_none(item.get("call_id")) or text_or_none(item.get("id"))
    ends = kind == "item_completed" or (isinstance(kind, str) and kind.endswith("_end"))
    if named is None or not ends:
        return None
    status = item.get("status")
    flag = item.get("success")
    result = item.get("result")
    failed = True if status in ("failed", "declined") else None
    if isinstance(flag, bool):
        failed = failed or not flag
    if isinstance(result, dict) and ("Err" in result or result.get("isError") is True):
        failed = True
    cause: Cause | None = "human" if status == "declined" else None
    exit_code = int_or_none(item.get("exit_code"))
    if failed is None and exit_code is None:
        return None
    return named, Ending(exit_code=exit_code, failed=failed, cause=cause)
