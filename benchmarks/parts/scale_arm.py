"""One scan, as `misstep scan --json` does it, with the seconds of each stage.

    python benchmarks/parts/scale_arm.py LOGS [--workers N] [--engine ray] [--ray-address A]

Stages: `start` (from the start of the process to that of the scan: imports), `look` (folders are
walked, Ray is started, every stretch of the files is looked through), `join` (what belongs together
is put together, by the driver alone), `read` (everything is read and judged), `tell` (figures are
added up). Prints what the command prints, and `stages`.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from misstep.config import IngestConfig, RunConfig
from misstep.pipeline.scan import tell

Progress = Callable[[str, int, int], None]


def heard(marks: dict[str, float]) -> Progress:
    """Notes when each stage was first and last told of."""

    def progress(label: str, done: int, total: int) -> None:
        name = label.partition(" · ")[0]
        now = time.perf_counter()
        marks.setdefault(f"{name} from", now)
        marks[f"{name} to"] = now

    return progress


def stages(marks: dict[str, float], began: float, ended: float) -> dict[str, float]:
    """Seconds of each stage; a stage that nothing was heard of lasted no time."""
    at, found = began, {}
    for stage, mark in (("look", "looking to"), ("join", "reading from"), ("read", "reading to")):
        now = marks.get(mark, at)
        found[stage] = round(now - at, 3)
        at = now
    return {**found, "tell": round(ended - at, 3)}


def _since_start() -> float:
    """Seconds since this process began."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    up = float(Path("/proc/uptime").read_text().split()[0])
    return up - ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Scan and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", type=Path)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--ray-address")
    given = parser.parse_args()
    config = RunConfig(
        ingest=IngestConfig(
            workers=given.workers, engine=given.engine, ray_address=given.ray_address
        )
    )
    before = round(_since_start(), 3)
    marks: dict[str, float] = {}
    began = time.perf_counter()
    summary = dict(tell([given.logs], config, progress=heard(marks)).summary)
    ended = time.perf_counter()
    print(json.dumps({**summary, "stages": {"start": before, **stages(marks, began, ended)}}))


if __name__ == "__main__":
    main()
