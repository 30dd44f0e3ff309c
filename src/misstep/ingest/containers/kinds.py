"""Which kind a file is: by its first bytes, then by its name.

In: a name and the first decompressed bytes. Out: a `Kind`. A name alone never makes text JSON: a
`.log` may hold JSON lines, and JSON may stand behind a time stamp.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from misstep.ingest.format import Kind

SQLITE = b"SQLite format 3\x00"
PARQUET = b"PAR1"
ARROW = b"ARROW1"
ARROW_STREAM = b"\xff\xff\xff\xff"
"""How a table begins that `datasets` saved."""
BESIDE = ("-wal", "-shm", "-journal")
"""What an SQLite file keeps in files of their own beside it."""
_BY_SUFFIX: dict[str, Kind] = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".har": "json",
    ".traj": "json",
}
_PROSE = frozenset({".md", ".txt", ".log", ".history"})
_PACKED = frozenset({".gz", ".zst", ".zstd"})
_LOOKED_AT = 20


def kind_of(name: str, head: bytes) -> Kind:
    """The kind of the file `name` that begins with `head`."""
    if head.startswith(SQLITE):
        return "sqlite"
    if head.startswith((PARQUET, ARROW, ARROW_STREAM)):
        return "parquet"
    suffixes = [s.lower() for s in PurePosixPath(name).suffixes]
    while suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    known = _BY_SUFFIX.get(suffix)
    if known in ("json", "csv"):
        return known
    rows = [row for row in head.removeprefix(b"\xef\xbb\xbf").splitlines() if row.strip()]
    starts = [_opens(row.strip()) for row in rows[:_LOOKED_AT]]
    if starts[:1] == [True]:
        return "json"
    if known is not None:
        return known
    return "text" if suffix in _PROSE or True not in starts else "json"


def _opens(row: bytes) -> bool:
    """Whether a line can begin a JSON object, or a list of values rather than a `[tag]`."""
    if row[:1] == b"{":
        return True
    return row[:1] == b"[" and (row == b"[" or row[1:].lstrip()[:1] in b'{["]')
