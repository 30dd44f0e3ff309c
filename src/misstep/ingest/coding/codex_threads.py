"""One Codex thread: what its rollout says, event by event.

In: the items and events of a file, in their order. Out: segments of messages. A rollback leaves
what was rolled back as a branch; a compaction begins a new segment. `codex_forest` links threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from misstep.ingest.coding.codex_items import (
    Ending,
    call_of,
    ending_of,
    fault_of,
    item_kind,
    message_of,
    reasoning_of,
    result_of,
)
from misstep.ingest.coding.growing import CUT, Growing, amended
from misstep.ingest.format import Misfit, Record
from misstep.ingest.messages import int_or_none, kind_of, place, text_or_none, usage_of
from misstep.types import Message, Part, ToolResult


class Segment(msgspec.Struct):
    """The conversation between two compactions: what was rolled back, and what stands."""

    now: Growing
    left: list[list[Message]] = msgspec.field(default_factory=list)
    """Branches that were rolled back."""
    kept: int = 0
    """Leading messages that a compaction carried over."""


class Thread(msgspec.Struct):
    """One rollout file."""

    file: str
    id: str = ""
    family: str = ""
    forked_from: str | None = None
    forked_at: int | None = None
    """Ordinal of the first line of that thread that is no part of the fork's history."""
    parent: str | None = None
    segments: list[Segment] = msgspec.field(default_factory=lambda: [Segment(Growing())])
    ordinals: dict[int, int] = msgspec.field(default_factory=dict)
    """Ordinal of a line to the number of messages of the first segment before it."""
    _endings: dict[str, Ending] = msgspec.field(default_factory=dict)
    _hollow: bool = False
    """True after reasoning that the log keeps no text of."""

    @property
    def now(self) -> Growing:
        """The conversation that stands."""
        return self.segments[-1].now

    def ids(self, meta: Mapping[str, Any]) -> Iterator[str]:
        """The threads that a head names: its own, where it forks from, what started it."""
        source = meta.get("source")
        spawn = source.get("subagent") if isinstance(source, dict) else None
        spawn = spawn.get("thread_spawn") if isinstance(spawn, dict) else None
        above = spawn.get("parent_thread_id") if isinstance(spawn, dict) else None
        named = ("id", "session_id", "forked_from_id", "parent_thread_id")
        for value in (*(meta.get(key) for key in named), above):
            if isinstance(value, str) and value:
                yield value

    def meta(self, payload: Mapping[str, Any], record: Record, time: float | None) -> str | None:
        """The head of the file; further ones are copies that came with a fork's history."""
        if self.id:
            return "session_meta"
        self.id = text_or_none(payload.get("id")) or self.file
        self.forked_from = text_or_none(payload.get("forked_from_id"))
        base = payload.get("history_base")
        if isinstance(base, dict):
            self.forked_at = int_or_none(base.get("end_ordinal_exclusive"))
        source = payload.get("source")
        if (isinstance(source, dict) and "subagent" in source) or "parent_thread_id" in payload:
            self.now.actor = "sub-agent"
            others = [i for i in self.ids(payload) if i not in (self.id, self.forked_from)]
            self.parent = others[-1] if others else None
        self.family = text_or_none(payload.get("session_id")) or self.parent or self.id
        told = payload.get("base_instructions", payload.get("instructions"))
        text = told.get("text") if isinstance(told, dict) else told
        if isinstance(text, str) and text and self.forked_at is None:
            origin = record.at(place(record, "/payload"))
            parts = (Part(kind="text", text=text),)
            system = Message(
                role="system", parts=parts, actor="harness", time=time, origins=(origin,)
            )
            self.now.tell(system)
            return None
        return "session_meta"

    def context(self, payload: Mapping[str, Any]) -> None:
        """What a turn runs with."""
        self.now.model = text_or_none(payload.get("model")) or self.now.model

    def item(self, item: Mapping[str, Any], record: Record, time: float | None) -> str | None:
        """One item of the conversation; gives what it counts as if it is none."""
        self._mark(record)
        return self._add(self.now, item, record, time)

    def _mark(self, record: Record) -> None:
        line = record.value
        ordinal = int_or_none(line.get("ordinal")) if isinstance(line, dict) else None
        if ordinal is not None and len(self.segments) == 1:
            self.ordinals[ordinal] = len(self.now.messages)

    def _add(
        self, into: Growing, item: Mapping[str, Any], record: Record, time: float | None
    ) -> str | None:
        kind = item_kind(item.get("type"))
        row = text_or_none(item.get("call_id")) or text_or_none(item.get("id"))
        at = "/payload" if isinstance(record.value, dict) and "payload" in record.value else ""
        origin = record.at(place(record, at), row)
        if kind is None:
            return str(item.get("type"))[:80]
        if kind == "call":
            into.call(call_of(item), origin, time=time)
        elif kind == "output":
            into.result(result_of(item), origin, time=time)
        elif kind == "reasoning":
            text = reasoning_of(item)
            self._hollow = not text
            if text:
                into.say(Part(kind="reasoning", text=text), origin, time=time)
        else:
            self._told(into, message_of(item, time=time, origin=origin))
        return None

    def _told(self, into: Growing, message: Message) -> None:
        if message.role == "assistant":
            for part in message.parts:
                into.say(part, message.origins[0], time=message.time)
        elif message.role == "user" and into.actor == "sub-agent":
            into.tell(replace(message, actor="harness"))
        else:
            into.tell(message)

    def compact(self, payload: Mapping[str, Any], record: Record, time: float | None) -> None:
        """The history is replaced; the answer that only summed it up goes with it."""
        said = payload.get("message")
        last = self.now.messages[-1] if self.now.messages else None
        if isinstance(said, str) and last is not None and _sums_up(last, said):
            self.now.back_to(len(self.now.messages) - 1)
        before = self.now
        fresh = Growing(actor=before.actor, model=before.model)
        history = payload.get("replacement_history")
        if isinstance(history, list):
            for index, item in enumerate(history):
                if not isinstance(item, dict):
                    at = f"/payload/replacement_history/{index}"
                    raise Misfit(at, f"expected an item, got {kind_of(item)}")
                self._add(fresh, item, record, time)
        elif isinstance(said, str):
            origin = record.at(place(record, "/payload/message"))
            parts = (Part(kind="text", text=said),)
            fresh.tell(
                Message(role="user", parts=parts, actor="harness", time=time, origins=(origin,))
            )
        fresh.close()
        if before.messages and before.messages[0].role == "system":
            fresh.messages.insert(0, before.messages[0])
        self.segments.append(Segment(fresh, kept=len(fresh.messages)))

    def event(self, event: Mapping[str, Any], record: Record, time: float | None) -> str | None:
        """One event; gives what it counts as."""
        kind = text_or_none(event.get("type")) or "event_msg"
        ended = ending_of(event)
        if ended is not None:
            self._endings[ended[0]] = ended[1]
        elif kind == "token_count":
            info = event.get("info")
            if isinstance(info, dict):
                self.now.close(usage_of(info.get("last_token_usage")))
        elif kind == "thread_rolled_back":
            self._roll_back(int_or_none(event.get("num_turns")) or 0)
        elif kind in ("agent_reasoning", "agent_reasoning_raw_content"):
            text = text_or_none(event.get("text"))
            if text and self._hollow:
                self._hollow = False
                origin = record.at(place(record, "/payload"))
                self.now.say(Part(kind="reasoning", text=text), origin, time=time)
                return None
        elif self._error(event, kind, record, time):
            return None
        return kind[:80]

    def _error(
        self, event: Mapping[str, Any], kind: str, record: Record, time: float | None
    ) -> bool:
        told = event.get("error") if kind == "task_complete" else event
        said = text_or_none(told.get("message")) if isinstance(told, dict) else None
        if kind not in ("task_complete", "error") or said is None:
            return False
        last = self.now.messages[-1] if self.now.messages else None
        if last is not None and last.error == said:
            return False
        origin = record.at(place(record, "/payload"))
        self.now.fail(said, origin, time=time, cut=said.startswith(CUT))
        return True

    def _roll_back(self, turns: int) -> None:
        """Leave the last turns, each begun by a human, as a branch."""
        begins = [i for i, m in enumerate(self.now.messages) if _begins(m)]
        if turns < 1 or not begins:
            return
        self.segments[-1].left.append(list(self.now.messages))
        self.now.back_to(begins[-min(turns, len(begins))])

    def amend(self, messages: Sequence[Message]) -> list[Message]:
        """Messages with what events and results told about their calls."""
        results: dict[str, ToolResult] = {}
        faults: dict[str, str] = {}
        for message in messages:
            for result in message.results:
                if result.call_id is None:
                    continue
                fault = fault_of(result.text)
                if fault is not None:
                    faults[result.call_id] = fault
                ending = self._endings.get(result.call_id)
                if ending is not None:
                    results[result.call_id] = _ended(result, ending)
        return amended(messages, results=results, faults=faults)


def _begins(message: Message) -> bool:
    return message.role == "user" and message.actor == "human"


def _sums_up(answer: Message, summary: str) -> bool:
    plain = answer.role == "assistant" and not answer.calls and answer.text != ""
    return plain and summary.endswith(answer.text)


def _ended(result: ToolResult, ending: Ending) -> ToolResult:
    exit_code = ending.exit_code if ending.exit_code is not None else result.exit_code
    flag = result.is_error
    if flag is None and ending.failed and exit_code is None:
        flag = True
    return replace(result, is_error=flag, exit_code=exit_code, cause=result.cause or ending.cause)
