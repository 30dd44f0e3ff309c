"""Messages of Cline and its forks, of either layout, as messages.

In: the stored messages of one task in order. Out: `Message` values: an answer's blocks, or the
calls in its XML tags; the results of its calls, matched by id or, where Cline kept only text, by
name and order; what the user or the program said beside them. A hint that an answer held no tool is
that answer's fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from misstep.ingest.blocks import assistant_parts, result_of, user_messages
from misstep.ingest.coding import ai_sdk
from misstep.ingest.coding.cline_blocks import older
from misstep.ingest.coding.cline_markup import calls_in, entries, result, told
from misstep.ingest.format import Misfit
from misstep.ingest.messages import int_or_none, kind_of, text_or_none, unix_time
from misstep.types import Actor, Context, Message, Origin, Part, ToolCall, ToolResult, Usage

_NO_TOOL = re.compile(r"\[ERROR\] You did not use a tool in your previous response")
_REFUSED = re.compile(
    r"Tool call \S{0,200} (?:was rejected before execution|emitted invalid JSON arguments): "
)
_HUMAN = ("<task>", "<feedback>", "<user_message>", "<answer>", "<user_input")


class Talk(msgspec.Struct):
    """The messages of one task as they grow."""

    messages: list[Message]
    contexts: list[Context | None]
    side: bool = False

    def add(self, message: Message, context: Context | None = None) -> None:
        """One more message; results that follow results join them."""
        last = self.messages[-1] if self.messages else None
        if last is not None and last.role == message.role == "tool":
            self.messages[-1] = replace(
                last,
                parts=(*last.parts, *message.parts),
                origins=(*last.origins, *message.origins),
            )
            return
        self.messages.append(message)
        self.contexts.append(context)

    @property
    def asked(self) -> int | None:
        """Where the last answer stands."""
        at = len(self.messages) - 1
        while at >= 0 and self.messages[at].role != "assistant":
            at -= 1
        return at if at >= 0 else None

    def blame(self, said: str) -> None:
        """The last answer could not be used."""
        at = self.asked
        if at is not None:
            self.messages[at] = replace(self.messages[at], fault=said)

    def fault(self, call_id: str | None, said: str) -> None:
        """A call of the last answer could not be used; the call is known by its id."""
        calls = [] if self.asked is None else self.messages[self.asked].calls
        for call in calls:
            if call.id == call_id and call.fault is None:
                self.fault_at(call.index, said)

    def fault_at(self, index: int, said: str) -> None:
        """A call of the last answer could not be used."""
        at = self.asked
        if at is None:
            return
        answer = self.messages[at]
        parts = tuple(
            replace(part, call=replace(part.call, fault=said))
            if part.call is not None and part.call.index == index
            else part
            for part in answer.parts
        )
        self.messages[at] = replace(answer, parts=parts)
        self.contexts[at] = self.contexts[at] or ai_sdk.offer(said)


def take(message: Any, talk: Talk, origin: Origin) -> str | None:
    """Adds one stored message; the kind of a message that is bookkeeping.

    Raises:
        Misfit: it has no known shape.
    """
    if not isinstance(message, dict):
        raise Misfit("", f"expected a message object, got {kind_of(message)}")
    if message.get("type") == "reasoning" and "encrypted_content" in message:
        return "encrypted-reasoning"
    message = older(message)
    shown = message.get("metadata")
    if isinstance(shown, dict) and shown.get("displayOnly") is True:
        if shown.get("displayRole") != "error" or message.get("role") != "assistant":
            return "shown-only"
        talk.add(_failed(message, talk.side, origin))
        return None
    role, content = message.get("role"), message.get("content")
    if role == "assistant":
        talk.add(_answer(message, content, talk.side, origin))
    elif role == "user":
        for said in _said(message, content, talk, origin):
            talk.add(said)
    else:
        raise Misfit("/role", f"expected user or assistant, got {kind_of(role)}")
    return None


def _failed(message: Mapping[str, Any], side: bool, origin: Origin) -> Message:
    answer = _answer(message, message.get("content"), side, origin)
    return replace(answer, parts=(), error=answer.text or "error")


def _answer(message: Mapping[str, Any], content: Any, side: bool, origin: Origin) -> Message:
    parts: tuple[Part, ...] = assistant_parts(content, "/content")
    for unread in _unread(message):
        parts = tuple(_as_written(part, unread) for part in parts)
    if not any(part.kind == "call" for part in parts):
        found: list[Part] = []
        for part in parts:
            first = sum(p.kind == "call" for p in found)
            found.extend(
                calls_in(part.text, first) if part.kind == "text" and part.text else [part]
            )
        if any(part.kind == "call" for part in found):
            parts = tuple(found)
    info = message.get("modelInfo")
    info = info if isinstance(info, dict) else {}
    return Message(
        role="assistant",
        parts=parts,
        actor="sub-agent" if side else "agent",
        model=text_or_none(info.get("modelId")) or text_or_none(info.get("id")),
        usage=_usage(message.get("metrics")),
        time=unix_time(message.get("ts")),
        origins=(origin,),
    )


def _unread(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Calls whose arguments Cline could not read, with their text."""
    beside = message.get("metadata")
    listed = beside.get("invalidToolCalls") if isinstance(beside, dict) else None
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _as_written(part: Part, unread: Mapping[str, Any]) -> Part:
    call, given = part.call, unread.get("input")
    if call is None or call.id is None or call.id != unread.get("toolCallId"):
        return part
    held = given if isinstance(given, dict) else {}
    said = text_or_none(held.get("parseError")) or text_or_none(unread.get("reason"))
    raw = held.get("rawInputText")
    known = isinstance(raw, str)
    return replace(
        part,
        call=replace(
            call,
            arguments=raw if isinstance(raw, str) else call.arguments,
            verbatim=known or call.verbatim,
            fault=said or "arguments that could not be read",
        ),
    )


