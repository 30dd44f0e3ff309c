"""Log files written for a test and read back; shared by the tests of the ingest room."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from misstep.config import IngestConfig
from misstep.ingest import Ingested, ingest
from misstep.types import Session


def lines(*values: Any) -> bytes:
    """One JSON value a line; bytes stand for themselves."""
    return b"".join(v if isinstance(v, bytes) else json.dumps(v).encode() + b"\n" for v in values)


def read(folder: Path, files: dict[str, bytes], **config: Any) -> Ingested:
    """The files, written to a folder and read; the books must balance."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    got = ingest([folder], config=IngestConfig(**config))
    balances(got)
    return got


def read_one(folder: Path, *values: Any, **config: Any) -> Ingested:
    """The values as one file of JSON lines, read."""
    return read(folder, {"log.jsonl": lines(*values)}, **config)


def balances(got: Ingested) -> None:
    """records = used + ignored + set aside, per format and in all."""
    counts = got.counts
    for name, book in counts.formats.items():
        assert book.records == book.used + book.ignored + book.set_aside, name
    for total in ("records", "used", "files"):
        assert getattr(counts, total) == sum(getattr(f, total) for f in counts.formats.values())
    assert sum(counts.ignored.values()) == sum(f.ignored for f in counts.formats.values())
    assert sum(counts.set_aside.values()) == len(got.set_aside)
    assert sum(f.sessions for f in counts.formats.values()) == len(got.sessions)


def shape(session: Session) -> list[str]:
    """One word a message: its role, its text, its calls and results."""
    return [
        " ".join(
            [
                message.role,
                *([repr(message.text)] if message.text else []),
                *(f"{call.name}({call.arguments})" for call in message.calls),
                *(f"->{result.text!r}" for result in message.results),
            ]
        )
        for message in session.messages
    ]


def reasons(got: Ingested) -> list[tuple[int | None, str]]:
    """Line and reason of all that was set aside."""
    return [(entry.origin.line, entry.reason) for entry in got.set_aside]


def steps(sessions: Iterable[Session]) -> int:
    """All steps, each counted once."""
    return sum(len(list(session.steps)) for session in sessions)
