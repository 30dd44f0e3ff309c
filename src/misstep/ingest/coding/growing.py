"""A conversation that grows item by item: what agents write that log each item of an answer.

In: parts of answers, calls, results and messages in the order of the log. Out: messages. The items
of one answer become one message until something says that its request is over: a result, a message
of somebody else, or `close`. Results that follow each other become one `tool` message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from misstep.types import Actor, Message, Origin, Part, ToolCall, ToolResult, Usage

CUT = "stream disconnected"
"""How the message of an error begins with which Codex says that a stream broke off."""


class Growing(msgspec.Struct):
    """One conversation so far."""

    actor: Actor = "agent"
    model: str | None = None
    """Taken over by every answer that begins from now on."""
    messages: list[Message] = msgspec.field(default_factory=list)
    _open: bool = False
    """True while the last message is an answer whose request still runs."""

    def say(self, part: Part, origin: Origin, *, time: float | None = None) -> None:
        """One more part of the answer."""
        if not self._open:
            self._begin(origin, time)
        last = self.messages[-1]
        if part.call is not None:
            part = replace(part, call=replace(part.call, index=len(last.calls)))
        known = last.origins if last.origins[-1] == origin else (*last.origins, origin)
        self.messages[-1] = replace(last, parts=(*last.parts, part), origins=known)

    def _begin(self, origin: Origin, time: float | None) -> None:
        self._open = True
        answer = Message(
            role="assistant", actor=self.actor, model=self.model, time=time, origins=(origin,)
        )
        self.messages.append(answer)

    def call(self, call: ToolCall, origin: Origin, *, time: float | None = None) -> None:
        """One call of the answer."""
        self.say(Part(kind="call", call=call), origin, time=time)

    def result(self, result: ToolResult, origin: Origin, *, time: float | None = None) -> None:
        """What came back from a call; the request of the answer is over."""
        self._open = False
        part = Part(kind="result", result=result)
        last = self.messages[-1] if self.messages else None
        if last is not None and last.role == "tool":
            joined = replace(last, parts=(*last.parts, part), origins=(*last.origins, origin))
            self.messages[-1] = joined
        else:
            made = Message(role="tool", parts=(part,), time=time, origins=(origin,))
            self.messages.append(made)

    def tell(self, message: Message) -> None:
        """A message of somebody else, or an answer that stands for itself."""
        self._open = False
        self.messages.append(message)

    def fail(
        self, said: str, origin: Origin, *, time: float | None = None, cut: bool = False
    ) -> None:
        """A request that ended in an error; what had come of its answer stays in it."""
        if not self._open:
            self._begin(origin, time)
        last = self.messages[-1]
        known = last.origins if last.origins[-1] == origin else (*last.origins, origin)
        end: Literal["complete", "cut"] = "cut" if cut else "complete"
        self.messages[-1] = replace(last, error=said, end=end, origins=known)
        self._open = False

    def close(self, usage: Usage | None = None) -> None:
        """The request of the last answer is over; its usage, if this is the first to say it."""
        self._open = False
        if usage is None:
            return
        for at in range(len(self.messages) - 1, -1, -1):
            message = self.messages[at]
            if message.role == "assistant":
                if message.usage is None:
                    self.messages[at] = replace(message, usage=usage)
                return
            if message.role != "tool":
                return

    def back_to(self, length: int) -> None:
        """Forget what came after the first `length` messages."""
        self._open = False
        del self.messages[length:]


def amended(
    messages: Sequence[Message],
    *,
    results: dict[str, ToolResult],
    faults: dict[str, str],
) -> list[Message]:
    """The messages with what was only learned later, by call id: results, and faults of calls."""
    return [
        message
        if not message.calls and not message.results
        else replace(
            message, parts=tuple(_amended(part, results, faults) for part in message.parts)
        )
        for message in messages
    ]


def _amended(part: Part, results: dict[str, ToolResult], faults: dict[str, str]) -> Part:
    call, result = part.call, part.result
    if call is not None and call.id in faults:
        return replace(part, call=replace(call, fault=faults[call.id]))
    if result is not None and result.call_id in results:
        return replace(part, result=results[result.call_id])
    return part
