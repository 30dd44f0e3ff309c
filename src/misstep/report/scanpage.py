"""The failure page of a scan: one self-contained file, made with Jinja2.

In: a `ScanView`. Out: one HTML file under the same policy as report.html: it fetches nothing, runs
no script but its own, and every logged text is escaped. Without scripts everything is shown; only
the copy buttons and the keys are missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from misstep import store
from misstep.report import html, tables
from misstep.report.advice import advice_for
from misstep.report.failures import by_count, failure_parts, mapping, place_of
from misstep.report.view import Row, ScanView
from misstep.report.words import visible


def write_scan(view: ScanView, path: Path) -> None:
    """Write the failure page.

    Raises:
        StageError: the file cannot be written.
    """
    store.write_text(path, render(view))


def render(view: ScanView) -> str:
    """The page as text."""
    return html.fill("scan.html", "scan.js", run=view, **_parts(view))


def _parts(view: ScanView) -> Mapping[str, Any]:
    page, summary = view.page, view.summary
    steps = summary.get("steps", 0)
    unknown = mapping(page, "unknown")
    return {
        **failure_parts(page),
        "headline": tables.scan_headline(summary),
        "funnel": (
            ("files", summary.get("files", 0)),
            ("sessions", summary.get("sessions", 0)),
            ("steps", steps),
            ("judged", steps - summary.get("unjudged_steps", 0)),
            ("failed", summary.get("failed_steps", 0)),
        ),
        "reasons": tuple(_reasons(summary)),
        "unknown": tuple((visible(name), n) for name, n in unknown.items()),
        "unknown_more": page.get("unknown_total", 0) - len(unknown),
        "set_aside": tuple(_left(page.get("set_aside", ()))),
        "ignored": tuple(_left(page.get("ignored", ()))),
        "unjudged": summary.get("unjudged_steps", 0),
        "wants": sorted(mapping(summary, "not_judged").values(), key=lambda row: -row["count"]),
    }


def _reasons(summary: Row) -> Iterator[tuple[str, int, str]]:
    """(reason, steps, what to do), most steps first."""
    for reason, count in sorted(mapping(summary, "unjudged").items(), key=by_count):
        yield visible(reason), count, advice_for(reason)


def _left(rows: Sequence[Row]) -> Iterator[tuple[str, str, int, str]]:
    """(format, reason, count, an instance)."""
    for row in rows:
        said = ""
        if row.get("origin"):
            said = f"{place_of(row['origin'])}: {visible(str(row.get('said') or ''))}"
        yield visible(row["format"]), visible(row["reason"]), row["count"], said
