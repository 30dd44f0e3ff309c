"""The failure part that the report of a run and the page of a scan share, made ready to lay out.

In: rows of the failure page (`ScanView.page`). Out: tables of rates, sessions as strips of their
steps, examples with what was found marked; names and logged text spelled visibly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from misstep.report import tables
from misstep.report.pairview import Block, Run
from misstep.report.rates import LEVELS, code_tables, over_time, rate_table
from misstep.report.view import Row
from misstep.report.words import number, visible

_RANK = {level: at for at, level in enumerate(LEVELS)}
_TALL = {"p": 0.45, "f": 1.0, "s": 0.75, "u": 0.2}
"""Height of a cell, so that a strip can be read without its colours."""
_LOOKS = ("", "mark", "gap")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Neighbouring cells of a strip with one verdict."""

    at: int
    count: int
    letter: str
    tall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """One session with many failures."""

    place: str
    line: str
    """The provenance line to copy."""
    steps: int
    judged: int
    failed: int
    copies: int
    share: int
    cells: tuple[Cell, ...]
    width: int
    codes: tuple[tuple[str, int], ...]
    said: str
    """The strip in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One finding in its text."""

    level: str
    evidence: str
    facts: tuple[str, ...]
    blocks: tuple[Block, ...]
    line: str


def failure_parts(page: Row) -> Mapping[str, Any]:
    """What the shared template shows; every part is empty where the page has no rows for it."""
    rank = {row["code"]: (_RANK[row["level"]], -row["k"]) for row in reversed(_graver(page))}
    found = sorted(mapping(page, "examples").items(), key=lambda item: (rank[item[0]], item[0]))
    examples = {code: tuple(map(_example, rows)) for code, rows in found}
    anchor = _anchor(examples)
    return {
        "codes": tuple(code_tables(page.get("codes", ()), anchor)),
        "tools": rate_table(page.get("tools", ()), "Tools", "calls"),
        "models": rate_table(page.get("models", ()), "Models", "steps"),
        "days": over_time(page.get("days", ()), page.get("months", ())),
        "sessions": tuple(map(_worst, page.get("sessions", ()))),
        "examples": examples,
        "meaning": tables.meaning,
        "anchor": anchor,
    }


def _graver(page: Row) -> list[Row]:
    """Rows of codes, the gravest level of each code before its others."""
    return sorted(page.get("codes", ()), key=lambda row: _RANK[row["level"]])


def mapping(page: Row, key: str) -> Mapping[str, Any]:
    """One of the page's tables by name; empty where it has none."""
    found: Mapping[str, Any] = page.get(key, {})
    return found


def _anchor(examples: Mapping[str, Any]) -> Mapping[str, str]:
    """Ids of ours for codes, which may be anybody's words."""
    return {code: f"example-{at}" for at, code in enumerate(examples, start=1)}


def _worst(row: Row) -> Worst:
    strip = row["strip"]
    parts = [f"{number(row['failed'])} of {number(row['steps'])} steps failed"]
    if row["steps"] > row["judged"]:
        parts.append(f"{number(row['steps'] - row['judged'])} were not judged")
    return Worst(
        place=place_of(row["place"]),
        line=_provenance(row["place"], row["session"], None),
        steps=row["steps"],
        judged=row["judged"],
        failed=row["failed"],
        copies=row["copies"],
        share=row["share"],
        cells=tuple(_cells(strip)),
        width=14 * len(strip),
        codes=tuple((visible(c), n) for c, n in sorted(row["codes"].items(), key=by_count)),
        said=", ".join(parts),
    )


def by_count(item: tuple[str, int]) -> tuple[int, str]:
    """Order by count, the largest first."""
    return -item[1], item[0]


def _cells(strip: str) -> Iterator[Cell]:
    """Each cell for itself; in a long strip neighbours that look the same become one."""
    merge = len(strip) > 120
    at = 0
    while at < len(strip):
        count = 1
        while merge and strip[at : at + count + 1] == strip[at] * (count + 1):
            count += 1
        yield Cell(at=at, count=count, letter=strip[at], tall=_TALL.get(strip[at], 0.2))
        at += count


def place_of(place: Row) -> str:
    """`file:line` of a place."""
    line = f":{place['line']}" if place.get("line") else ""
    return visible(f"{place.get('file') or '?'}{line}")


def _provenance(place: Row, session: str, step: int | None) -> str:
    inside = f" · {place['inside']}" if place.get("inside") else ""
    at = "" if step is None else f" · step {step}"
    format_ = f" · {place['format']}" if place.get("format") else ""
    return place_of(place) + visible(f"{inside}{format_} · session {session}{at}")


def _example(row: Row) -> Example:
    facts = [f"in {row['channel']}" if row["channel"] != "transcript" else "in what came back"]
    if row.get("where"):
        facts.append(f"at {row['where']}")
    facts.extend(str(tag) for tag in row.get("tags", ()))
    if row.get("model"):
        facts.append(f"by {row['model']}")
    return Example(
        level=row["level"] if row["level"] in LEVELS else "info",
        evidence=visible(str(row["evidence"])),
        facts=tuple(map(visible, facts)),
        blocks=tuple(map(_block, row["blocks"])),
        line=_provenance(row["place"], row["session"], row["step"]),
    )


def _block(row: Row) -> Block:
    made = (Run(visible(text), look if look in _LOOKS else "") for text, look in row["runs"])
    named = bool(row.get("named"))
    return Block(kind=row["kind"], title=visible(row["title"]), runs=tuple(made), named=named)
