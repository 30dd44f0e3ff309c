"""What became of loops, in one clause: what a run on pages is about, beside failures of any kind.

In: `scores.json`. Out: words for the headline; none where loops are not the lead of `effect`, that
is for all runs but those on pages in which an answer looped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from misstep.report.words import number

Row = Mapping[str, Any]


def loops_said(scores: Row) -> str:
    """`Loops fell from 106 to 8 of 364 pages`; empty where loops are not asked about first."""
    effect = scores.get("effect") or {}
    lead = str(effect.get("lead", ""))
    measure = next((row for row in effect.get("measures", ()) if row["metric"] == lead), None)
    if measure is None or not lead.startswith("degenerate"):
        return ""
    counts = {
        row["model"]: row
        for row in scores.get("degeneration", {}).get("scores", ())
        if (row["metric"], row["answers"]) == (lead, measure["answers"])
    }
    if not {scores["before"], scores["after"]} <= set(counts):
        return ""
    before, after = counts[scores["before"]], counts[scores["after"]]
    of = "pages" if measure["answers"] == "greedy" else "answers"
    was, now = (f"{number(row['k'])}" for row in (before, after))
    if before["n"] != after["n"]:
        was = f"{was} of {number(before['n'])}"
    now = f"{now} of {number(after['n'])} {of}"
    if before["value"] == after["value"]:
        return f"Loops did not change: {now}"
    if not _told(measure["change"], 1 - scores.get("confidence", 0.95)):
        return f"No change of loops can be told from chance, {was} → {now}"
    moved = "fell" if after["value"] < before["value"] else "rose"
    return f"Loops {moved} from {was} to {now}"


def _told(change: Row, level: float) -> bool:
    return bool(change["p"] < level and not change["low"] <= 0 <= change["high"])
