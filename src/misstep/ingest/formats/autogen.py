"""AutoGen: its event logger, messages of AgentChat, and the call table of version 0.2 (SQLite).

Kept: `LLMCall` and streamed calls as request and answer (tools, argument text byte for byte, finish
reason, usage, model, time), joined to conversations; `ToolCallRequestEvent` and
`ToolCallExecutionEvent` dumps, lines or a `TaskResult`, with argument text and `is_error`. In a
team each agent has a session of its own, in which the words of others stand as user messages.
What the format cannot tell: dumped messages hold no system message, no tools and no finish reason;
the event log holds no error flag, and no trace of a request that failed. Other events are ignored
by their type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from misstep.ingest.context import Contexts
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally
from misstep.ingest.harnesses import cast
from misstep.ingest.harnesses.autogen_messages import Chat, answers
from misstep.ingest.jsontext import object_in, parsed
from misstep.ingest.messages import chat_message, kind_of, place, text_or_none, unix_time
from misstep.ingest.oneby import set_aside
from misstep.ingest.threads import Threads, Turn, turns
from misstep.types import Message, Session

NAME = "autogen"
_EVENTS = frozenset(
    {
        "LLMCall",
        "LLMStreamStart",
        "LLMStreamEnd",
        "ToolCall",
        "Message",
        "MessageDropped",
        "MessageHandlerException",
        "AgentConstructionException",
    }
)
_BESIDE = frozenset(
    {
        "UserInputRequestedEvent",
        "ModelClientStreamingChunkEvent",
        "MemoryQueryEvent",
        "SelectSpeakerEvent",
        "SelectorEvent",
        "CodeExecutionEvent",
    }
)


class _Reader:
    """Reads events into conversations; the messages of one file are one run."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._threads = Threads(NAME)
        self._contexts = Contexts()
        self._chat = Chat()
        self._runs: list[Session] = []
        self._begun: dict[str, Mapping[str, Any]] = {}
        """Streams that have started, by agent."""

    def read(self, record: Record) -> None:
        """Take one line, document or row."""
        value = record.value
        if isinstance(value, str):
            value = object_in(value)
            if value is None:
                self._tally.ignore("text")
                return
        try:
            ignored = self._take(record, value)
        except Misfit as misfit:
            set_aside(self._tally, record, misfit)
            return
        if ignored is None:
            self._tally.use()
        else:
            self._tally.ignore(ignored)

    def _take(self, record: Record, value: Any) -> str | None:
        """Why a record is ignored; None where it is used."""
        if not isinstance(value, dict):
            raise Misfit("", f"expected an object, got {kind_of(value)}", "unknown-record")
        if "table" in value and isinstance(value.get("row"), dict):
            return self._row(record, value)
        kind = value.get("type")
        if kind is None and isinstance(value.get("messages"), list):
            self._result(record, value["messages"])
            return None
        if not isinstance(kind, str):
            raise Misfit("/type", "neither an event nor a message", "unknown-record")
        if kind == "LLMCall":
            self._call(record, value, value.get("response"))
        elif kind == "LLMStreamStart":
            self._begun[str(value.get("agent_id"))] = value
            return "LLMStreamStart"
        elif kind == "LLMStreamEnd":
            begun = self._begun.pop(str(value.get("agent_id")), None)
            if begun is None:
                raise Misfit("", "the end of a stream without its start", "no-request")
            self._call(record, begun, value.get("response"))
        elif kind in _BESIDE or kind in _EVENTS or "source" not in value:
            return kind if kind in _BESIDE or kind in _EVENTS else "other-event"
        else:
            self._chat.add(value, record, "")
        return None

    def _call(
        self, record: Record, request: Mapping[str, Any], response: Any, *, family: str = ""
    ) -> None:
        rows = request.get("messages")
        if not isinstance(rows, list) or not rows:
            raise Misfit("/messages", f"expected a list of messages, got {kind_of(rows)}")
        context = self._contexts.of(request)
        history: list[Turn] = []
        for index, row in enumerate(rows):
            message = _actor(chat_message(row, f"/messages/{index}"))
            history += turns([message], f"/messages/{index}")
        origin = (record.at(place(record, "/response"), text_or_none(request.get("agent_id"))),)
        said = [replace(m, actor="agent", origins=origin) for m in answers(response)]
        if not said and not any(turn.message.role == "assistant" for turn in history):
            raise Misfit("/response", "a request without an answer", "no-answer")
        self._threads.add(record, history, answers=said, context=context, family=family)

    def _row(self, record: Record, value: Mapping[str, Any]) -> str | None:
        """A row of the 0.2 database."""
        row = value["row"]
        if value.get("table") != "chat_completions":
            return str(value.get("table"))[:80]
        request, response = parsed(row.get("request")), parsed(row.get("response"))
        if not isinstance(request, dict):
            raise Misfit("/row/request", "a request that is no JSON object")
        session = text_or_none(row.get("session_id"))
        if isinstance(response, dict) and response.get("created") is None:
            response = {**response, "created": unix_time(row.get("end_time"))}
        self._call(record, request, response, family=f"session-{session}" if session else "")
        return None

    def _result(self, record: Record, rows: Sequence[Any]) -> None:
        """A `TaskResult`: a run of its own."""
        chat = Chat()
        for index, row in enumerate(rows):
            kind = row.get("type") if isinstance(row, dict) else None
            if not isinstance(kind, str) or kind not in _BESIDE:
                chat.add(row, record, f"/messages/{index}")
        if not any(line.agent is not None for line in chat.lines):
            raise Misfit("/messages", "a run in which no agent spoke", "no-answer")
        self._end(chat)

    def _end(self, chat: Chat) -> None:
        self._runs += cast.sessions(NAME, chat.lines, family=chat.family, lead=False)

    def close_file(self) -> None:
        """The messages of a file are one run."""
        self._end(self._chat)
        self._chat = Chat()
        self._begun.clear()

    def finish(self) -> tuple[Session, ...]:
        """All conversations."""
        return (*self._threads.sessions(), *self._runs)


