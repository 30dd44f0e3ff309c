"""What follows from the rows of `scale.py`: efficiencies, marginal costs, ratios.

Efficiency of the second worker: `t1 / (2 * t2)`, of the wall-clock of the same logs with one worker
and with two; 1 halves the time, 0.5 gains nothing. With one worker the local engine does
everything in the driver; with two, the driver's own work comes beside theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

Row = dict[str, Any]
ENGINES = ("local", "ray")
PEERS = ("duckdb", "pandas", "data-juicer")
NOTES = {
    "duckdb": "read_json with a UDF: calls whose arguments are no JSON, break their schema or name "
    "an unknown tool. No results of tools, no loops, no truncation, no places, no sessions that "
    "are spread over several lines, one format.",
    "pandas": "read_json in chunks with jsonschema: the same as DuckDB.",
    "data-juicer": "most of its agent recipe without what asks an LLM or fetches a model: tool "
    "results that look like errors, by patterns; token and latency limits (these logs tell "
    "neither); the share of repeated characters and words; tiers of bad cases. It labels whole "
    "conversations; it reads no arguments, no schemas and no tool names against those offered. "
    "Logs are converted to its format first (convert_seconds, not counted).",
}


def _by(rows: Sequence[Row]) -> dict[tuple[str, float], Row]:
    return {(row["arm"], row["asked"]): row for row in rows}


def _sizes(rows: Sequence[Row], arm: str) -> list[float]:
    return sorted(row["asked"] for row in rows if row["arm"] == arm)


def efficiency(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Of the second worker, by engine and size."""
    by = _by(rows)
    found: dict[str, dict[str, float]] = {}
    for name in ENGINES:
        for size in _sizes(rows, f"{name}-1"):
            one, two = by[f"{name}-1", size], by.get((f"{name}-2", size))
            if two is not None:
                share = one["seconds"] / (2 * two["seconds"])
                found.setdefault(name, {})[one["work"]] = round(share, 3)
    return found


def marginal(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """CPU microseconds of each step that a size has more than the one before it, by arm."""
    by = _by(rows)
    found: dict[str, dict[str, float]] = {}
    for arm in dict.fromkeys(row["arm"] for row in rows if not row["arm"].startswith("since")):
        sizes = _sizes(rows, arm)
        for small, large in pairwise(sizes):
            less, more = by[arm, small], by[arm, large]
            cost = (more["cpu_seconds"] - less["cpu_seconds"]) / max(more["n"] - less["n"], 1)
            found.setdefault(arm, {})[f"{less['work']} to {more['work']}"] = round(1e6 * cost, 1)
    return found


def ratios(rows: Sequence[Row]) -> dict[str, float]:
    """Bigger is better.

    `second_worker_*`: the efficiency at the largest size. `cpu_kept_*`: CPU seconds of one worker
    over those of two, there. `flat_*`: what a further step costs up to the last size but one over
    what it costs up to the last; 1 does not grow. `vs_*`: CPU seconds of a peer over those of one
    local worker, at the largest size that it read.
    """
    by, costs = _by(rows), marginal(rows)
    found: dict[str, float] = {}
    for name in ENGINES:
        sizes = [size for size in _sizes(rows, f"{name}-1") if (f"{name}-2", size) in by]
        if sizes:
            one, two = by[f"{name}-1", sizes[-1]], by[f"{name}-2", sizes[-1]]
            found[f"second_worker_{name}"] = round(one["seconds"] / (2 * two["seconds"]), 3)
            found[f"cpu_kept_{name}"] = round(one["cpu_seconds"] / two["cpu_seconds"], 3)
        cost = list(costs.get(f"{name}-1", {}).values())
        if len(cost) > 1 and cost[-1] > 0:
            found[f"flat_{name}"] = round(cost[-2] / cost[-1], 3)
    for peer in PEERS:
        sizes = [size for size in _sizes(rows, peer) if ("local-1", size) in by]
        if sizes:
            theirs, ours = by[peer, sizes[-1]], by["local-1", sizes[-1]]
            found[f"vs_{peer}"] = round(theirs["cpu_seconds"] / ours["cpu_seconds"], 2)
    cost_of = {row["arm"]: row["cpu_seconds"] for row in rows if row["arm"].startswith("since")}
    for arm in ("same", "grown"):
        if {"since-first", f"since-{arm}"} <= cost_of.keys():
            share = cost_of["since-first"] / cost_of[f"since-{arm}"]
            found[f"since_{arm}"] = round(share, 1)
    return found
