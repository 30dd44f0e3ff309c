"""Which format a file is of, and its records each under the format that reads it.

In: a `Found`. Out: a `Plan` (kind, format, or the wrapper whose entries are records of several
formats), or a `Fault`; then `Routed` items. Formats of one kin may stand in one file: there each
record goes to the format of that kin that is surest of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

import msgspec
from msgspec.structs import replace

from misstep.config import IngestConfig
from misstep.ingest import containers
from misstep.ingest.decode import Fault
from misstep.ingest.discover import Found
from misstep.ingest.format import Evidence, Format, Kind, Peek
from misstep.ingest.item import Item
from misstep.ingest.lines import Limits, Progress, head
from misstep.ingest.records import BLANK

SURE = 0.25
"""Below this, a file is of no known format."""
CERTAIN = 0.9
"""A record of which its file's format is this sure is not offered to the format's kin."""
_DOUBT = 0.2
"""By so much another format of the kin must be surer of a record than its file's format."""
_SNIFFED = 24
_LOOKED_AT = 400


class Wrapper(msgspec.Struct, frozen=True, kw_only=True):
    """A recording (HAR, a cassette) whose entries are records of other formats."""

    name: str
    about: str
    unit: str
    sniff: Callable[[Peek], float]
    unwrap: Callable[[Any], Iterator[tuple[str, Any]]]
    """Each entry of a record: its JSON pointer, and the record that stands in it; None for an entry
    that holds no record (other traffic)."""
    kin: str
    """Formats that the entries may be of."""
    evidence: Evidence = "writer"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How one file is read; neither format nor wrapper for JSON lines that are all broken."""

    kind: Kind
    format: Format | None = None
    wrapper: Wrapper | None = None

    @property
    def name(self) -> str | None:
        """Under what name the file itself is counted."""
        known = self.format or self.wrapper
        return None if known is None else known.name


class Routed(msgspec.Struct):
    """One item and the format that reads it; None where none does."""

    item: Item
    format: Format | None


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What can be recognised."""

    formats: Sequence[Format]
    wrappers: Sequence[Wrapper] = ()
    forced: bool = False
    """True where the user named the one format."""


def limits(config: IngestConfig) -> Limits:
    """How much of a file is read."""
    return Limits(
        max_bytes=config.max_record_bytes,
        max_depth=config.max_depth,
        max_file=config.max_file_bytes,
    )


def recognise(file: Found, known: Known, config: IngestConfig) -> Plan | Fault:
    """The plan for one file.

    Raises:
        OSError: it cannot be read.
        Damaged: it is a member that its archive does not give.
    """
    kind = containers.kind_of(file.label, head(file.source))
    if known.forced:
        only = known.formats[0]
        tables = kind in ("sqlite", "parquet", "csv")
        return Plan(kind=kind if tables or kind in only.kinds else "json", format=only)
    seen, peek = look(file, kind, config)
    sure, chosen = _surest(peek, known)
    if sure >= SURE:
        if isinstance(chosen, Wrapper):
            return Plan(kind=kind, wrapper=chosen)
        return Plan(kind=kind, format=chosen)
    mixed = _mixed(peek, known)
    if mixed is not None:
        return Plan(kind=kind, format=mixed)
    return _unknown(file, kind, seen, bool(peek.values))


def _mixed(peek: Peek, known: Known) -> Format | None:
    """The format to begin with where a file's records are of several formats of one kin."""
    alone = [replace(peek, values=(value,)) for value in peek.values]
    for kin in dict.fromkeys(one.kin for one in known.formats if one.kin is not None):
        formats = [one for one in known.formats if one.kin == kin]
        best = [max(one.sniff(record) for one in formats) for record in alone]
        if best and sum(best) / len(best) >= SURE:
            return max(formats, key=lambda one: one.sniff(peek))
    return None


def _surest(peek: Peek, known: Known) -> tuple[float, Format | Wrapper | None]:
    """The first that is as sure as any; nobody is asked once somebody is certain."""
    sure: float = 0.0
    chosen: Format | Wrapper | None = None
    for one in candidates(known):
        said = one.sniff(peek)
        if said > sure or chosen is None:
            sure, chosen = said, one
        if sure >= 1.0:
            break
    return sure, chosen