def _usage(metrics: Any) -> Usage | None:
    if not isinstance(metrics, dict):
        return None
    tokens = metrics.get("tokens")
    held = tokens if isinstance(tokens, dict) else metrics
    taken = int_or_none(held.get("prompt", held.get("inputTokens")))
    given = int_or_none(held.get("completion", held.get("outputTokens")))
    known = taken is not None or given is not None
    return Usage(input_tokens=taken, output_tokens=given) if known else None


def _said(
    message: Mapping[str, Any], content: Any, talk: Talk, origin: Origin
) -> Iterator[Message]:
    time = unix_time(message.get("ts"))
    results: list[ToolResult] = []
    rest: list[Part] = []
    blocks = content if isinstance(content, list) else [content]
    open_calls = _open_calls(talk)
    waiting: str | None = None
    for part in _parts(blocks, results, talk):
        text = part.text or ""
        block = told(text) if part.kind == "text" else None
        if waiting is not None and block is not None and block.name is None and _is_result(text):
            results.append(_matched(text, waiting, open_calls))
            waiting = None
        elif block is not None and block.name is not None:
            waiting = None if block.text else block.name
            if block.text:
                results.append(_matched(block.text, block.name, open_calls))
        else:
            if _NO_TOOL.match(text):
                talk.blame(text.split("\n", 1)[0])
            rest.append(part)
    if results:
        found = tuple(Part(kind="result", result=one) for one in results)
        yield Message(role="tool", parts=found, time=time, origins=(origin,))
    if rest or not results:
        yield Message(
            role="user",
            parts=tuple(rest),
            actor=_actor(rest, talk, first=talk.asked is None),
            time=time,
            origins=(origin,),
        )


def _is_result(text: str) -> bool:
    return not text.lstrip().startswith(("<environment_details", "<feedback", "# task_progress"))


def _parts(blocks: Sequence[Any], results: list[ToolResult], talk: Talk) -> Iterator[Part]:
    """The parts beside the results that are blocks of their own."""
    for block in blocks:
        if isinstance(block, dict) and block.get("type") == "tool_result":
            results.append(_own_result(block, talk))
            continue
        whole = [block] if not isinstance(block, str) else [{"type": "text", "text": block}]
        for message in user_messages(whole, "/content"):
            yield from message.parts


def _own_result(block: Mapping[str, Any], talk: Talk) -> ToolResult:
    plain = result_of(block)
    listed = entries(block.get("content"))
    name = text_or_none(block.get("name"))
    if listed is not None:
        text, failed, code = listed
        return replace(plain, text=text, is_error=failed, exit_code=code, name=name)
    if _REFUSED.search(plain.text[:400]):
        talk.fault(plain.call_id, plain.text)
        return replace(plain, is_error=True, cause="model", name=name)
    return result(plain.text, name, plain.call_id, plain.is_error)


def _open_calls(talk: Talk) -> list[ToolCall]:
    at = talk.asked
    return [] if at is None else list(talk.messages[at].calls)


def _matched(text: str, name: str, open_calls: list[ToolCall]) -> ToolResult:
    """A result that is only text, with the first call of its name that has none yet."""
    call = next((c for c in open_calls if c.name == name), None)
    if call is not None:
        open_calls.remove(call)
    return result(text, name, call.id if call is not None else None, None)


def _actor(parts: Sequence[Part], talk: Talk, *, first: bool) -> Actor:
    if talk.side:
        return "harness"
    said = [p.text or "" for p in parts if p.kind == "text"]
    human = any(mark in text[:200] for text in said for mark in _HUMAN)
    return "human" if human or (first and bool(said)) else "harness"
