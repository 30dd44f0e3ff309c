"""Time and memory of mining pairs from logs of ten thousand to a million steps.

    python benchmarks/mine.py [--quick] [--steps N …] --json FILE

Logs are generated (`mining_logs.py`, about one failed step in ten), then whole processes of
`misstep mine LOGS -o DIR` are watched, with as many workers as there are cores and no model.
`seconds` is wall-clock, `cpu_seconds` what all processes of the run computed, in total and for each
stage; `peak_mb` the largest sum of the resident sizes of all processes, shared pages counted for
each. `growth` says how CPU time and memory grow against the steps: 1.0 is in proportion.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
QUICK, FULL = (10_000, 50_000), (10_000, 100_000, 1_000_000)
_PAGE, _TICK = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
_STAGES = {"scan …": "scan", "sft rows …": "sft rows", "mine …": "mine"}


class Watch:
    """CPU and memory of a process and all below it, looked at again and again."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._cpu: dict[int, float] = {}
        self.peak = 0

    def look(self) -> float:
        """CPU seconds so far, of those that ended too (as last seen)."""
        held = 0
        for pid, cpu, size in _tree(self._root):
            self._cpu[pid] = max(cpu, self._cpu.get(pid, 0.0))
            held += size
        self.peak = max(self.peak, held)
        return sum(self._cpu.values())


def _tree(root: int) -> Iterator[tuple[int, float, int]]:
    """Process id, CPU seconds and bytes in memory of a process and all below it."""
    known: dict[int, tuple[int, float, int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                pages = int((entry / "statm").read_text().split()[1])
            except (OSError, IndexError):
                continue
            cpu = (int(stat[11]) + int(stat[12])) / _TICK
            known[int(entry.name)] = int(stat[1]), cpu, pages * _PAGE
    for pid, (_, cpu, size) in known.items():
        at = pid
        while at != root and at in known:
            at = known[at][0]
        if at == root:
            yield pid, cpu, size


def mine(logs: Path, out: Path) -> dict[str, Any]:
    """One run, watched."""
    command = [sys.executable, "-m", "misstep", "mine", str(logs), "-o", str(out)]
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    watch, said = Watch(process.pid), []

    def listen() -> None:
        for line in process.stderr or ():
            said.append((line.strip(), time.perf_counter() - start))

    listener = threading.Thread(target=listen)
    listener.start()
    marks: list[tuple[str, float, float]] = []
    cpu = 0.0
    while process.poll() is None:
        cpu = watch.look()
        while said:
            line, at = said.pop(0)
            if line in _STAGES:
                marks.append((_STAGES[line], at, cpu))
        time.sleep(0.1)
    listener.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {said}")
    took = time.perf_counter() - start
    ends = [*marks[1:], ("", took, cpu)]
    return {
        "seconds": round(took, 1),
        "cpu_seconds": round(cpu, 1),
        "peak_mb": round(watch.peak / 1e6),
        "stages": {
            name: {"seconds": round(end[1] - at, 1), "cpu_seconds": round(end[2] - used, 1)}
            for (name, at, used), end in zip(marks, ends, strict=True)
        },
    }


def measure(steps: int, folder: Path) -> dict[str, Any]:
    """Generate logs, mine them, and take the run's own counts; nothing is left behind."""
    from mining_logs import make

    logs, out = folder / "logs", folder / "run"
    size = make(logs, steps)
    row = {"arm": "misstep", "work": f"{steps} steps", "n": steps, "bytes": size}
    row |= mine(logs, out)
    state = json.loads((out / "state.json").read_text())
    scanned, mined = state["scan"]["facts"], state["mine"]["facts"]
    row |= {name: scanned[name] for name in ("sessions", "failed_steps")}
    row |= {name: mined[name] for name in ("pairs", "candidates", "unpaired")}
    row["run_bytes"] = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    shutil.rmtree(logs)
    shutil.rmtree(out)
    print(
        f"{steps:>9,} steps {row['seconds']:8.1f} s {row['cpu_seconds']:8.1f} s of CPU "
        f"{row['peak_mb']:6} MB {row['failed_steps']:>8,} failed {row['pairs']:>7,} pairs"
    )
    return row


def main() -> None:
    """Measure every size and write one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="ten and fifty thousand steps")
    parser.add_argument("--steps", type=int, nargs="+", help="other sizes")
    parser.add_argument("--folder", type=Path, help="where logs are generated (3 GB a million)")
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    sys.path.insert(0, str(HERE))
    rows = []
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        for steps in given.steps or (QUICK if given.quick else FULL):
            rows.append(measure(steps, Path(name)))
    small, large = rows[0], rows[-1]
    times = large["n"] / small["n"]
    result = {
        "name": "mine",
        "machine": f"{platform.machine()}, {platform.system()}, {os.cpu_count()} cores",
        "date": datetime.date.today().isoformat(),
        "versions": {
            "python": platform.python_version(),
            **{package: importlib.metadata.version(package) for package in ("misstep", "polars")},
        },
        "rows": rows,
        "growth": {
            "cpu_seconds": round(large["cpu_seconds"] / small["cpu_seconds"] / times, 3),
            "peak_mb": round(large["peak_mb"] / small["peak_mb"] / times, 3),
        },
        "ratios": {
            "steps_per_cpu_second": round(large["n"] / large["cpu_seconds"]),
            "steps_per_mb": round(large["n"] / large["peak_mb"]),
        },
    }
    given.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({"growth": result["growth"], **result["ratios"]}, indent=2))


if __name__ == "__main__":
    main()
