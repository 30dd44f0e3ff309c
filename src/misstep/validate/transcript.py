"""The calls of a session with what came back from them, paired once for all validators.

In: a session. Out: `Exchange` values by step, and what each message says by its kind. Results are
paired by call id, nearest first, since ids are not always unique; where the log keeps no ids, by
order and name within the same turn. A call without a result stays without one: it is not
checkable, never equal to another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar, cast

import msgspec

from misstep.config import LimitsConfig
from misstep.contracts import EMPTY, Contract, contract_of
from misstep.types import Context, Message, Session, ToolCall, ToolResult, ToolSpec
from misstep.validate.error_text import ToolFault, read_fault
from misstep.validate.failing import fault_of
from misstep.validate.once import once
from misstep.validate.strict_json import Parsed, parse

T = TypeVar("T")
KEPT = 4096
"""Characters of an argument text whose value is kept with its call: several validators ask."""
_PLAIN = LimitsConfig()


class Said(msgspec.Struct, frozen=True, gc=False):
    """What one message holds, by kind; taken apart once for all who ask."""

    text: str
    """All text parts joined, as `Message.text`."""
    reasoning: str
    calls: tuple[ToolCall, ...]
    results: tuple[ToolResult, ...]
    shown: bool
    """True where it holds an image."""
    spoken: bool
    """True where it holds text or an image."""


class Exchange(msgspec.Struct, kw_only=True, eq=False, gc=False):
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
    spec: ToolSpec | None = None
    """The offered tool that was called; None where it was not offered."""
    contract: Contract = EMPTY
    """What is known of that tool beside its arguments."""
    _parsed: Parsed | None = None
    _fault: ToolFault | Literal[False] | None = False

    @property
    def parsed(self) -> Parsed:
        """The argument text as JSON."""
        known = self._parsed
        if known is None:
            known = parse(self.call.arguments)
            if len(self.call.arguments) <= KEPT:
                self._parsed = known
        return known


class Offer:
    """The tools of one request by name, with the contract of each."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.tools: dict[str, ToolSpec] = {}
        """Without those that were only inferred: they are not an offer."""
        self.guessed: dict[str, ToolSpec] = {}
        """Those whose schema was only inferred."""
        for tool in context.tools:
            if tool.source != "inferred":
                self.tools[tool.name] = tool
            if tool.source in ("inferred", "filled"):
                self.guessed[tool.name] = tool
        self.complete = bool(self.tools) and all(
            t.source == "filled" for t in self.guessed.values()
        )
        """True where all tools on offer are known, so that others were not offered."""
        self._promised = {tool.name: tool for tool in context.promised}
        self._contracts: dict[str, Contract] = {}

    def contract(self, name: str) -> Contract:
        """What the tool of this name promises, offered or not; empty where nothing is known."""
        known = self._contracts.get(name)
        if known is None:
            spec = self.tools.get(name) or self._promised.get(name)
            known = self._contracts[name] = contract_of(spec)
        return known


class Transcript:
    """What agent-level validators read; built per session, computed when first asked for."""

    def __init__(self, session: Session, limits: LimitsConfig | None = None) -> None:
        self.session = session
        self.limits = limits or _PLAIN
        self._memo: dict[Callable[[Transcript], object], object] = {}
        self._offers: dict[int, Offer] = {}

    @once
    def said(self) -> list[Said]:
        """What each message holds."""
        return [_taken_apart(message) for message in self.session.messages]

    @once
    def exchanges(self) -> dict[int, tuple[Exchange, ...]]:
        """Exchanges by step; steps without calls are left out."""
        return _pair(self)

    @once
    def every(self) -> tuple[Exchange, ...]:
        """All exchanges in their order."""
        return tuple(e for made in self.exchanges.values() for e in made)

    def offer(self, context: Context) -> Offer:
        """The tools of one request."""
        known = self._offers.get(id(context))
        if known is None:
            known = self._offers[id(context)] = Offer(context)  # it keeps the context alive
        return known

    def fault(self, exchange: Exchange) -> ToolFault | None:
        """The error that the result of an exchange is; None without a result or an error."""
        found = exchange._fault
        if found is False:
            result = exchange.result
            found = None if result is None else _fault_of(exchange, result)
            exchange._fault = found
        return found

    def once(self, compute: Callable[[Transcript], T]) -> T:
        """The value of `compute` for this session, computed at most once."""
        if compute not in self._memo:
            self._memo[compute] = compute(self)
        return cast(T, self._memo[compute])


def _taken_apart(message: Message) -> Said:
    """The parts of a message by kind, in one pass."""
    parts = message.parts
    if len(parts) == 1 and parts[0].kind == "text":
        return Said(parts[0].text or "", "", (), (), False, True)
    texts: list[str] = []
    reasoning: list[str] = []
    calls: list[ToolCall] = []
    results: list[ToolResult] = []
    shown = spoken = False
    for part in parts:
        if part.kind == "text":
            spoken = True
            texts.append(part.text or "")
        elif part.kind == "reasoning":
            reasoning.append(part.text or "")
        elif part.kind == "image":
            shown = spoken = True
        if part.call is not None:
            calls.append(part.call)
        if part.result is not None:
            results.append(part.result)
    return Said("".join(texts), "".join(reasoning), tuple(calls), tuple(results), shown, spoken)


def is_human(message: Message, said: Said) -> bool:
    """True for a message that starts a new turn; a harness's nudge does not."""
    return message.role == "user" and said.spoken and message.actor != "harness"


def _fault_of(exchange: Exchange, result: ToolResult) -> ToolFault | None:
    if not exchange.contract.failure_when:
        return read_fault(result, exchange.call.name)
    return fault_of(result, exchange.call.name, exchange.contract)


def _pair(transcript: Transcript) -> dict[int, tuple[Exchange, ...]]:
    session, said = transcript.session, transcript.said
    made: dict[int, tuple[Exchange, ...]] = {}
    desk = _Desk()
    turn = -1
    for at, message in enumerate(session.messages):
        holds = said[at]
        for result in holds.results:
            desk.take(result, blind=holds.shown)
        if is_human(message, holds):
            turn = at
        if holds.calls and message.role == "assistant":
            offer = transcript.offer(session.context_of(at))
            made[at] = tuple(
                [
                    Exchange(
                        step=at,
                        call=call,
                        index=index,
                        turn=turn,
                        spec=offer.tools.get(call.name),
                        contract=offer.contract(call.name),
                    )
                    for index, call in enumerate(holds.calls)
                ]
            )
            desk.open(made[at])
    return made


class _Desk:
    """Calls that wait for their results."""

    def __init__(self) -> None:
        self._by_id: dict[str, list[Exchange]] = {}
        self._recent: list[Exchange] = []

    def open(self, made: tuple[Exchange, ...]) -> None:
        self._recent = list(made)
        for exchange in made:
            if exchange.call.id is not None:
                self._by_id.setdefault(exchange.call.id, []).append(exchange)

    def take(self, result: ToolResult, *, blind: bool) -> None:
        exchange = self._asked(result)
        if exchange is not None:
            exchange.result = result
            exchange.blind = exchange.blind or blind
            if exchange in self._recent:
                self._recent.remove(exchange)

    def _asked(self, result: ToolResult) -> Exchange | None:
        """The call that a result answers: the latest with its id, else the first without any."""
        if result.call_id is not None:
            same = self._by_id.get(result.call_id)
            if same:
                return same.pop()
        for exchange in self._recent:
            loose = exchange.call.id is None or result.call_id is None
            if loose and (result.name is None or result.name == exchange.call.name):
                return exchange
        return None
