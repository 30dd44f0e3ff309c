"""The messages of one mini-swe-agent trajectory, in either of its two ways to write a command.

In: its messages one by one. Out: `Message` values; a reply to a command is its result, a format
error is the fault of the answer that it is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from misstep.chat import content_text
from misstep.ingest.format import Record
from misstep.ingest.harnesses.harness import items, mapping, object_at, response_parts, tool_message
from misstep.ingest.messages import (
    chat_message,
    int_or_none,
    place,
    text_or_none,
    unix_time,
    usage_of,
)
from misstep.types import Actor, Cause, Message, Part, ToolCall, ToolResult

_FENCE = re.compile(r"```(?:mswea_bash_command|bash|sh|shell)[ \t]*\n(.*?)\n?```", re.S)
_RETURNED = re.compile(
    r"\s*(?:<exception>.{0,4000}?</exception>\s*)?<returncode>(-?\d{1,9})<", re.S
)
_NOT_RUN = "action was not executed"
_HUMAN = "UserRejection"


class Run:
    """The messages of one trajectory."""

    def __init__(self, model: str | None) -> None:
        self.messages: list[Message] = []
        self._model = model

    def take(self, row: Any, record: Record, pointer: str) -> bool:
        """Add one message; False for the harness's note of its own exit.

        Raises:
            Misfit: it is no message.
        """
        body = object_at(row, pointer)
        origins = (record.at(place(record, pointer)),)
        if body.get("role") == "exit":
            return False
        if body.get("object") == "response" or body.get("role") == "assistant":
            self.messages.append(replace(self._answer(body, pointer), origins=origins))
            return True
        extra = mapping(body.get("extra"))
        if extra.get("interrupt_type") == "FormatError":
            self._turned_down(body, extra, pointer, replace(_PLAIN, origins=origins))
        for message in self._reply(body, extra, pointer):
            time = unix_time(extra.get("timestamp"))
            self.messages.append(replace(message, origins=origins, time=time))
        return True

    def _answer(self, body: Mapping[str, Any], pointer: str) -> Message:
        extra = mapping(body.get("extra"))
        time = unix_time(extra.get("timestamp"))
        if body.get("object") == "response":
            return replace(self._response(body), time=time)
        message = chat_message(body, pointer)
        found = _FENCE.findall(message.text)
        if len(found) == 1 and not message.calls:
            message = replace(message, parts=tuple(_fenced(message)))
        raw = mapping(extra.get("response"))
        choice = mapping(next(iter(items(raw.get("choices"))), None))
        return replace(
            message,
            actor="agent",
            finish_reason=text_or_none(choice.get("finish_reason")),
            model=text_or_none(raw.get("model")) or self._model,
            usage=usage_of(raw.get("usage")),
            time=time,
        )

    def _response(self, body: Mapping[str, Any]) -> Message:
        """An answer of the Responses API."""
        why = mapping(body.get("incomplete_details")).get("reason")
        return Message(
            role="assistant",
            parts=response_parts(body.get("output")),
            actor="agent",
            finish_reason=text_or_none(why) or text_or_none(body.get("status")),
            model=text_or_none(body.get("model")) or self._model,
            usage=usage_of(body.get("usage")),
        )

    def _turned_down(
        self, body: Mapping[str, Any], extra: Mapping[str, Any], pointer: str, plain: Message
    ) -> None:
        """Mark the answer that this format error is about; v2 keeps it only in the error."""
        said = content_text(body.get("content"))
        last = self.messages[-1] if self.messages else None
        if last is not None and last.role == "assistant" and last.fault is None:
            self.messages[-1] = replace(last, fault=said)
            return
        raw = mapping(extra.get("response"))
        choice = mapping(next(iter(items(raw.get("choices"))), None))
        message = mapping(choice.get("message"))
        kept = text_or_none(extra.get("model_response"))
        if raw.get("object") == "response":
            answer = self._response(raw)
        elif message:
            answer = self._answer({**message, "role": "assistant", "extra": extra}, pointer)
        elif kept is not None:
            answer = Message(role="assistant", parts=(Part(kind="text", text=kept),))
        else:
            return
        answer = replace(answer, actor="agent", fault=said, origins=plain.origins)
        self.messages.append(answer)

    def _reply(
        self, body: Mapping[str, Any], extra: Mapping[str, Any], pointer: str
    ) -> Iterator[Message]:
        """What is no answer: a prompt, a result, or the harness's or the human's word."""
        if body.get("type") == "function_call_output":
            yield tool_message(_result(body.get("output"), body.get("call_id"), extra))
            return
        if body.get("role") == "tool":
            yield tool_message(_result(body.get("content"), body.get("tool_call_id"), extra))
            return
        message = chat_message({**body, "content": _plain(body.get("content"))}, pointer)
        last = self.messages[-1] if self.messages else None
        kind = text_or_none(extra.get("interrupt_type")) or ""
        if kind == _HUMAN:
            self._refused(message.text)
        if last is None or last.role != "assistant" or message.role != "user" or kind:
            actor: Actor | None = "human" if kind.startswith("User") else "harness"
            yield replace(message, actor=actor if kind else None)
        elif last.calls and last.fault is None:
            yield tool_message(_result(message.text, None, extra))
        else:
            if not _FENCE.search(last.text) or len(_FENCE.findall(last.text)) > 1:
                self.messages[-1] = replace(last, fault=message.text)
            yield replace(message, actor="harness")

    def _refused(self, said: str) -> None:
        """The human turned down the last commands: their results say only that they did not run."""
        at = len(self.messages) - 1
        while at >= 0 and self.messages[at].role == "tool":
            results = [
                replace(r, cause="human", hint=said) if r.cause == "knock-on" else r
                for r in self.messages[at].results
            ]
            self.messages[at] = replace(self.messages[at], parts=tool_message(*results).parts)
            at -= 1


_PLAIN = Message(role="user")


def _plain(content: Any) -> Any:
    """Content of the Responses API in chat form."""
    return content_text(content) if isinstance(content, list) else content


def _result(content: Any, call_id: Any, extra: Mapping[str, Any]) -> ToolResult:
    text = content_text(content)
    code = int_or_none(extra.get("returncode"))
    found = _RETURNED.match(text) if code is None else None
    cause: Cause | None = "knock-on" if extra.get("exception_info") == _NOT_RUN else None
    return ToolResult(
        text=text,
        call_id=text_or_none(call_id),
        name="bash",
        exit_code=int(found.group(1)) if found else code,
        cause=cause,
    )


def _fenced(message: Message) -> Iterator[Part]:
    """The parts of an answer with its one fenced block as a call."""
    for part in message.parts:
        found = _FENCE.search(part.text or "") if part.kind == "text" else None
        if found is None:
            yield part
            continue
        text = part.text or ""
        call = ToolCall(name="bash", arguments=found.group(1), kind="custom", syntax="code")
        for piece in (text[: found.start()], call, text[found.end() :]):
            if isinstance(piece, ToolCall):
                yield Part(kind="call", call=piece)
            elif piece.strip():
                yield Part(kind="text", text=piece)
