"""Rates of the failure page: by code and level, by tool and model, over time.

In: plain rows with k, n, value, low, high. Out: frozen lines and tables with the scale that they
are drawn on; names are spelled visibly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from misstep.report import charts, tables
from misstep.report.view import Row
from misstep.report.words import visible

MAX_ROWS = 12
"""Rows of a table of tools or models at first sight; more are folded."""
MAX_FOLDED = 200
MAX_DAYS = 62
"""Days from the first to the last on the chart; a longer time is shown by month."""
MAX_LISTED = 366
_ENOUGH = 5
"""Steps from which on a period's interval may widen the chart's scale."""
LEVELS: Mapping[str, tuple[str, str]] = {
    "defect": ("Defects", "The model did it, and it fails the step. Only these can be trained on."),
    "suspect": ("Suspects", "Likely wrong but not proven. They never fail a step."),
    "info": (
        "Notes",
        "Not the model's doing (tools, network, people), or the consequence of another finding.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One rate of a table."""

    name: str
    meaning: str
    value: float
    low: float
    high: float
    k: int
    n: int
    whole: int
    """All of the name's steps or calls, judged or not."""
    target: str = ""
    """Where in the page an example stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rates on one scale."""

    level: str
    title: str
    about: str
    lines: tuple[Line, ...]
    axis: charts.Axis
    folded: tuple[Line, ...] = ()
    more: int = 0
    """Rows left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Rates over time."""

    unit: str
    """`day` or `month`."""
    points: tuple[tuple[Line, float], ...]
    """Periods with their place in percent of the width; fewer than four need no chart."""
    wide: float
    """Width of one period in percent."""
    axis: charts.Axis
    most: int
    """Steps of the busiest period."""
    lines: tuple[Line, ...]
    """Every day."""
    undated: int
    left_out: int


def _line(name: str, row: Row, meaning: str = "", target: str = "") -> Line:
    figures = {key: row[key] for key in ("value", "low", "high", "k", "n")}
    whole = row.get("all", row["n"])
    return Line(name=visible(name), meaning=meaning, target=target, whole=whole, **figures)


def code_tables(rows: Sequence[Row], anchors: Mapping[str, str]) -> Iterator[Table]:
    """A table a level; `anchors` leads from a code to its example."""
    for level, (title, about) in LEVELS.items():
        found = [row for row in rows if row["level"] == level]
        found.sort(key=lambda row: (-row["k"], row["code"]))
        lines = tuple(
            _line(r["code"], r, tables.meaning(r["code"]), anchors.get(r["code"], ""))
            for r in found
        )
        if lines:
            axis = charts.scale(line.high for line in lines)
            yield Table(level=level, title=title, about=about, lines=lines, axis=axis)


def rate_table(rows: Sequence[Row], title: str, unit: str) -> Table:
    """Names by how many failed; those of which nothing could be judged are counted as left out."""
    ordered = sorted(rows, key=lambda r: (not r["name"], -r["k"], -r["n"], -r["all"], r["name"]))
    seen = [row for row in ordered if row["n"]][: MAX_ROWS + MAX_FOLDED]
    lines = tuple(_line(row["name"] or "not logged", row) for row in seen)
    return Table(
        level="",
        title=title,
        about=unit,
        lines=lines[:MAX_ROWS],
        folded=lines[MAX_ROWS:],
        axis=charts.scale(line.high for line in lines),
        more=len(rows) - len(lines),
    )


def over_time(rows: Sequence[Row], months: Sequence[Row]) -> Days | None:
    """Days in their order, or months where the time is long; None where nothing is dated."""
    dated = sorted((row for row in rows if row["name"] and row["n"]), key=_name)
    if not dated:
        return None
    first, last = (date.fromisoformat(dated[at]["name"]) for at in (0, -1))
    long = (last - first).days >= MAX_DAYS
    shown = sorted((row for row in months if row["n"]), key=_name) if long else dated
    start, end = (_number(shown[at]["name"]) for at in (0, -1))
    wide = 100 / (end - start + 1)
    points = tuple(
        (_line(r["name"], r), round(wide * (_number(r["name"]) - start + 0.5), 2)) for r in shown
    )
    return Days(
        unit="month" if long else "day",
        points=points,
        wide=round(wide, 3),
        axis=charts.scale(line.high if line.n >= _ENOUGH else line.value for line, _ in points),
        most=max(line.n for line, _ in points),
        lines=tuple(_line(row["name"], row) for row in dated[-MAX_LISTED:]),
        undated=sum(row["all"] for row in rows if not row["name"]),
        left_out=max(0, len(dated) - MAX_LISTED),
    )


def _name(row: Row) -> str:
    return str(row["name"])


def _number(period: str) -> int:
    """A day or a month, counted."""
    if len(period) > len("2025-03"):
        return date.fromisoformat(period).toordinal()
    year, _, month = period.partition("-")
    return 12 * int(year) + int(month)
