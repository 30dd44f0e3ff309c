"""opencode and its forks: the SQLite base, the older storage folders, and `opencode export`.

In all three a session has messages and a message has parts; a row is one of them, by itself or
inside an export. Kept: text, reasoning, calls with their results and exit codes, model, tokens,
finish reason, times, errors of requests, sub-agents with the session that started them, forks,
compactions. Input is a parsed object, but a call that opencode could not read (its tool `invalid`)
keeps the real name, and the text of broken JSON. No tool schemas; the names of the offered tools
only where an unknown one was called. Messages that the user took back stay in the base until the
next prompt, and stay here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from misstep.ingest.coding.opencode_rows import Row, Store, dig, rows_of
from misstep.ingest.coding.opencode_sessions import grow
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally
from misstep.ingest.messages import place, text_or_none
from misstep.types import Session

NAME = "opencode"


class _Reader:
    """Collects rows; a part may stand before its message, and a message before its session."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._store = Store()

    def read(self, record: Record) -> None:
        """Take one row, or one export."""
        try:
            rows = list(rows_of(record))
        except Misfit as misfit:
            self._tally.aside(record.at(place(record, misfit.pointer)), misfit.reason, misfit.said)
            return
        if len(rows) > 1:
            self._tally.unfold(len(rows))
        for row in rows:
            self._take(row)

    def _take(self, row: Row) -> None:
        if row.kind not in ("session", "message", "part"):
            self._tally.ignore(row.kind)
        elif not row.id:
            said = f"a {row.kind} without an id"
            self._tally.aside(row.origin, "bad-message", said)
        elif self._store.put(row):
            if row.kind == "session":
                self._tally.use()
        else:
            self._tally.ignore("copy")

    def close_file(self) -> None:
        """Parts, messages and sessions may stand in different files."""

    def finish(self) -> Sequence[Session]:
        """All sessions; only now is it known which parts belong to no message."""
        return grow(NAME, self._store, self._tally)


def joins(value: Any, name: str) -> Iterable[str]:
    """Sessions by id with their sub-agents; forks by the times of the messages they copy."""
    if not isinstance(value, dict):
        return
    row = value.get("row")
    if isinstance(row, dict):
        yield from _row_keys(value.get("table"), row)
        return
    listed = value.get("messages")
    if isinstance(listed, list):
        for message in listed:
            yield from _info_keys(dig(message, "info"))
        yield from _info_keys(value.get("info"))
        return
    yield from _info_keys(value)


def _row_keys(table: Any, row: Mapping[str, Any]) -> Iterator[str]:
    names = ("id", "parent_id") if table == "session" else ("session_id",)
    for name in names:
        if isinstance(row.get(name), str):
            yield row[name]
    if table == "message" and isinstance(row.get("time_created"), int):
        yield f"at {row['time_created']}"


def _info_keys(info: Any) -> Iterator[str]:
    if not isinstance(info, dict):
        return
    names = ("sessionID",) if "sessionID" in info else ("id", "parentID")
    for name in names:
        if isinstance(info.get(name), str):
            yield info[name]
    created = dig(info, "time", "created")
    if "role" in info and isinstance(created, int):
        yield f"at {created}"


def sniff(peek: Peek) -> float:
    """Its three tables; an export; or one stored session, message, part, project or diff."""
    if peek.kind == "sqlite":
        return _sniff_tables(peek)
    if not peek.values:
        return 1.0 if "storage/session_diff/" in peek.name else 0.0
    value = peek.values[0]
    if not isinstance(value, dict):
        return 0.9 if _stored_list(peek.name) else 0.0
    if isinstance(value.get("messages"), list) and isinstance(value.get("info"), dict):
        return 1.0 if _id(value["info"], "id").startswith("ses_") else 0.0
    owner, own = _id(value, "sessionID"), _id(value, "id")
    if owner.startswith("ses_"):
        return 1.0 if own.startswith(("msg_", "prt_")) or "messageID" in value else 0.5
    if own.startswith("ses_"):
        return 1.0 if "projectID" in value or "directory" in value else 0.5
    return 0.8 if "worktree" in value and "storage/project/" in peek.name else 0.0


def _sniff_tables(peek: Peek) -> float:
    wanted = {"session": "parent_id", "message": "session_id", "part": "message_id"}
    found = [column in peek.tables.get(table, ()) for table, column in wanted.items()]
    return 1.0 if all(found) and "data" in peek.tables["part"] else 0.0


def _stored_list(name: str) -> bool:
    return "storage/session_diff/ses_" in name or "storage/todo/ses_" in name


def _id(value: Mapping[str, Any], name: str) -> str:
    return text_or_none(value.get(name)) or ""


def _reader(tally: Tally) -> _Reader:
    return _Reader(tally)


FORMAT = Format(
    name=NAME,
    about="opencode sessions (base, storage folders, exports); no schemas, input as parsed objects",
    unit="row",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    kinds=("json", "sqlite"),
    joins=joins,
)
