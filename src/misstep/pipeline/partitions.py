"""Sessions and findings as partitioned Parquet, each part written by the worker that read it.

In: a folder or a URL, and what a unit of work came to. Out: `sessions/part-N.parquet`,
`findings/part-N.parquet`, and at the very end `set_aside.jsonl` and `summary.json`, which says that
all is there. A part has the name of its unit, so that a unit that is read twice writes once. A
conversation that stands in the logs several times is taken out of all parts but one.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import orjson

from misstep import store
from misstep.errors import InputError, StageError
from misstep.ingest import filesystem, shown, url_of
from misstep.pipeline.rows import finding_row
from misstep.redact import clean
from misstep.types import Session, content_id
from misstep.validate import Judged

TABLES = ("sessions", "findings")
DONE = "summary.json"
_ASIDE = "set_aside.jsonl"
_PART = re.compile(rf"({'|'.join(TABLES)})/part-\d{{6,}}\.parquet")
_NAMES = ("format", "parent", "kind", "role", "actor", "source", "cause")
"""Keys of a session whose values are no text of the logs."""


class Amend(msgspec.Struct):
    """Sessions of a part that stand elsewhere as well."""

    number: int
    copies: dict[str, int]
    """By id: how often the session stands in the logs; 0 where another part has it."""


class Destination:
    """A folder here or behind a URL."""

    def __init__(self, place: str) -> None:
        url = url_of(Path(place))
        self._place = place
        self._files: Any = None
        self._root = place
        if url is not None:
            self._files, self._root = filesystem(url)

    def write(self, name: str, data: bytes) -> None:
        """All or nothing."""
        path = f"{self._root.rstrip('/')}/{name}"
        if self._files is None:
            store.write_pieces(Path(path), [data])
        else:
            self._files.pipe_file(path, data)

    def read(self, name: str) -> bytes:
        """What was written."""
        path = f"{self._root.rstrip('/')}/{name}"
        data = Path(path).read_bytes() if self._files is None else self._files.cat_file(path)
        return bytes(data)

    def names(self) -> list[str]:
        """All files, by their paths below."""
        root = self._root.rstrip("/")
        if self._files is None:
            below = Path(root).rglob("*")
            return [p.relative_to(root).as_posix() for p in below if p.is_file()]
        try:
            return [name[len(root) + 1 :] for name in self._files.find(root)]
        except FileNotFoundError:
            return []

    def remove(self, name: str) -> None:
        """Take one file away."""
        path = f"{self._root.rstrip('/')}/{name}"
        if self._files is None:
            Path(path).unlink()
        else:
            self._files.rm_file(path)

    def begin(self) -> None:
        """Clear away what an earlier scan left here.

        Raises:
            InputError: something else stands here; nothing was taken away then.
        """
        names = sorted(self.names(), key=lambda name: name != DONE)  # first it: now not complete
        foreign = next((name for name in names if not _is_ours(name)), None)
        if foreign is not None:
            raise InputError(
                f"{shown(self._place)}: holds {foreign}, which no scan wrote there; give an empty "
                f"folder to --parquet"
            )
        if names and not (DONE in names and _is_summary(self.read(DONE))):
            raise InputError(
                f"{shown(self._place)}: holds {names[0]} and no {DONE} of a finished scan, so it "
                f"may be another's; remove what is there, or give an empty folder to --parquet"
            )
        for name in names:
            self.remove(name)


def _is_ours(name: str) -> bool:
    return _PART.fullmatch(name) is not None or name in (DONE, _ASIDE)


def _is_summary(data: bytes) -> bool:
    """Whether a file is what a scan says at its end."""
    try:
        store.check_row(orjson.loads(data), "summary")
    except (orjson.JSONDecodeError, StageError):
        return False
    return True


class Tables:
    """The rows of one unit."""

    def __init__(self, *, redact: bool) -> None:
        """`redact`: whether secrets and people are taken out of sessions, as out of pairs."""
        self._redact = redact
        self._sessions: dict[str, dict[str, Any]] = {}
        self._findings: list[dict[str, Any]] = []

    def add(self, session: Session, judged: Judged) -> None:
        """Take in one session."""
        known = self._sessions.get(session.id)
        if known is not None:
            known["copies"] += session.copies
            return
        self._sessions[session.id] = {
            "id": session.id,
            "format": session.format,
            "family": _family(session.family) if self._redact else session.family,
            "parent": session.parent,
            "copies": session.copies,
            "steps": len(judged.verdicts),
            "failed": sum(verdict.state == "fail" for verdict in judged.verdicts),
            "session": _text(session, redact=self._redact),
        }
        for finding in judged.findings:
            row = finding_row(finding, session)
            origin, loop = row.pop("origin"), row.pop("loop")
            row |= {"file": origin["file"], "line": origin["line"], "format": origin["format"]}
            self._findings.append({**row, "loop": None if loop is None else orjson.dumps(loop)})

    def write(self, place: str, number: int) -> None:
        """Write both tables."""
        to = Destination(place)
        to.write(_name("sessions", number), _table([*self._sessions.values()], _SESSIONS))
        to.write(_name("findings", number), _table(self._findings, _FINDINGS))


def _text(session: Session, *, redact: bool) -> str:
    """A session as JSON."""
    if not redact:
        return store.encode(session).decode()
    from misstep import mine  # a scan does without it

    clean = mine.Redactor()
    clean.begin(session)
    told = msgspec.to_builtins(replace(session, family=_family(session.family)))
    return store.encode(_cleaned(told, clean)).decode()


def _family(name: str) -> str:
    """The name of a family, by which rows are joined; a digest of one that would be redacted."""
    return name if clean(name) == name else content_id(name)


def _cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {k: v if k in _NAMES else _cleaned(v, clean) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cleaned(each, clean) for each in value]
    return value


_SESSIONS = {
    **dict.fromkeys(("id", "format", "family", "parent"), "text"),
    **dict.fromkeys(("copies", "steps", "failed"), "number"),
    "session": "text",
}
_FINDINGS = {
    "session": "text",
    **dict.fromkeys(("step", "call"), "number"),
    **dict.fromkeys(("code", "level", "channel", "where"), "text"),
    "span": "numbers",
    "evidence": "text",
    "tags": "texts",
    "cause": "text",
    "file": "text",
    "line": "number",
    "format": "text",
    "loop": "bytes",
}


def _name(table: str, number: int) -> str:
    return f"{table}/part-{number:06}.parquet"


def _table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> bytes:
    out = io.BytesIO()
    store.frame_of(rows, columns).write_parquet(out)
    return out.getvalue()


def amend(place: str, piece: Amend) -> None:
    """Take sessions out of a part, or correct how often they stand in the logs."""
    import polars

    to = Destination(place)
    gone = [name for name, copies in piece.copies.items() if not copies]
    for table, column in (("sessions", "id"), ("findings", "session")):
        name = _name(table, piece.number)
        frame = polars.read_parquet(io.BytesIO(to.read(name)))
        frame = frame.filter(~polars.col(column).is_in(gone))
        if table == "sessions":
            known = polars.col("id").replace_strict(
                piece.copies, default=polars.col("copies"), return_dtype=polars.Int64
            )
            frame = frame.with_columns(copies=known)
        out = io.BytesIO()
        frame.write_parquet(out)
        to.write(name, out.getvalue())


def tidy(place: str, parts: set[int]) -> None:
    """Once all units are read: take away what a lost worker left behind, and empty parts."""
    to = Destination(place)
    kept = {_name(table, number) for table in TABLES for number in parts}
    for name in to.names():
        if name not in kept and _is_ours(name):
            to.remove(name)
