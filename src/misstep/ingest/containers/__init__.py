"""How files are laid out, and their records: one module a kind (`format.Kind`).

In: a `Source`. Out: `Item` values, one a record, in a fixed order. What cannot be read is an item
with a `Fault`; nothing here raises on content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from misstep.ingest.containers import columns, documents, sqlite, text
from misstep.ingest.containers.kinds import kind_of
from misstep.ingest.format import Kind
from misstep.ingest.item import Item
from misstep.ingest.lines import Limits, Progress
from misstep.ingest.records import items as json_items
from misstep.ingest.source import Source

__all__ = ["kind_of", "records", "tables"]

_READERS: Mapping[Kind, Callable[[Source, Limits, Progress | None], Iterator[Item]]] = {
    "json": json_items,
    "text": text.items,
    "yaml": documents.items,
    "csv": columns.csv_items,
    "parquet": columns.parquet_items,
    "sqlite": sqlite.items,
}


def records(
    source: Source, kind: Kind, limits: Limits, progress: Progress | None = None
) -> Iterator[Item]:
    """The records of a file of this kind.

    Raises:
        OSError: the file cannot be opened or read.
        Damaged: it is a member that its archive does not give.
    """
    return _READERS[kind](source, limits, progress)


def tables(source: Source, kind: Kind) -> Mapping[str, Sequence[str]]:
    """Columns by table of an SQLite file; nothing for other kinds."""
    return sqlite.tables(source) if kind == "sqlite" else {}
