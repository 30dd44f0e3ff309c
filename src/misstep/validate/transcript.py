"""The calls of a session with what came back from them, paired once for all validators.

In: a session. Out: `Exchange` values by step. Results are paired by call id, nearest first, since
ids are not always unique; where the log keeps no ids, by order and name within the same turn. A
call without a result stays without one: it is not checkable, never equal to another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from misstep.config import LimitsConfig
from misstep.contracts import contract_of
from misstep.types import Context, Message, Session, ToolCall, ToolResult, ToolSpec
from misstep.validate.error_text import ToolFault, read_fault
from misstep.validate.failing import fault_of
from misstep.validate.once import once

T = TypeVar("T")
_UNSEEN = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One call and its result."""

    step: int
    call: ToolCall
    index: int
    """Position of the call in its message."""
    turn: int
    """Index of the last message by a human before the step; -1 where there is none."""
    result: ToolResult | None = None
    blind: bool = False
    """True where an image came with the result: its text does not tell what came back."""


class Transcript:
    """What agent-level validators read; built per session, computed when first asked for."""

    def __init__(self, session: Session, limits: LimitsConfig | None = None) -> None:
        self.session = session
        self.limits = limits or LimitsConfig()
        self._memo: dict[Callable[[Transcript], object], object] = {}
        self._offered: dict[int, tuple[Context, dict[str, ToolSpec]]] = {}
        self._guessed: dict[int, tuple[Context, dict[str, ToolSpec]]] = {}
        self._faults: dict[int, Any] = {}

    @once
    def exchanges(self) -> dict[int, tuple[Exchange, ...]]:
        """Exchanges by step; steps without calls are left out."""
        return _pair(self.session.messages)

    def offered(self, context: Context) -> dict[str, ToolSpec]:
        """The tools of one request by name; tools that were only inferred are not an offer."""
        known = self._offered.get(id(context))
        if known is None:
            tools = {t.name: t for t in context.tools if t.source != "inferred"}
            known = self._offered[id(context)] = (context, tools)
        return known[1]

    def guessed(self, context: Context) -> dict[str, ToolSpec]:
        """The tools of one request whose schema was only inferred, by name."""
        known = self._guessed.get(id(context))
        if known is None:
            tools = {t.name: t for t in context.tools if t.source in ("inferred", "filled")}
            known = self._guessed[id(context)] = (context, tools)
        return known[1]

    def fault(self, exchange: Exchange) -> ToolFault | None:
        """The error that the result of an exchange is; None without a result or an error."""
        found = self._faults.get(id(exchange), _UNSEEN)
        if found is _UNSEEN:
            result = exchange.result
            found = None if result is None else self._read(exchange, result)
            self._faults[id(exchange)] = found
        return cast(ToolFault | None, found)

    def _read(self, exchange: Exchange, result: ToolResult) -> ToolFault | None:
        name = exchange.call.name
        spec = self.offered(self.session.context_of(exchange.step)).get(name)
        if spec is None or spec.contract is None:
            return read_fault(result, name)
        return fault_of(result, name, contract_of(spec))

    def once(self, compute: Callable[[Transcript], T]) -> T:
        """The value of `compute` for this session, computed at most once."""
        if compute not in self._memo:
            self._memo[compute] = compute(self)
        return cast(T, self._memo[compute])


def is_human(message: Message) -> bool:
    """True for a message that starts a new turn; a harness's nudge does not."""
    return (
        message.role == "user"
        and message.actor != "harness"
        and any(part.kind in ("text", "image") for part in message.parts)
    )


def _pair(messages: tuple[Message, ...]) -> dict[int, tuple[Exchange, ...]]:
    desk = _Desk()
    turns: dict[int, int] = {}
    turn = -1
    for at, message in enumerate(messages):
        for result in message.results:
            desk.take(result, blind=any(part.kind == "image" for part in message.parts))
        if is_human(message):
            turn = at
        if message.role == "assistant" and message.calls:
            desk.open(at, message.calls)
            turns[at] = turn
    return {
        step: tuple(
            Exchange(
                step=step,
                call=call,
                index=i,
                turn=turn,
                result=desk.results.get((step, i)),
                blind=(step, i) in desk.blind,
            )
            for i, call in enumerate(messages[step].calls)
        )
        for step, turn in turns.items()
    }


class _Desk:
    """Calls that wait for their results."""

    def __init__(self) -> None:
        self.results: dict[tuple[int, int], ToolResult] = {}
        self.blind: set[tuple[int, int]] = set()
        self._by_id: dict[str, list[tuple[int, int]]] = {}
        self._recent: dict[tuple[int, int], ToolCall] = {}

    def open(self, step: int, calls: tuple[ToolCall, ...]) -> None:
        self._recent = {(step, i): call for i, call in enumerate(calls)}
        for key, call in self._recent.items():
            if call.id is not None:
                self._by_id.setdefault(call.id, []).append(key)

    def take(self, result: ToolResult, *, blind: bool) -> None:
        key = self._asked(result)
        if key is not None:
            self.results[key] = result
            if blind:
                self.blind.add(key)
            self._recent.pop(key, None)

    def _asked(self, result: ToolResult) -> tuple[int, int] | None:
        """The call that a result answers: the latest with its id, else the first without any."""
        if result.call_id is not None:
            same = self._by_id.get(result.call_id)
            if same:
                return same.pop()
        for key, call in self._recent.items():
            loose = call.id is None or result.call_id is None
            if loose and (result.name is None or result.name == call.name):
                return key
        return None
