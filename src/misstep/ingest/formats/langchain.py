"""LangChain messages as LangChain writes them: rows, dumped states, streamed updates.

In: `{"messages": […]}` rows and LangGraph states (also below `values` or `channel_values`), updates
of a stream (`{node: {"messages": […]}}`), lists of messages, or one message a line; the messages in
any serialised form (`langchain_messages`). Kept: messages, calls, the raw text and the error of
calls that did not parse, status of tool messages, finish reason, model, usage; the thread as
family. Not kept by LangChain: what a request offered; raw text of the arguments that did parse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.messages import kind_of, place, text_or_none
from misstep.ingest.threads import Threads, Turn, turns
from misstep.ingest.traces.feedback import outcome_of
from misstep.ingest.traces.framework_parts import opened
from misstep.ingest.traces.frameworks import paired
from misstep.ingest.traces.langchain_messages import langchain_message, unwrapped
from misstep.types import Context, Session

NAME = "langchain"
_WRAPS = ("values", "channel_values", "checkpoint", "state", "output", "data")


def _is_message(value: Any) -> bool:
    return unwrapped(value) is not None


def _states(value: Any, pointer: str = "") -> Iterator[tuple[list[Any], str, bool]]:
    """Message lists in a record: the list, its place, and whether it only adds to what came."""
    value = opened(value)
    if _is_message(value):
        yield [value], pointer, True
    elif isinstance(value, list) and value and all(_is_message(entry) for entry in value):
        yield value, pointer, False
    elif isinstance(value, dict):
        yield from _held(value, pointer)


def _held(value: Mapping[str, Any], pointer: str) -> Iterator[tuple[list[Any], str, bool]]:
    messages = opened(value.get("messages"))
    if isinstance(messages, list):
        yield messages, f"{pointer}/messages", False
        return
    for key in _WRAPS:
        inner = opened(value.get(key))
        if isinstance(inner, dict) and pointer.count("/") < 3:
            yield from _held(inner, f"{pointer}/{key}")
            return
    for node, update in value.items():
        inner = opened(update.get("messages")) if isinstance(update, dict) else None
        if isinstance(inner, list) and all(_is_message(entry) for entry in inner):
            yield inner, f"{pointer}/{node}/messages", True


class _Reader:
    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._threads = Threads(NAME)
        self._added: list[Turn] = []
        """What the updates of this file have added up to."""
        self._last: tuple[Record, str] | None = None

    def read(self, record: Record) -> None:
        """Take one record."""
        try:
            self._take(record)
        except Misfit as misfit:
            at = record.at(place(record, misfit.pointer))
            self._tally.aside(at, misfit.reason, misfit.said)

    def _take(self, record: Record) -> None:
        found = list(_states(record.value))
        if not found:
            said = f"no LangChain messages: {kind_of(record.value)}"
            raise Misfit("", said, "unknown-record")
        family = _thread(record.value)
        told = [(_turns(rows, at), adds) for rows, at, adds in found]
        if all(adds for _, adds in told):
            for made, _ in told:
                placed = [_at(turn, record) for turn in made]
                self._added.extend(placed)
            self._last = (record, family)
            self._tally.use()
            return
        whole = [made for made, adds in told if not adds]
        if not any(turn.message.role == "assistant" for made in whole for turn in made):
            raise Misfit("", "messages without an answer", "no-answer")
        for made in whole:
            outcome = outcome_of(record.value.items()) if isinstance(record.value, dict) else None
            self._threads.add(
                record, made, answers=(), context=Context(), family=family, outcome=outcome
            )
        self._tally.use()

    def close_file(self) -> None:
        """The updates of a file are one conversation."""
        if self._last is not None and self._added:
            record, family = self._last
            seen: list[Turn] = [
                replace(turn, message=message)
                for turn, message in zip(
                    self._added, paired([turn.message for turn in self._added]), strict=True
                )
            ]
            self._threads.add(record, seen, answers=(), context=Context(), family=family)
        self._added, self._last = [], None

    def finish(self) -> tuple[Session, ...]:
        """All conversations."""
        return self._threads.sessions()


def _turns(rows: list[Any], pointer: str) -> list[Turn]:
    made: list[Turn] = []
    for index, row in enumerate(rows):
        at = f"{pointer}/{index}" if len(rows) > 1 or pointer else pointer
        message = langchain_message(opened(row), at)
        if message.role == "assistant":
            message = replace(message, actor="agent")
        made.extend(turns([message], at))
    return made


def _at(turn: Turn, record: Record) -> Turn:
    """A turn that remembers its own record, since the conversation is joined later."""
    origin = record.at(place(record, turn.pointer))
    return replace(turn, message=replace(turn.message, origins=(origin,)), placed=True)


def _thread(value: Any) -> str:
    """The thread that a row names, beside its messages or in its metadata."""
    if not isinstance(value, dict):
        return ""
    config = value.get("config")
    inner = config.get("configurable") if isinstance(config, dict) else None
    for held in (value, value.get("metadata"), value.get("configurable"), inner):
        if isinstance(held, dict):
            named = next((held[k] for k in ("thread_id", "session_id") if held.get(k)), None)
            if isinstance(named, (str, int)) and not isinstance(named, bool):
                return str(named)
    return ""


def _weigh(value: dict[str, Any]) -> float:
    found = list(_states(value))
    rows = [row for rows, _, _ in found for row in rows]
    if not rows:
        return 0.0
    named = text_or_none(value.get("type")) == "constructor" or not _is_message(value)
    return (1.0 if named else 0.9) * sum(map(_is_message, rows)) / len(rows)


def sniff(peek: Peek) -> float:
    """Messages in LangChain's own forms; a row may also be a list of them."""
    lists = [v for v in peek.values if isinstance(v, list)]
    if lists and len(lists) == len(peek.values):
        known = sum(all(map(_is_message, row)) and bool(row) for row in lists)
        return known / len(lists)
    return share(peek, _weigh)


def joins(value: Any, name: str) -> Iterator[str]:
    """The file, since its updates are one conversation, and how each conversation begins."""
    yield f"file:{name}"
    try:
        for rows, at, _ in _states(value):
            made = _turns(rows[:4], at)
            first = next((turn for turn in made if turn.message.role != "system"), None)
            if first is not None:
                yield f"first:{first.key.hex()}"
    except Misfit:
        return


def _reader(tally: Tally) -> _Reader:
    return _Reader(tally)


FORMAT = Format(
    name=NAME,
    about="LangChain and LangGraph messages as they are serialised; no tools, and no raw text of"
    " arguments that did parse",
    unit="row",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=joins,
)
