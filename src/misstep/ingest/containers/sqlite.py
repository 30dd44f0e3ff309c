"""SQLite files: a record is `{"table": name, "row": {column: value}}`, table by table.

The file is opened read-only and its schema is not trusted: only plain tables are read, no views, no
virtual tables. Where a write-ahead log lies beside the file, both are copied and the copy is read,
so that the newest rows are seen and nothing is written beside the user's logs.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from misstep.ingest.decode import Fault
from misstep.ingest.item import Item
from misstep.ingest.lines import Limits, Progress, unpacked
from misstep.ingest.source import Source

_TABLES = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, 7) != 'sqlite_' "
    "AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
)


def items(source: Source, limits: Limits, progress: Progress | None = None) -> Iterator[Item]:
    """The rows of all tables; tables by name, rows in the order of their row ids."""
    number = 0
    try:
        with _open(source) as base:
            for table in _names(base):
                for row_id, row in _rows(base, table):
                    number += 1
                    value = {"table": table, "row": row}
                    yield Item(number, 0, value, row=f"{table}:{row_id}")
    except sqlite3.Error as error:
        yield Item(number + 1, 0, Fault("broken-archive", f"not readable as SQLite: {error}"))
    if progress is not None:
        progress(source.size)


def tables(source: Source) -> Mapping[str, Sequence[str]]:
    """Columns by table; nothing where the file cannot be read."""
    try:
        with _open(source) as base:
            return {
                name: [row[1] for row in base.execute(f"PRAGMA table_info({_quoted(name)})")]
                for name in _names(base)
            }
    except sqlite3.Error:
        return {}


def _names(base: sqlite3.Connection) -> list[str]:
    return [name for (name,) in base.execute(_TABLES).fetchall()]


def _rows(base: sqlite3.Connection, table: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        found = base.execute(f"SELECT rowid, * FROM {_quoted(table)} ORDER BY rowid")  # noqa: S608
        shift = 1
    except sqlite3.OperationalError:  # a table without row ids
        found = base.execute(f"SELECT * FROM {_quoted(table)}")  # noqa: S608
        shift = 0
    names = [column[0] for column in found.description][shift:]
    for number, values in enumerate(found, start=1):
        row_id = values[0] if shift else number
        yield row_id, dict(zip(names, values[shift:], strict=True))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _open(source: Source) -> Iterator[sqlite3.Connection]:
    path = source.path
    wal = path.with_name(path.name + "-wal")
    elsewhere = source.member is not None or source.remote is not None
    packed = elsewhere or not _is_plain(path)
    if not packed and not (wal.exists() and wal.stat().st_size):
        with closing(_connect(path, "mode=ro&immutable=1")) as base:
            yield base
        return
    with tempfile.TemporaryDirectory(prefix="misstep-") as folder:
        copy = Path(folder) / "base.db"
        with source.open() as raw, copy.open("wb") as out:
            shutil.copyfileobj(unpacked(raw), out)
        if not packed:
            shutil.copyfile(wal, copy.with_name(copy.name + "-wal"))
        with closing(_connect(copy, "mode=rw")) as base:
            yield base


def _is_plain(path: Path) -> bool:
    with path.open("rb") as raw:
        return raw.read(4) == b"SQLi"


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    base = sqlite3.connect(f"file:{quote(os.fsencode(path.resolve()))}?{mode}", uri=True)
    base.execute("PRAGMA trusted_schema = OFF")
    # an index on an expression that the line above forbids must not make the tables unreadable
    base.execute("PRAGMA writable_schema = ON")
    base.text_factory = lambda data: data.decode("utf-8", "replace")
    return base
