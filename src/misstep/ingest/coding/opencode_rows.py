"""The rows of opencode: sessions, messages and parts, from its base, its folders or an export.

In: one record. Out: `Row` values with the same fields whatever the layout, ids and owners told by
the columns of the base or by the objects themselves. `Store` holds them until all are in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from misstep.ingest.decode import Fault, decode
from misstep.ingest.format import Misfit, Record
from misstep.ingest.messages import kind_of, place, text_or_none
from misstep.types import Origin

_DEEP = 100
"""Levels of nesting in a JSON column."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One session, message or part; another kind is bookkeeping."""

    kind: str
    id: str
    owner: str
    """Session of a message, message of a part, starting session of a session; may be empty."""
    session: str
    data: Mapping[str, Any]
    origin: Origin


class Store(msgspec.Struct):
    """All rows of a run."""

    sessions: dict[str, Row] = msgspec.field(default_factory=dict)
    messages: dict[str, dict[str, Row]] = msgspec.field(default_factory=dict)
    """By session, then by message id."""
    parts: dict[str, dict[str, Row]] = msgspec.field(default_factory=dict)
    """By message, then by part id."""

    def put(self, row: Row) -> bool:
        """Keep a row; False if it is known, since an export may stand beside the base."""
        if row.kind == "session":
            known = self.sessions
        elif row.kind == "message":
            known = self.messages.setdefault(row.owner, {})
        else:
            known = self.parts.setdefault(row.owner, {})
        return known.setdefault(row.id, row) is row


def rows_of(record: Record) -> Iterator[Row]:
    """The rows in one record.

    Raises:
        Misfit: it is no row, or its data is no JSON object.
    """
    value = record.value
    if not isinstance(value, dict):
        if "storage/" in record.origin.file:
            yield _other("storage-list", record)
            return
        raise Misfit("", f"expected an object, got {kind_of(value)}", "not-an-object")
    if isinstance(value.get("table"), str) and isinstance(value.get("row"), dict):
        yield _of_table(value["table"], value["row"], record)
    elif isinstance(value.get("messages"), list):
        yield from _of_export(value, record)
    else:
        yield _of_object(value, record, "")


def _other(kind: str, record: Record) -> Row:
    return Row(kind=kind, id="", owner="", session="", data={}, origin=record.origin)


_COLUMNS = {
    "parent_id": "parentID",
    "session_id": "sessionID",
    "message_id": "messageID",
}


def _of_table(table: str, row: Mapping[str, Any], record: Record) -> Row:
    if table not in ("session", "message", "part"):
        return _other(f"table-{table}", record)
    data: dict[str, Any] = {}
    if table != "session":
        data = _parsed(row.get("data"))
    named = {new: row[old] for old, new in _COLUMNS.items() if isinstance(row.get(old), str)}
    created = row.get("time_created")
    data = {**data, **named, "id": row.get("id")}
    if table == "session":
        data["time"] = {"created": created}
    return _made(table, data, record.origin)


def _parsed(text: Any) -> dict[str, Any]:
    if not isinstance(text, (str, bytes)):
        raise Misfit("/row/data", f"data: expected JSON text, got {kind_of(text)}")
    value = decode(text if isinstance(text, bytes) else text.encode(), max_depth=_DEEP)
    if isinstance(value, Fault):
        raise Misfit("/row/data", f"data: {value.said}", value.reason)
    if not isinstance(value, dict):
        raise Misfit("/row/data", f"data: expected an object, got {kind_of(value)}")
    return value


def _of_export(value: Mapping[str, Any], record: Record) -> Iterator[Row]:
    info = value.get("info")
    if not isinstance(info, dict):
        raise Misfit("/info", f"expected the session as an object, got {kind_of(info)}")
    yield _made("session", info, record.at(place(record, "/info")))
    for index, message in enumerate(value["messages"]):
        at = f"/messages/{index}"
        own = dig(message, "info")
        if not isinstance(own, dict):
            yield _made("message", {}, record.at(place(record, at)))
            continue
        owner = text_or_none(own.get("id")) or ""
        yield _made("message", own, record.at(place(record, f"{at}/info"), owner or None))
        parts = dig(message, "parts")
        for number, part in enumerate(parts if isinstance(parts, list) else ()):
            here = record.at(place(record, f"{at}/parts/{number}"))
            yield _made("part", part if isinstance(part, dict) else {}, here)


def _of_object(value: Mapping[str, Any], record: Record, pointer: str) -> Row:
    origin = record.at(place(record, pointer), text_or_none(value.get("id")))
    if "messageID" in value:
        return _made("part", value, origin)
    if "sessionID" in value and "role" in value:
        return _made("message", value, origin)
    if "projectID" in value or ("directory" in value and "title" in value):
        return _made("session", value, origin)
    if "worktree" in value:
        return _other("project", record)
    raise Misfit("", "neither a session nor a message nor a part", "unknown-record")


_OWNERS = {"session": "parentID", "message": "sessionID", "part": "messageID"}


def _made(kind: str, data: Mapping[str, Any], origin: Origin) -> Row:
    own = text_or_none(data.get("id")) or ""
    session = own if kind == "session" else text_or_none(data.get("sessionID")) or ""
    return Row(
        kind=kind,
        id=own,
        owner=text_or_none(data.get(_OWNERS[kind])) or "",
        session=session,
        data=data,
        origin=origin,
    )


def dig(value: Any, *path: str) -> Any:
    """What stands at a path of keys; None where something on the way is no object."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
