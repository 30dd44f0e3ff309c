"""Tables: CSV, Parquet and Arrow. A record is one row, a dict by column.

Times become ISO text. Parquet is read in slices, CSV row by row, so that a large table needs no
large memory. The CSV delimiter is a tab for `.tsv`, else whichever of comma and semicolon the first
line holds more often.
"""

from __future__ import annotations

import csv
import datetime
import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from misstep.ingest.containers.kinds import ARROW, ARROW_STREAM
from misstep.ingest.decode import Fault
from misstep.ingest.item import Item
from misstep.ingest.lines import Limits, Progress, fault_of, head, unpacked
from misstep.ingest.source import DAMAGED, Source

if TYPE_CHECKING:
    import polars as pl

_SLICE = 512
_SLICE_BYTES = 64_000_000
"""Stored bytes of a slice at most."""


def csv_items(source: Source, limits: Limits, progress: Progress | None = None) -> Iterator[Item]:
    """The rows below the header line."""
    start = head(source, 65536)
    first = start.split(b"\n", 1)[0]
    name = source.member or source.path.name
    semicolon = first.count(b";") > first.count(b",")
    delimiter = "\t" if ".tsv" in name.lower() else ";" if semicolon else ","
    csv.field_size_limit(limits.max_bytes)
    with source.open() as raw:
        text = io.TextIOWrapper(
            cast(io.BufferedReader, unpacked(raw)), encoding="utf-8-sig", newline=""
        )
        rows = csv.DictReader(text, delimiter=delimiter, restkey="_rest")
        line = 2
        try:
            for row in rows:
                yield Item(line, 0, dict(row))
                line = rows.line_num + 1
        except (csv.Error, UnicodeDecodeError) as error:
            yield Item(line, 0, Fault("not-csv", f"the rest is not read: {error}"))
        except (OSError, *DAMAGED) as error:
            yield Item(line, 0, fault_of(error))
        if progress is not None:
            progress(source.size)


def parquet_items(
    source: Source, limits: Limits, progress: Progress | None = None
) -> Iterator[Item]:
    """The rows of a Parquet or an Arrow file."""
    import polars as pl

    at = 0
    try:
        with _here(source) as place:
            table, step = _table(place)
            while True:
                rows = table.slice(at, step).collect().to_dicts()
                for number, row in enumerate(rows, start=at):
                    yield Item(number + 1, 0, plain(row), row=str(number))
                at += len(rows)
                if len(rows) < step:
                    break
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        said = " ".join(str(error).split())[:200]
        yield Item(at + 1, 0, Fault("broken-archive", f"not readable as a table: {said}"))
    if progress is not None:
        progress(source.size)


def _table(place: Path) -> tuple[pl.LazyFrame, int]:
    """A table to be read in slices, and rows of a slice: fewer where rows are large (images)."""
    import polars as pl

    with place.open("rb") as raw:
        start = raw.read(len(ARROW))
    if start == ARROW:
        table = pl.scan_ipc(place)
    elif start.startswith(ARROW_STREAM):
        table = pl.read_ipc_stream(place).lazy()
    else:
        table = pl.scan_parquet(place)
    rows = int(table.select(pl.len()).collect().item())
    fitting = _SLICE_BYTES * rows // max(place.stat().st_size, 1)
    return table, max(1, min(_SLICE, fitting))


@contextmanager
def _here(source: Source) -> Iterator[Path]:
    """The file itself, or a copy of a member or of a remote file."""
    if source.member is None and source.remote is None:
        yield source.path
        return
    with tempfile.TemporaryDirectory(prefix="misstep-") as folder:
        copy = Path(folder) / "table.parquet"
        with source.open() as raw, copy.open("wb") as out:
            shutil.copyfileobj(raw, out)
        yield copy


def plain(value: Any) -> Any:
    """A cell as JSON would give it; bytes stay. As deep as the schema of the table."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    return float(value) if isinstance(value, Decimal) else value
