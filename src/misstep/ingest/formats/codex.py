"""Codex CLI rollouts: one JSON object a line, one file a thread; forks and sub-agents in others.

Lines are `{timestamp, type, payload}`; old files hold bare items after a header. The items of one
request become one step: a request is over when its usage or a result stands in the log. Kept:
argument text byte for byte, reasoning summaries, model, usage, times, the schema demanded of the
last answer, exit codes (from the event of the command, or the wrapper of its output), a human's no,
forks and rollbacks (as branches), compactions (as sessions that the one before started), sub-agents
with their parent. Events repeat items, so they count as ignored; some tell what items leave out.
Not told: tool schemas, finish reasons, answers that broke off before an item was whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from misstep.ingest.coding.codex_forest import link
from misstep.ingest.coding.codex_items import item_kind
from misstep.ingest.coding.codex_threads import Thread
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.messages import kind_of, place, unix_time, usage_of
from misstep.types import Session

NAME = "codex"
_LINES = ("session_meta", "turn_context", "response_item", "event_msg", "compacted")


class RolloutReader:
    """Reads the rollouts of one run."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._threads: dict[tuple[str, str | None], Thread] = {}

    def read(self, record: Record) -> None:
        """Take one line."""
        try:
            if not isinstance(record.value, dict):
                said = f"expected an object, got {kind_of(record.value)}"
                raise Misfit("", said, "not-an-object")
            kind, payload = unwrapped(record.value)
            if not isinstance(payload, dict):
                raise Misfit("/payload", f"expected an object, got {kind_of(payload)}")
            key = (record.origin.file, record.origin.member)
            thread = self._threads.setdefault(key, Thread(file=record.origin.file))
            ignored = self._take(thread, kind, payload, record)
        except Misfit as misfit:
            origin = record.at(place(record, misfit.pointer))
            self._tally.aside(origin, misfit.reason, misfit.said)
            return
        if ignored is None:
            self._tally.use()
        else:
            self._tally.ignore(ignored)

    def _take(
        self, thread: Thread, kind: str, payload: Mapping[str, Any], record: Record
    ) -> str | None:
        """What the line counts as, if it is no part of the conversation."""
        time = unix_time(record.value.get("timestamp"))
        if kind == "response_item":
            return thread.item(payload, record, time)
        if kind == "session_meta":
            return thread.meta(payload, record, time)
        if kind == "compacted":
            thread.compact(payload, record, time)
            return None
        if kind == "event_msg":
            return thread.event(payload, record, time)
        if kind == "turn_context":
            thread.context(payload)
        elif kind == "token_usage_record":
            thread.now.close(usage_of(payload.get("usage")))
        return kind

    def close_file(self) -> None:
        """A fork may come before its parent, so nothing is over yet."""

    def finish(self) -> Sequence[Session]:
        """All threads, linked."""
        return link(NAME, list(self._threads.values()))


def unwrapped(line: Mapping[str, Any]) -> tuple[str, Any]:
    """Kind and payload of a line, in the old form too.

    Raises:
        Misfit: no line of a rollout.
    """
    kind = line.get("type")
    if isinstance(kind, str) and "payload" in line:
        return kind, line["payload"]
    if "record_type" in line:
        return "state", line
    if isinstance(kind, str) and item_kind(kind) is not None:
        return "response_item", line
    if kind is None and _header(line):
        return "session_meta", line
    raise Misfit("", "neither an item nor a line of a rollout", "unknown-record")


def _header(line: Mapping[str, Any]) -> bool:
    return all(isinstance(line.get(key), str) for key in ("id", "timestamp")) and (
        "instructions" in line or "git" in line
    )


def _weigh(value: dict[str, Any]) -> float:
    if value.get("type") in _LINES and isinstance(value.get("payload"), dict):
        return 1.0
    if "record_type" in value or (value.get("type") is None and _header(value)):
        return 1.0
    listed = "payload" in value and "timestamp" in value and isinstance(value.get("type"), str)
    return 0.8 if listed else 0.0


def _old(values: Sequence[Any]) -> bool:
    """Bare items alone could be anybody's; a header or a state line says whose they are."""
    return any(
        isinstance(v, dict) and ("record_type" in v or (v.get("type") is None and _header(v)))
        for v in values
    )


def sniff(peek: Peek) -> float:
    """Typed lines with a payload, or bare items beside an old header."""
    if peek.kind != "json":
        return 0.0
    if not _old(peek.values):
        return share(peek, _weigh)
    return share(peek, lambda v: max(_weigh(v), float(item_kind(v.get("type")) is not None)))


def joins(value: Any, name: str) -> Iterable[str]:
    """The threads that the head of a file names: its own, and those it comes from."""
    if not isinstance(value, dict):
        return
    try:
        kind, payload = unwrapped(value)
    except Misfit:
        return
    if kind == "session_meta" and isinstance(payload, dict):
        yield from Thread(file=name).ids(payload)


def _reader(tally: Tally) -> RolloutReader:
    return RolloutReader(tally)


FORMAT = Format(
    name=NAME,
    about="Codex CLI rollouts, new and old, with forks and sub-agents; no tool schemas",
    unit="line",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=joins,
)
