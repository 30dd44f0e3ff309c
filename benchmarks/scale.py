"""What a step costs from small logs to large: one worker, two, Ray; and what one writes instead.

    python benchmarks/scale.py [--quick] [--megabytes N,N,…] [--peer-python PATH] --json FILE

Logs are generated (`make_logs.py`, kind `rows`: one conversation a line, and `transcripts` for the
scan since the last one). Each arm is a whole process, all that it starts counted with it: CPU
seconds are those of every process below it, so that a busy machine does not change them; memory is
the largest resident size of any one process (the goal is 500 MB a worker). `since` scans again
after a hundredth was appended. Arms whose package is missing are left out and named; `duckdb`,
`pandas` and `ray` are looked for in the environment of `--peer-python`.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
_PAGE, _TICK = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
_EVERY = 0.05


class Meter:
    """CPU seconds and memory of a process and of all below it."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._own = {root}
        self._cpu: dict[int, float] = {}
        self.peak = 0

    @property
    def cpu(self) -> float:
        """Seconds, user and system."""
        return sum(self._cpu.values())

    def look(self) -> None:
        """Take in what is running now; what began and ended between two looks is missed."""
        parents: dict[int, tuple[int, float, int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    stat = (entry / "stat").read_text().rpartition(")")[2].split()
                    pages = int((entry / "statm").read_text().split()[1])
                except (OSError, IndexError):
                    continue
                ticks = int(stat[11]) + int(stat[12])
                parents[int(entry.name)] = int(stat[1]), ticks / _TICK, pages * _PAGE
        grown = True
        while grown:
            more = {p for p, (up, _, _) in parents.items() if up in self._own} - self._own
            self._own |= more
            grown = bool(more)
        for pid in self._own & parents.keys():
            self._cpu[pid] = parents[pid][1]
            self.peak = max(self.peak, parents[pid][2])


def run(command: Sequence[str]) -> dict[str, Any]:
    """One process: seconds, CPU seconds, peak megabytes of one process, and what it printed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    meter = Meter(process.pid)
    with tempfile.TemporaryFile():
        while process.poll() is None:
            meter.look()
            time.sleep(_EVERY)
    told = process.stdout.read() if process.stdout is not None else b""
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:8])} ended with {process.returncode}")
    took = time.perf_counter() - start
    row = {"seconds": round(took, 2), "cpu_seconds": round(meter.cpu, 2)}
    return {**row, "peak_mb": round(meter.peak / 1e6, 1), "told": json.loads(told)}


def scan(python: str, logs: Path, *words: str) -> list[str]:
    """The command of misstep."""
    return [python, "-m", "misstep", "scan", str(logs), "--json", "--quiet", *words]


def has(python: str, package: str) -> str | None:
    """The version of a package in the environment of `python`."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def arms(logs: Path, peer: str) -> dict[str, list[str]]:
    """The commands on one size of logs."""
    found = {f"local-{n}": scan(sys.executable, logs, "--workers", str(n)) for n in (1, 2)}
    if has(peer, "ray"):
        for n in (1, 2):
            found[f"ray-{n}"] = scan(peer, logs, "--engine", "ray", "--workers", str(n))
    for name in ("duckdb", "pandas"):
        if has(peer, name):
            found[name] = [peer, str(HERE / "parts" / "scale_peers.py"), name, str(logs)]
    return found


def measured(arm: str, size: int, steps: int, found: dict[str, Any]) -> dict[str, Any]:
    """A row of the result."""
    told = found.pop("told")
    row = {"arm": arm, "work": f"{size / 1e6:.0f} MB", "n": steps, "bytes": size, **found}
    row["us_per_step"] = round(1e6 * found["cpu_seconds"] / steps, 1)
    row["failed"] = told.get("failed_steps", told.get("failed"))
    print(
        f"{row['work']:>9} {arm:10} {row['seconds']:8.2f} s {row['cpu_seconds']:8.2f} CPU s "
        f"{row['peak_mb']:6.0f} MB {row['us_per_step']:8.1f} us a step"
    )
    return row


def at(size: float, folder: Path, peer: str) -> list[dict[str, Any]]:
    """All arms on so many megabytes."""
    from make_logs import make

    logs = folder / f"rows-{size:g}"
    make("rows", logs, size)
    bytes_ = sum(path.stat().st_size for path in logs.iterdir())
    rows: list[dict[str, Any]] = []
    steps = 0
    for arm, command in arms(logs, peer).items():
        found = run(command)
        steps = steps or found["told"]["steps"]
        rows.append(measured(arm, bytes_, steps, found))
    return rows


def since(size: float, folder: Path) -> list[dict[str, Any]]:
    """A first scan with a state, one of the same logs, and one when a hundredth was appended."""
    from make_logs import make

    logs, state = folder / "since", folder / "state"
    make("transcripts", logs, size)
    files = sorted(logs.iterdir())
    held = {file: file.read_bytes() for file in files[:: max(len(files) // 20, 1)]}
    for file, data in held.items():
        lines = data.splitlines(keepends=True)
        file.write_bytes(b"".join(lines[: int(len(lines) * 0.8)]))
    then = time.time() - 60
    for file in files:
        os.utime(file, (then, then))
    rows = []
    for arm in ("since-first", "since-same", "since-grown"):
        if arm == "since-grown":
            for file, data in held.items():
                file.write_bytes(data)
        found = run(scan(sys.executable, logs, "--workers", "1", "--state", str(state)))
        bytes_ = sum(path.stat().st_size for path in files)
        rows.append(measured(arm, bytes_, found["told"]["steps"], found))
    return rows


def ratios(rows: Sequence[dict[str, Any]], sizes: Sequence[int]) -> dict[str, float]:
    """Bigger is better. A second worker at 1 halves the time; a flat cost at 1 does not grow."""
    by = {(row["arm"], row["bytes"]): row for row in rows}
    large, small = max(sizes), min(sizes)
    found = {}
    for name in ("local", "ray"):
        one, two = by.get((f"{name}-1", large)), by.get((f"{name}-2", large))
        if one is None or two is None:
            continue
        found[f"second_worker_{name}"] = round(one["seconds"] / two["seconds"] - 1, 2)
        found[f"cpu_kept_{name}"] = round(one["cpu_seconds"] / two["cpu_seconds"], 2)
        first = by[f"{name}-1", small]
        middle = by[f"{name}-1", sorted(sizes)[len(sizes) // 2]]
        early = (middle["cpu_seconds"] - first["cpu_seconds"]) / max(middle["n"] - first["n"], 1)
        late = (one["cpu_seconds"] - middle["cpu_seconds"]) / max(one["n"] - middle["n"], 1)
        found[f"flat_{name}"] = round(early / late, 2) if late > 0 else 1.0
    for peer in ("duckdb", "pandas"):
        theirs, ours = by.get((peer, large)), by[("local-1", large)]
        if theirs is not None:
            found[f"vs_{peer}"] = round(theirs["cpu_seconds"] / ours["cpu_seconds"], 2)
    cost = {row["arm"]: row["cpu_seconds"] for row in rows if row["arm"].startswith("since")}
    for arm in ("same", "grown"):
        found[f"since_{arm}"] = round(cost["since-first"] / cost[f"since-{arm}"], 1)
    return found


def main() -> None:
    """Generate, measure every arm on every size and write one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10, 40 and 120 MB")
    parser.add_argument("--megabytes", default="10,100,1000,10000", help="sizes, with commas")
    parser.add_argument("--peer-python", default=sys.executable, help="where the peers and Ray are")
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    sizes = [float(n) for n in ("10,40,120" if given.quick else given.megabytes).split(",")]
    sys.path.insert(0, str(HERE))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        for size in sizes:
            rows += at(size, Path(name), given.peer_python)
        read = sorted({row["bytes"] for row in rows})
        rows += since(sizes[-1] / 2, Path(name))
    versions = {
        "python": platform.python_version(),
        "misstep": importlib.metadata.version("misstep"),
    }
    for package in ("ray", "duckdb", "pandas", "jsonschema"):
        versions[package] = has(given.peer_python, package) or "not installed"
    result = {
        "name": "scale",
        "machine": f"{platform.machine()}, {platform.system()}, {os.cpu_count()} cores",
        "date": datetime.date.today().isoformat(),
        "versions": versions,
        "rows": rows,
        "ratios": ratios(rows, read),
    }
    given.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result["ratios"], indent=2))


if __name__ == "__main__":
    main()
