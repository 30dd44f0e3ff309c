"""The front door for programs: the same work as the command line, with values instead of words.

In: paths and a `RunConfig`. Out: values, or texts ready to print. Errors are those of `errors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from misstep import report, store
from misstep.config import RunConfig, load_config
from misstep.errors import InputError
from misstep.pipeline import evaluate, mine, plan, run, scan, train
from misstep.pipeline.explain import explain
from misstep.pipeline.scan import Scanned, Told, finding_rows, tell
from misstep.pipeline.view import SHOWN_FINDINGS, scan_view, view

__all__ = [
    "SHOWN_FINDINGS",
    "RunConfig",
    "Scanned",
    "Told",
    "evaluate",
    "explain",
    "load_config",
    "mine",
    "mine_text",
    "plan",
    "run",
    "run_text",
    "scan",
    "scan_text",
    "scores",
    "tell",
    "train",
    "write_findings",
    "write_scan_html",
    "write_set_aside",
]


def scan_text(scanned: Scanned | Told, *, colour: bool = False, width: int = 80) -> str:
    """The summary of a scan for a terminal."""
    return report.scan_summary(scanned.summary, colour=colour, width=width)


def run_text(folder: Path, *, colour: bool = False, width: int = 80) -> str:
    """The summary of a run folder for a terminal."""
    return report.terminal_summary(view(folder), colour=colour, width=width)


def scores(folder: Path) -> Mapping[str, Any]:
    """What `scores.json` holds.

    Raises:
        InputError: the folder holds none.
    """
    path = folder / "scores.json"
    if not path.exists():
        raise InputError(f"{folder}: no scores.json; run `misstep run` or `misstep eval` first")
    found: Mapping[str, Any] = store.read_json(path)
    return found


def mine_text(facts: Mapping[str, Any], folder: Path) -> str:
    """The counts of mining for a terminal."""
    lines = [f"{facts['pairs']} pairs from {facts['failed_steps']} failed steps in {folder}"]
    for title in ("parts", "sources", "codes", "refused"):
        counts = ", ".join(f"{name} {count}" for name, count in facts[title].items())
        lines.append(f"  {title:8} {counts or 'none'}")
    lines.append(f"  unpaired {facts['unpaired']}")
    return "\n".join(lines)


def write_findings(scanned: Scanned, path: Path) -> None:
    """Every finding as one JSON object a line (schemas/finding.json)."""
    store.write_jsonl(path, finding_rows(scanned), schema="finding")


def write_set_aside(scanned: Scanned, path: Path) -> None:
    """Every record that could not be used as one JSON object a line (schemas/set-aside.json)."""
    store.write_jsonl(path, scanned.set_aside, schema="set-aside")


def write_scan_html(scanned: Scanned | Told, path: Path) -> None:
    """The failure part of the report as one file."""
    rows = finding_rows(scanned) if isinstance(scanned, Scanned) else scanned.examples
    report.write_html(scan_view(scanned.summary, rows, path.stem), path)