def _actor(message: Message) -> Message:
    return replace(message, actor="agent") if message.role == "assistant" else message


def _weigh(value: Any) -> float:
    if isinstance(value, str):
        value = object_in(value)
    if not isinstance(value, dict):
        return 0.0
    kind = value.get("type")
    if kind is None:
        rows = value.get("messages")
        rows = [r for r in rows[:8] if isinstance(r, dict)] if isinstance(rows, list) else []
        return 1.0 if rows and all("source" in r and "type" in r for r in rows) else 0.0
    if kind in ("LLMCall", "LLMStreamStart", "LLMStreamEnd"):
        return 1.0 if "messages" in value or "response" in value else 0.0
    if kind == "ToolCall":
        return 1.0 if "tool_name" in value else 0.0
    if kind == "Message":
        return 1.0 if "delivery_stage" in value else 0.0
    return 1.0 if "source" in value and "models_usage" in value else 0.0


def sniff(peek: Peek) -> float:
    """Events and messages by their types, or the call table of the 0.2 database."""
    if peek.kind == "sqlite":
        columns = set(peek.tables.get("chat_completions", ()))
        return 1.0 if {"invocation_id", "request", "response"} <= columns else 0.0
    if peek.kind not in ("json", "text") or not peek.values:
        return 0.0
    weighed = [_weigh(value) for value in peek.values]
    if peek.kind == "text":
        return 0.8 if sum(weighed) >= 1.0 else 0.0
    return sum(weighed) / len(weighed)


def _reader(tally: Tally) -> _Reader:
    return _Reader(tally)


FORMAT = Format(
    name=NAME,
    about="AutoGen event logs, AgentChat messages and task results, 0.2 call databases",
    unit="line",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
)
