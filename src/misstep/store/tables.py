"""Tables: Parquet in and out, a few thousand rows in memory at a time.

In: plain rows. Out: files that are complete or absent. A table's schema is that of all its rows
together: the rows go to parts with schemas of their own first, and the parts into one file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from misstep.errors import InputError
from misstep.store.files import expect, replacing, telling

if TYPE_CHECKING:
    import polars

_GROUP, _BATCH = 2048, 4_000_000
"""Rows of a row group; characters of rows that are held before they are written."""


def write_rows(
    path: Path, rows: Iterable[Mapping[str, Any]], *, columns: Sequence[str] = ()
) -> int:
    """Write rows to Parquet as they come, all or nothing; gives their number.

    Members that a row lacks are null. `columns` names the text columns of an empty table.
    """
    import polars

    with telling(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".part-") as name:
            parts: list[Path] = []
            schema: dict[str, Any] = {}
            count = 0
            for batch in _batches(rows):
                frame = polars.DataFrame([dict(row) for row in batch], infer_schema_length=None)
                parts.append(Path(name) / f"{len(parts)}.parquet")
                with parts[-1].open("wb") as file:
                    _sink(frame.lazy(), file)
                schema = _joined(schema, dict(frame.schema))
                count += len(batch)
            empty = polars.DataFrame(schema=schema or dict.fromkeys(columns, polars.String))
            frames = (polars.read_parquet(part, memory_map=False) for part in parts)
            with replacing(path) as temporary, temporary.open("wb") as file:
                _sink(_stream((_widened(frame, schema) for frame in frames), empty), file)
    return count


def stream_rows(path: Path, rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> int:
    """Write rows with known columns to Parquet as they come, all or nothing; gives their number.

    Args:
        columns: name and kind of each: `text`, `bytes`, `number`, `texts`, `numbers`.
    """
    import polars

    schema = _schema(columns)
    count = 0

    def frames() -> Iterator[polars.DataFrame]:
        nonlocal count
        for batch in _batches(rows):
            count += len(batch)
            yield polars.DataFrame(batch, schema=schema)

    with replacing(path) as temporary, temporary.open("wb") as file:
        _sink(_stream(frames(), polars.DataFrame(schema=schema)), file)
    return count


def frame_of(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> polars.DataFrame:
    """A table of rows with known columns, as `stream_rows` names them."""
    import polars

    return polars.DataFrame([dict(row) for row in rows], schema=_schema(columns))


def _schema(columns: Mapping[str, str]) -> dict[str, Any]:
    import polars

    kinds: dict[str, Any] = {
        "text": polars.String,
        "bytes": polars.Binary,
        "number": polars.Int64,
        "texts": polars.List(polars.String),
        "numbers": polars.List(polars.Int64),
    }
    return {name: kinds[kind] for name, kind in columns.items()}


def _stream(frames: Iterator[polars.DataFrame], empty: polars.DataFrame) -> polars.LazyFrame:
    """Frames of one schema as one table that is never whole in memory."""
    from polars.io.plugins import register_io_source

    return register_io_source(lambda *_: frames, schema=empty.schema)


def _sink(table: polars.LazyFrame, file: BinaryIO) -> None:
    import polars

    out: Any = _Out(file)
    try:
        table.sink_parquet(out, row_group_size=_GROUP)
    except polars.exceptions.PolarsError:
        if out.fault is not None:
            raise out.fault from None
        raise


class _Out:
    """A file that remembers why it could not be written: polars says it in words only."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.fault: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.fault = error
            raise

    def flush(self) -> None:
        self._file.flush()

    def tell(self) -> int:
        return self._file.tell()


def _batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    batch: list[Mapping[str, Any]] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += _characters(row)
        if len(batch) >= _GROUP or size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _characters(value: Any) -> int:
    """Roughly, of all texts in a value."""
    kind = type(value)  # rows are plain values, and there are many
    if kind is str or kind is bytes:
        return len(value)
    if kind is dict:
        return sum(map(_characters, value.values()))
    return sum(map(_characters, value)) if kind is list or kind is tuple else 8


def _joined(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of both."""
    found = dict(left)
    for name, kind in right.items():
        found[name] = _wider(found[name], kind) if name in found else kind
    return found


def _wider(left: Any, right: Any) -> Any:
    """The type that holds values of both."""
    import polars

    if left == right or right == polars.Null:
        return left
    if left == polars.Null:
        return right
    if isinstance(left, polars.List) and isinstance(right, polars.List):
        return polars.List(_wider(left.inner, right.inner))
    if isinstance(left, polars.Struct) and isinstance(right, polars.Struct):
        both = (({f.name: f.dtype for f in kind.fields}) for kind in (left, right))
        return polars.Struct(_joined(*both))
    numbers = left.is_numeric() and right.is_numeric()
    return polars.Float64() if numbers else polars.String()


def _widened(frame: polars.DataFrame, schema: Mapping[str, Any]) -> polars.DataFrame:
    import polars

    missing = [polars.lit(None).alias(name) for name in schema if name not in frame.columns]
    kinds: dict[Any, Any] = dict(schema)
    return frame.with_columns(missing).select(list(schema)).cast(kinds)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Name the Parquet file that polars cannot read, and what to do about it.

    Raises:
        InputError: the file is absent, cut off or damaged.
    """
    from polars.exceptions import PanicException, PolarsError

    expect(path)
    try:
        yield
    except (PolarsError, PanicException) as error:
        why = (str(error).strip().splitlines() or [""])[0][:200]
        raise InputError(
            f"{path}: no whole Parquet file ({why}); it was cut off or damaged: copy it again, or "
            f"remove it and run the command that made it"
        ) from None


def columns_of(path: Path) -> list[str]:
    """Names of the columns of a Parquet file.

    Raises:
        InputError: the file is absent, cut off or damaged.
    """
    import polars

    with reading(path):
        return polars.scan_parquet(path).collect_schema().names()


def read_stream(path: Path, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """The values of these columns, row by row; few rows are in memory at a time.

    Raises:
        InputError: the file is absent, cut off or damaged, or holds no such column.
    """
    import polars

    with reading(path):
        table = polars.scan_parquet(path)
        total = int(table.select(polars.len()).collect().item())
        missing = set(columns) - set(table.collect_schema().names())
    if total and missing:
        raise InputError(
            f"{path}: no column {sorted(missing)[0]}; another version of misstep wrote it, mine "
            f"the logs again"
        )
    for start in range(0, total, _GROUP):
        with reading(path):
            rows = table.select(columns).slice(start, _GROUP).collect()
        yield from rows.iter_rows()


def read_slice(path: Path, start: int, count: int) -> list[dict[str, Any]]:
    """Some rows of a Parquet file.

    Raises:
        InputError: the file is absent, cut off or damaged.
    """
    import polars

    with reading(path):
        return polars.scan_parquet(path).slice(start, count).collect().to_dicts()


def find_row(path: Path, column: str, value: str) -> dict[str, Any] | None:
    """The first row of a Parquet file with this text in a column; None where there is none.

    Raises:
        InputError: the file is absent, cut off or damaged.
    """
    import polars

    with reading(path):
        found = polars.scan_parquet(path).filter(polars.col(column) == value).head(1).collect()
    return found.to_dicts()[0] if len(found) else None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a Parquet file.

    Raises:
        InputError: the file is absent, cut off or damaged.
    """
    import polars

    with reading(path):
        return polars.read_parquet(path, memory_map=False).to_dicts()
