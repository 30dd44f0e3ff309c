"""The failure page of a scan: one self-contained file, made with Jinja2.

In: a `ScanView`. Out: one HTML file under the same policy as report.html: it fetches nothing, runs
no script but its own, and every logged text is escaped. Without scripts everything is shown; only
the copy buttons and the keys are missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from misstep import store
from misstep.report import html, tables
from misstep.report.advice import advice_for
from misstep.report.pairview import Block, Run
from misstep.report.rates import LEVELS, code_tables, over_time, rate_table
from misstep.report.view import Row, ScanView
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


def write_scan(view: ScanView, path: Path) -> None:
    """Write the failure page.

    Raises:
        ExtraMissing: Jinja2 is not installed.
        StageError: the file cannot be written.
    """
    store.write_text(path, render(view))


def render(view: ScanView) -> str:
    """The page as text."""
    return html.fill("scan.html", "scan.js", run=view, **_parts(view))


def _parts(view: ScanView) -> Mapping[str, Any]:
    page, summary = view.page, view.summary
    rank = {row["code"]: (_RANK[row["level"]], -row["k"]) for row in reversed(_graver(page))}
    found = sorted(_map(page, "examples").items(), key=lambda item: (rank[item[0]], item[0]))
    examples = {code: tuple(map(_example, rows)) for code, rows in found}
    steps = summary.get("steps", 0)
    return {
        "headline": tables.scan_headline(summary),
        "funnel": (
            ("files", summary.get("files", 0)),
            ("sessions", summary.get("sessions", 0)),
            ("steps", steps),
            ("judged", steps - summary.get("unjudged_steps", 0)),
            ("failed", summary.get("failed_steps", 0)),
        ),
        "codes": tuple(code_tables(page.get("codes", ()), _anchor(examples))),
        "tools": rate_table(page.get("tools", ()), "Tools", "calls"),
        "models": rate_table(page.get("models", ()), "Models", "steps"),
        "days": over_time(page.get("days", ()), page.get("months", ())),
        "sessions": tuple(map(_worst, page.get("sessions", ()))),
        "examples": examples,
        "meaning": tables.meaning,
        "anchor": _anchor(examples),
        "reasons": tuple(_reasons(summary)),
        "unknown": tuple((visible(name), n) for name, n in _map(page, "unknown").items()),
        "unknown_more": page.get("unknown_total", 0) - len(_map(page, "unknown")),
        "set_aside": tuple(_left(page.get("set_aside", ()))),
        "ignored": tuple(_left(page.get("ignored", ()))),
        "unjudged": summary.get("unjudged_steps", 0),
        "wants": sorted(_map(summary, "not_judged").values(), key=lambda row: -row["count"]),
    }


def _graver(page: Row) -> list[Row]:
    """Rows of codes, the gravest level of each code before its others."""
    return sorted(page.get("codes", ()), key=lambda row: _RANK[row["level"]])


def _map(page: Row, key: str) -> Mapping[str, Any]:
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
        place=_place(row["place"]),
        line=_provenance(row["place"], row["session"], None),
        steps=row["steps"],
        judged=row["judged"],
        failed=row["failed"],
        copies=row["copies"],
        share=row["share"],
        cells=tuple(_cells(strip)),
        width=14 * len(strip),
        codes=tuple((visible(c), n) for c, n in sorted(row["codes"].items(), key=_by_count)),
        said=", ".join(parts),
    )


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
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


def _place(place: Row) -> str:
    line = f":{place['line']}" if place.get("line") else ""
    return visible(f"{place.get('file') or '?'}{line}")


def _provenance(place: Row, session: str, step: int | None) -> str:
    inside = f" · {place['inside']}" if place.get("inside") else ""
    at = "" if step is None else f" · step {step}"
    format_ = f" · {place['format']}" if place.get("format") else ""
    return _place(place) + visible(f"{inside}{format_} · session {session}{at}")


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


def _reasons(summary: Row) -> Iterator[tuple[str, int, str]]:
    """(reason, steps, what to do), most steps first."""
    for reason, count in sorted(_map(summary, "unjudged").items(), key=_by_count):
        yield visible(reason), count, advice_for(reason)


def _left(rows: Sequence[Row]) -> Iterator[tuple[str, str, int, str]]:
    """(format, reason, count, an instance)."""
    for row in rows:
        said = ""
        if row.get("origin"):
            said = f"{_place(row['origin'])}: {visible(str(row.get('said') or ''))}"
        yield visible(row["format"]), visible(row["reason"]), row["count"], said