def candidates(known: Known) -> list[Format | Wrapper]:
    """All that a file may be; earlier ones win a tie."""
    return [*known.wrappers, *known.formats]


def _unknown(file: Found, kind: Kind, seen: Sequence[Item], decoded: bool) -> Plan | Fault:
    if kind == "json" and not decoded and _meant_as_json(file, seen):
        return Plan(kind=kind)
    last = seen[-1].value if seen else None
    if (
        not decoded
        and isinstance(last, Fault)
        and last.reason in ("broken-archive", "not-csv", "too-large")
    ):
        return last
    said = "none of the known formats; `misstep formats` lists them, --format forces one"
    return Fault("unknown-format", said if seen else "an empty file")


def look(file: Found, kind: Kind, config: IngestConfig) -> tuple[list[Item], Peek]:
    """The first items of a file, and what formats see of them."""
    seen: list[Item] = []
    values: list[Any] = []
    for item in islice(containers.records(file.source, kind, limits(config)), _LOOKED_AT):
        seen.append(item)
        if not isinstance(item.value, Fault):
            values.append(item.value)
        if len(values) == _SNIFFED:
            break
    tables = containers.tables(file.source, kind)
    name, here = file.label, file.here
    return seen, Peek(values=tuple(values), name=name, kind=kind, tables=tables, file=here)


def _meant_as_json(file: Found, seen: Sequence[Item]) -> bool:
    suffixes = {suffix.lower() for suffix in PurePosixPath(file.label).suffixes}
    broken = any(isinstance(i.value, Fault) and i.value is not BLANK for i in seen)
    return broken and bool(suffixes & {".jsonl", ".json", ".ndjson"})


def routed(
    file: Found, plan: Plan, known: Known, config: IngestConfig, progress: Progress | None = None
) -> Iterator[Routed]:
    """The items of a file, each with the format that reads it.

    Raises:
        OSError: it cannot be read.
        Damaged: it is a member that its archive does not give.
    """
    for item in containers.records(file.source, plan.kind, limits(config), progress):
        yield from route(item, plan, known, file.label)


def route(item: Item, plan: Plan, known: Known, name: str) -> Iterator[Routed]:
    """One record of a file under its format; the entries of a wrapper's record one by one."""
    if isinstance(item.value, Fault):
        yield Routed(item, plan.format)
    elif plan.wrapper is not None:
        yield from _unwrapped(item, plan.wrapper, known, name)
    elif plan.format is None or known.forced or _settled(item.value, plan.format):
        yield Routed(item, plan.format)
    else:
        yield Routed(item, _kin(item.value, plan.format, known, name))


def _settled(value: Any, usual: Format) -> bool:
    """Whether no other format needs to be asked."""
    return usual.kin is None or (usual.sure is not None and usual.sure(value))


def _kin(value: Any, usual: Format, known: Known, name: str) -> Format:
    peek = Peek(values=(value,), name=name)
    sure = usual.sniff(peek)
    if sure >= CERTAIN:
        return usual
    kin = [one for one in known.formats if one.kin == usual.kin]
    scores = [(one.sniff(peek), -rank) for rank, one in enumerate(kin)]
    best = max(scores, default=(0.0, 0))
    return kin[-best[1]] if best[0] > sure + _DOUBT else usual


OTHER = Fault("other-traffic", "an entry that holds no record of a known format")
"""Stands for an entry of a recording that is no model traffic; ignored by kind, not set aside."""


def _unwrapped(item: Item, wrapper: Wrapper, known: Known, name: str) -> Iterator[Routed]:
    kin = [one for one in known.formats if one.kin == wrapper.kin]
    for pointer, value in wrapper.unwrap(item.value):
        at = replace(item, value=value, pointer=f"{item.pointer or ''}{pointer}")
        peek = Peek(values=(value,), name=name)
        scores = [(one.sniff(peek), -rank) for rank, one in enumerate(kin)] if value else []
        best = max(scores, default=(0.0, 0))
        if best[0] >= SURE:
            yield Routed(at, kin[-best[1]])
        else:
            yield Routed(replace(at, value=OTHER), None)
