"""Sessions that were forgotten: the note in a run folder, and a scan's figures without them.

In: a run folder, sessions that leave. Out: `forgotten.json`, by session id and count only, which a
later scan of the same logs respects; the summary of a scan without those sessions.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from misstep import store
from misstep.pipeline.tally import LEVELS, Tally

FILE = "forgotten.json"
Rows = dict[str, dict[str, int]]
"""By session id: rows that left, by what they were in."""


def forgotten(folder: Path) -> Rows:
    """What has been forgotten in a folder."""
    path = folder / FILE
    if not path.exists():
        return {}
    noted: Rows = store.read_json(path)["sessions"]
    return noted


def key_without(key: str, gone: Iterable[str]) -> str:
    """The key of a scan that leaves sessions out."""
    names = sorted(gone)
    return store.key_of("without", key, names) if names else key


def summary_without(
    summary: Mapping[str, Any], gone: Iterable[tuple[str, Tally]]
) -> dict[str, Any]:
    """The figures of a scan without some sessions, given the format and the tally of each.

    Files, bytes and records are those of the logs and stay; so do counts of what could not be
    judged for want of information, which belong to no step.
    """
    made = copy.deepcopy(dict(summary))
    for name, tally in gone:
        made["sessions"] -= 1
        _less(made, tally)
        row = made["formats"].get(name)
        if row is not None:
            row["sessions"] -= 1
            _less(row, tally)
        for reason, count in tally.unjudged.items():
            _take(made["unjudged"], reason, count)
        for code, levels in tally.codes.items():
            if code in made["codes"]:
                counts = made["codes"][code]
                counts.update({n: counts[n] - k for n, k in zip(LEVELS, levels, strict=True)})
        for tool, (calls, failed) in tally.tools.items():
            if tool in made["tools"]:
                made["tools"][tool]["calls"] -= calls
                made["tools"][tool]["failed"] -= failed
        if "url" in made.get("images", {}):
            made["images"]["url"] -= tally.urls
            made["images"]["unseen_steps"] -= tally.unseen
    made["codes"] = {code: counts for code, counts in made["codes"].items() if any(counts.values())}
    made["tools"] = {name: counts for name, counts in made["tools"].items() if counts["calls"] > 0}
    return made


def _less(figures: dict[str, Any], tally: Tally) -> None:
    for name in ("steps", "tool_calls", "failed_steps", "suspect_steps", "unjudged_steps"):
        if name in figures:
            figures[name] -= getattr(tally, name)


def _take(counts: dict[str, int], name: str, count: int) -> None:
    left = counts.get(name, 0) - count
    if left > 0:
        counts[name] = left
    else:
        counts.pop(name, None)
