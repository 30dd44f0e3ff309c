"""goose sessions: the SQLite base `sessions.db`, the older JSON lines, and `goose session export`.

Kept: messages, calls and results with their flags and exit codes, a user's no, calls that goose
could not read (`toolCall.status` is `error`) with the raw text where goose quotes it, model, tokens
where a message has them, times, sub-agents with the session that started them, and what a
compaction took from the model's sight as a session of its own. No tool schemas, no finish reason;
the name of a call that could not be read is seldom kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from misstep.ingest.build import linear
from misstep.ingest.coding.goose_talk import Stored, talks_of
from misstep.ingest.decode import Fault, decode
from misstep.ingest.format import Format, Peek, Record, Tally
from misstep.ingest.messages import int_or_none, kind_of, number_or_none, place, text_or_none
from misstep.types import Session

NAME = "goose"
_BLOCKS = ("toolRequest", "toolResponse", "thinking", "redactedThinking", "systemNotification")


class _Held(msgspec.Struct):
    """What is known of one session."""

    about: Mapping[str, Any] = msgspec.field(default_factory=dict)
    stored: list[Stored] = msgspec.field(default_factory=list)


class _Reader:
    """Collects sessions and messages; in the base they stand in different tables."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._sessions: dict[str, _Held] = {}

    def read(self, record: Record) -> None:
        """Take one row, one line or one export."""
        value = record.value
        if not isinstance(value, dict):
            said = f"expected an object, got {kind_of(value)}"
            self._tally.aside(record.at(place(record, "")), "not-an-object", said)
        elif isinstance(value.get("table"), str) and isinstance(value.get("row"), dict):
            self._row(value["table"], value["row"], record)
        elif isinstance(value.get("conversation"), list):
            self._export(value, record)
        elif "role" in value:
            self._store(_file(record), value, record)
        elif "working_dir" in value:
            self._about(_file(record), value)
        else:
            said = "neither a session nor a message of goose"
            self._tally.aside(record.at(place(record, "")), "unknown-record", said)

    def _row(self, table: str, row: Mapping[str, Any], record: Record) -> None:
        if table == "sessions":
            self._about(str(row.get("id")), row)
        elif table == "messages":
            self._store(str(row.get("session_id")), row, record)
        else:
            self._tally.ignore(f"table-{table}")

    def _export(self, value: Mapping[str, Any], record: Record) -> None:
        messages = value["conversation"]
        self._tally.unfold(1 + len(messages))
        key = text_or_none(value.get("id")) or _file(record)
        self._about(key, value)
        for index, message in enumerate(messages):
            origin = record.at(place(record, f"/conversation/{index}"))
            if isinstance(message, dict):
                self._store(key, message, replace(record, origin=origin))
            else:
                said = f"expected a message object, got {kind_of(message)}"
                self._tally.aside(origin, "bad-message", said)

    def _about(self, key: str, value: Mapping[str, Any]) -> None:
        held = self._sessions.setdefault(key, _Held())
        self._tally.use() if not held.about else self._tally.ignore("copy")
        held.about = held.about or value

    def _store(self, key: str, value: Mapping[str, Any], record: Record) -> None:
        held = self._sessions.setdefault(key, _Held())
        created = number_or_none(value.get("created_timestamp")) or 0.0
        at = int_or_none(value.get("id")) if created else None
        order = (created, len(held.stored) if at is None else at)
        held.stored.append(Stored(value=value, origin=record.origin, order=order))

    def close_file(self) -> None:
        """A session is known only when all rows are in."""

    def finish(self) -> Sequence[Session]:
        """All sessions, each with the one that started it."""
        made: dict[str, Session] = {}
        rows: list[tuple[str, Session]] = []
        for key, held in self._sessions.items():
            for session in self._made(key, held):
                made.setdefault(key, session)
                rows.append((self._starter(key), session))
        return [_linked(session, made.get(starter)) for starter, session in rows]

    def _made(self, key: str, held: _Held) -> Iterable[Session]:
        side = bool(self._starter(key)) or held.about.get("session_type") == "sub_agent"
        talks = talks_of(held.stored, self._tally, side=side, model=_model(held.about))
        before: str | None = None
        for talk in talks:
            session = linear(NAME, talk.messages, family=self._family(key), parent=before)
            before = session.id
            yield session

    def _starter(self, key: str) -> str:
        about = self._sessions[key].about if key in self._sessions else {}
        return text_or_none(about.get("parent_session_id")) or ""

    def _family(self, key: str) -> str:
        seen: set[str] = set()
        while key not in seen and (up := self._starter(key)):
            seen.add(key)
            key = up
        return key.rsplit("/", 1)[-1].removesuffix(".jsonl")


def _linked(session: Session, starter: Session | None) -> Session:
    if session.parent is not None or starter is None or starter.id == session.id:
        return session
    return replace(session, parent=starter.id)


def _file(record: Record) -> str:
    member = record.origin.member
    return f"{record.origin.file}!{member}" if member else record.origin.file


def _model(about: Mapping[str, Any]) -> str | None:
    held = about.get("model_config", about.get("model_config_json"))
    if isinstance(held, str):
        held = decode(held.encode(), max_depth=20)
    if isinstance(held, Fault) or not isinstance(held, dict):
        return None
    return text_or_none(held.get("model_name"))


def joins(value: Any, name: str) -> Iterable[str]:
    """The rows of one session, and of what it started; a file of lines is one session."""
    if not isinstance(value, dict):
        return
    row = value.get("row")
    if not isinstance(row, dict):
        yield name
        row = value if "conversation" in value else {}
    for field_name in ("session_id", "parent_session_id"):
        if isinstance(row.get(field_name), str):
            yield row[field_name]
    if value.get("table") == "sessions" or "conversation" in value:
        yield str(row.get("id"))


def sniff(peek: Peek) -> float:
    """Its two tables; an export; or a line about a session and lines with its blocks."""
    if peek.kind == "sqlite":
        sessions, messages = peek.tables.get("sessions", ()), peek.tables.get("messages", ())
        return 1.0 if "working_dir" in sessions and "content_json" in messages else 0.0
    if peek.kind != "json" or not peek.values:
        return 0.0
    return sum(_weigh(v) for v in peek.values if isinstance(v, dict)) / len(peek.values)


def _weigh(value: Mapping[str, Any]) -> float:
    if "working_dir" in value and ("message_count" in value or "conversation" in value):
        return 1.0
    blocks = value.get("content")
    if value.get("role") not in ("user", "assistant") or not isinstance(blocks, list):
        return 0.0
    if int_or_none(value.get("created")) is None:
        return 0.0
    kinds = [block.get("type") for block in blocks if isinstance(block, dict)]
    return 1.0 if any(kind in _BLOCKS for kind in kinds) else 0.6 if "text" in kinds else 0.0


def _reader(tally: Tally) -> _Reader:
    return _Reader(tally)


FORMAT = Format(
    name=NAME,
    about="goose sessions (base, JSON lines, exports); no schemas, input as parsed objects",
    unit="row",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    evidence="documentation",
    joins=joins,
    kinds=("json", "sqlite"),
)
