"""Tables: CSV and Parquet. A record is one row, a dict by column.

Times become ISO text. Parquet is read in slices, CSV row by row, so that a large table needs no
large memory. The CSV delimiter is a tab for `.tsv`, else whichever of comma and semicolon the first
line holds more often.
"""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, cast

from misstep.ingest.decode import Fault
from misstep.ingest.item import Item
from misstep.ingest.lines import Limits, Progress, head, unpacked
from misstep.ingest.source import Source

_SLICE = 512


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
        except (csv.Error, UnicodeDecodeError, EOFError) as error:
            yield Item(line, 0, Fault("not-csv", f"the rest is not read: {error}"))
        if progress is not None:
            progress(source.path.stat().st_size)


def parquet_items(
    source: Source, limits: Limits, progress: Progress | None = None
) -> Iterator[Item]:
    """The rows of a Parquet file."""
    import polars as pl

    at = 0
    with source.open() as raw:
        place: Any = source.path if source.member is None else raw.read()
    try:
        while True:
            rows = pl.scan_parquet(place).slice(at, _SLICE).collect().to_dicts()
            for number, row in enumerate(rows, start=at):
                yield Item(number + 1, 0, plain(row), row=str(number))
            at += len(rows)
            if len(rows) < _SLICE:
                break
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        said = " ".join(str(error).split())[:200]
        yield Item(at + 1, 0, Fault("broken-archive", f"not readable as Parquet: {said}"))
    if progress is not None:
        progress(source.path.stat().st_size)


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
