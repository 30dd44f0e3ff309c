"""What a log format must provide, and the books in which its reader accounts for every record.

A `Format` is a name, a sentence for the user, the unit that it counts in, a `sniff` over the first
records of a file, and a `reader`. A reader takes all records that belong together, from one file
or several, in the order of the files and of the records in them, so that it can join what stands
apart. For each record that it is given, a reader tells the `Tally` exactly once what became of it:
used, ignored by kind, or set aside with a reason; a record that holds several units of the format
(the spans of an export, the entries of an archive) is first unfolded. It may do so at once, at the
end of the file (`close_file`) or at the end (`finish`). It never raises on the content of a record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from misstep.types import Origin, Session, SetAside

Kind = Literal["json", "text", "yaml", "csv", "parquet", "sqlite"]
"""How a file is laid out, known from its bytes first and from its name second.

`json`: JSON lines, one document, or a list of records. `text`: a record is one line, a str.
`yaml`: a record is one document. `csv`, `parquet`: a record is one row, a dict by column.
`sqlite`: a record is `{"table": name, "row": {column: value}}`, table by table.
"""

Evidence = Literal["writer", "files", "documentation"]
"""What proves a reader: logs made by the real writer, real files of others, or documents only."""


class Record(msgspec.Struct, kw_only=True):
    """One decoded record of a log file."""

    value: Any
    """What JSON decoding gave: an object, but also a bare string, number or list; see `Kind`."""
    origin: Origin
    file: Path | None = None
    """The file here that it stands in; None in an archive or behind a URL."""

    def at(self, pointer: str, row: str | None = None) -> Origin:
        """The origin of something inside this record."""
        here = self.origin
        return Origin(
            file=here.file,
            format=here.format,
            line=here.line,
            offset=here.offset,
            member=here.member,
            row=row if row is not None else here.row,
            pointer=pointer or None,
        )


class Peek(msgspec.Struct, frozen=True, kw_only=True):
    """What a format sees of a file before it says whether the file is its own."""

    values: tuple[Any, ...]
    """The first decoded records (at most 24)."""
    name: str = ""
    """The file's name as origins give it, with slashes; a member of an archive behind a `!`."""
    kind: Kind = "json"
    tables: Mapping[str, Sequence[str]] = msgspec.field(default_factory=dict)
    """Columns by table, for `sqlite`."""
    file: Path | None = None
    """The file itself, for a format that asks what stands beside it; as in `Record`."""


class Tally(msgspec.Struct):
    """The books of one format: records = used + ignored + set aside."""

    used: int = 0
    ignored: Counter[str] = msgspec.field(default_factory=Counter)
    set_aside: list[SetAside] = msgspec.field(default_factory=list)
    unfolded: int = 0
    """Units beyond the one that each record counts for by itself."""

    def use(self, count: int = 1) -> None:
        """Units that went into sessions."""
        self.used += count

    def ignore(self, kind: str, count: int = 1) -> None:
        """Units of the format's own bookkeeping."""
        self.ignored[kind] += count

    def aside(self, origin: Origin, reason: str, said: str) -> None:
        """One unit that cannot be used, with a reason code and one sentence."""
        self.set_aside.append(SetAside(origin=origin, reason=reason, said=said))

    def unfold(self, count: int) -> None:
        """A record that holds `count` units (at least 1); each must now be accounted for."""
        self.unfolded += count - 1


class Reader(Protocol):
    """Reads records that belong together."""

    def read(self, record: Record) -> None:
        """Take one record."""

    def close_file(self) -> None:
        """The file ends here."""

    def finish(self) -> Sequence[Session]:
        """All records are in: the sessions, in the order of their first record."""


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """One log format."""

    name: str
    about: str
    """One sentence for `misstep formats`: what it is and what it cannot tell."""
    unit: str
    """What one record is: `line`, `row`, `span`, `entry`, `member` …"""
    sniff: Callable[[Peek], float]
    """How sure the format is, in [0, 1], that a file is its own."""
    reader: Callable[[Tally], Reader]
    keeps_tools: bool
    """True where a request without tools in the log offered none; False where the log is silent."""
    evidence: Evidence = "writer"
    joins: Callable[[Any, str], Iterable[str]] | None = None
    """What a record shares with the records that belong with it, from its value and its file's
    name: records with a common key are read by one reader, from whatever files. A record without
    a key goes with the one before it. None: each file stands alone."""
    kinds: tuple[Kind, ...] = ("json",)
    """Kinds of file that it reads; with `--format`, a file of another kind is read as JSON."""
    kin: str | None = None
    """Formats of one kin may stand in one file, record by record."""
    skim: Callable[[], Callable[[bytes], Iterable[str] | None]] | None = None
    """Makes what finds the keys of a line faster than by decoding it and asking `joins`; None from
    it where it cannot tell."""
    deeper: Callable[[Any, int], list[str] | None] | None = None
    """For groups that are too large: keys of a record by as many messages more behind its first;
    None where it cannot tell."""
    decoder: Callable[[int], Callable[[bytes], Any]] | None = None
    """Makes, for a deepest nesting, a decoder of lines that gives what plain decoding gives but
    does not work through again what it has seen; None from it leaves a line to plain decoding."""
    sure: Callable[[Any], bool] | None = None
    """A quick test of one record; true only where `sniff` is certain of it, often enough."""


def alone(value: Any, name: str) -> Iterable[str]:
    """`joins` of a format whose records have nothing to do with each other."""
    return ()


def share(peek: Peek, weigh: Callable[[dict[str, Any]], float]) -> float:
    """The mean of `weigh` over the first records; a value that is no object weighs nothing."""
    if not peek.values:
        return 0.0
    return sum(weigh(v) for v in peek.values if isinstance(v, dict)) / len(peek.values)


class Misfit(Exception):
    """A record that fits no message shape; caught by the reader that raised it, never passed on."""

    def __init__(self, pointer: str, said: str, reason: str = "bad-message") -> None:
        super().__init__(said)
        self.pointer = pointer
        self.said = said
        self.reason = reason
