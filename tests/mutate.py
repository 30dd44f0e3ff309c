"""Sample logs with something wrong in them: values swapped, keys lost, bytes flipped, ends cut off.

In: a sample folder and a source of chance. Out: a folder with the same files, one of them changed.
Shared by the tests and by `benchmarks/fuzz.py`.
"""

from __future__ import annotations

import gzip
import json
import random
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import zstandard

LINES = 12
"""Lines of a large line format that one case holds."""
ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**70,
    1e400,
    "",
    "{",
    '{"a": [1, {"b": null}]}',
    "\x00\ud83d".encode("utf-8", "ignore").decode(),
    "<tool_call>{",
    "attachment://x",
    [],
    {},
    [[]],
    ["x"],
    [None],
    {"": None},
    {"type": "text"},
    {"role": "assistant", "content": [{"type": "tool_use"}]},
    "x" * 5000,
)
BESIDE = ("make", "README", "expected.json", "tools.json")


def logs_of(sample: Path) -> list[Path]:
    """The log files of a sample, without what stands beside them."""
    return [
        path
        for path in sorted(sample.rglob("*"))
        if path.is_file() and not path.name.startswith(BESIDE) and "__pycache__" not in path.parts
    ]


def samples(logs: Path) -> list[str]:
    """The folders that hold sample logs."""
    return sorted(p.name for p in logs.iterdir() if p.is_dir() and p.name != "make" and logs_of(p))


def case(sample: Path, folder: Path, chance: random.Random) -> None:
    """Copy a sample to `folder` and change one of its files."""
    files = logs_of(sample)
    chosen = chance.choice(files)
    for path in files:
        to = folder / path.relative_to(sample)
        to.parent.mkdir(parents=True, exist_ok=True)
        if path == chosen:
            change(path, to, chance)
        elif path.stat().st_size < 200_000:
            shutil.copyfile(path, to)


def change(path: Path, to: Path, chance: random.Random) -> None:
    """Write a changed copy of a file."""
    data = path.read_bytes()
    if data.startswith(b"SQLite") and chance.random() < 0.8:
        to.write_bytes(data)
        with suppress(sqlite3.Error):
            _base(to, chance)
        return
    if data[:2] == b"\x1f\x8b" and chance.random() < 0.8:
        to.write_bytes(gzip.compress(_text(gzip.decompress(data), chance)))
    elif data[:4] == b"\x28\xb5\x2f\xfd" and chance.random() < 0.8:
        plain = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        to.write_bytes(zstandard.compress(_text(plain, chance)))
    elif data[:4] in (b"PAR1", b"PK\x03\x04", b"SQLi"):
        to.write_bytes(_bytes(data, chance))
    else:
        to.write_bytes(_text(data, chance))


def _text(data: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.25:
        return _bytes(data, chance)
    try:
        return _json(json.loads(data), chance)
    except ValueError:
        pass
    rows = data.splitlines(keepends=True)
    start = chance.randrange(max(1, len(rows) - LINES + 1))
    rows = rows[start : start + LINES] if len(data) > 100_000 else rows
    at = chance.randrange(len(rows)) if rows else 0
    try:
        rows[at] = _json(json.loads(rows[at]), chance) + b"\n"
    except (ValueError, IndexError):
        return _bytes(b"".join(rows), chance)
    if chance.random() < 0.2:
        chance.shuffle(rows)
    return b"".join(rows)


def _json(value: Any, chance: random.Random) -> bytes:
    for _ in range(chance.randint(1, 4)):
        value = _edit(value, chance)
    return json.dumps(value).encode()


def _edit(value: Any, chance: random.Random) -> Any:
    """One edit somewhere below, or here."""
    at = value
    while isinstance(at, (dict, list)) and at:
        key = chance.choice(list(at) if isinstance(at, dict) else range(len(at)))
        below = at[key]
        if isinstance(below, (dict, list)) and below and chance.random() < 0.85:
            at = below
            continue
        kind = chance.random()
        if kind < 0.2:
            del at[key]
        elif kind < 0.3 and isinstance(at, list):
            at.append(below)
        elif kind < 0.45 and isinstance(below, str):
            at[key] = _string(below, chance)
        else:
            at[key] = chance.choice(ODD)
        return value
    return chance.choice(ODD)


def _string(text: str, chance: random.Random) -> str:
    """JSON in a string is edited as JSON, other text is cut."""
    if text[:1] in ("{", "[") and chance.random() < 0.7:
        with suppress(ValueError):
            return _json(json.loads(text), chance).decode()
    return text[: chance.randrange(len(text) + 1)]


def _bytes(data: bytes, chance: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(made) + 1)
        kind = chance.random()
        if kind < 0.3:
            del made[at:]
        elif kind < 0.6:
            made[at : at + 1] = bytes([chance.randrange(256)])
        elif kind < 0.8:
            del made[at : at + chance.randrange(1, 200)]
        else:
            made[at:at] = chance.choice([b"\n", b"{", b"]", b"\xff\xfe", b"NaN", b'"', b"\x00"])
    return bytes(made)


def _base(path: Path, chance: random.Random) -> None:
    """One cell of a database changed."""
    with closing(sqlite3.connect(path)) as base, base:
        names = [n for (n,) in base.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        held = [n for n in names if base.execute(f'SELECT count(*) FROM "{n}"').fetchone()[0]]
        table = chance.choice(held)
        ids = [i for (i,) in base.execute(f'SELECT rowid FROM "{table}"')]
        columns = [row[1] for row in base.execute(f'PRAGMA table_info("{table}")')]
        row, column = chance.choice(ids), chance.choice(columns)
        query = f'SELECT "{column}" FROM "{table}" WHERE rowid = ?'
        (value,) = base.execute(query, (row,)).fetchone()
        odd = [None, 3, b"\xff", "{}", "x"]
        fresh = _string(value, chance) if isinstance(value, str) else chance.choice(odd)
        base.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (fresh, row))
