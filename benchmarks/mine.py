"""Time and memory of mining pairs from logs of ten thousand to a million steps, or failures.

    python benchmarks/mine.py [--quick] [--steps N …] [--failures N …] [--workers N …]
                              [--folder F] --json FILE

Logs are generated (`mining_logs.py`), then whole processes of `misstep mine LOGS -o DIR` are
watched, with as many workers as there are cores and no model. With `--steps` about one step in ten
fails; with `--failures` half of the calls go wrong, so that nearly four steps in ten fail and a
million failures stand in 2.7 million steps (9 GB) and not in ten million. `seconds` is wall-clock,
`cpu_seconds` what all processes of the run computed, in total and for each stage; `peak_mb` the
largest sum of the resident sizes of all processes, shared pages counted for each; `driver_mb` and
`worker_mb` that of one. `growth` says how CPU time and memory grow against the steps: 1.0 is in
proportion.

A size is in FILE as soon as it is mined, and each stage beside the logs as soon as it ends: asked
again, a run that was killed goes on with its last stage (`resumed` counts how often).
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parts.scale_meter import Meter

HERE = Path(__file__).resolve().parent
QUICK, FULL = (10_000, 50_000), (10_000, 100_000, 1_000_000)
HALF = 0.5
"""Share of the calls that go wrong with `--failures`."""
_STAGES = {"scan …": "scan", "sft rows …": "sft rows", "mine …": "mine"}
_ENV = {"RAY_USAGE_STATS_ENABLED": "0"}

Row = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """One size and what mines it."""

    name: str
    steps: int
    wrong: float
    workers: int
    engine: str

    @property
    def arm(self) -> str:
        """How the row is called."""
        if self.engine != "local":
            return f"{self.engine}-{self.workers}"
        return f"workers-{self.workers}" if self.workers else "misstep"


class Stages:
    """What each stage of a run took, also over several runs that were killed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        known = json.loads(file.read_text()) if file.exists() else {}
        self.done: dict[str, Row] = known.get("stages", {})
        self.resumed: int = known.get("resumed", -1) + 1
        self._name, self._begun, self._cpu = "start", time.perf_counter(), 0.0
        self._rest = b""
        self._save()

    def listen(self, meter: Meter, said: bytes) -> None:
        """Note where stages begin in what is said on stderr."""
        *lines, self._rest = (self._rest + said).split(b"\n")
        for line in lines:
            name = _STAGES.get(line.decode("utf-8", "replace").strip())
            if name is not None:
                self._close(meter.cpu, meter.peaks)
                self._name = name
                meter.peaks.clear()
                meter.look()

    def end(self, found: Row) -> None:
        """The last stage, from what the whole process took."""
        last = {kind: found[f"{kind}_mb"] for kind in ("driver", "worker", "all")}
        peaks = {kind: int(size * 1e6) for kind, size in last.items() if size is not None}
        self._close(found["cpu_seconds"], peaks)

    def _close(self, cpu: float, peaks: dict[str, int]) -> None:
        now = time.perf_counter()
        row: Row = {
            "seconds": round(now - self._begun, 1),
            "cpu_seconds": round(cpu - self._cpu, 1),
        }
        for kind in ("driver", "worker", "all"):
            if kind in peaks:
                row[f"{kind}_mb"] = round(peaks[kind] / 1e6, 1)
        self.done[self._name] = row
        self._begun, self._cpu = now, cpu
        self._save()

    def _save(self) -> None:
        self._file.write_text(json.dumps({"stages": self.done, "resumed": self.resumed}))

    def most(self, kind: str) -> float | None:
        """Megabytes, over all stages."""
        return max((row[kind] for row in self.done.values() if kind in row), default=None)

    def total(self, kind: str) -> float:
        """Over all stages."""
        return round(sum(row[kind] for row in self.done.values()), 1)


def mine(work: Work, logs: Path, out: Path) -> Row:
    """One run, watched."""
    from parts.scale_meter import run

    stages = Stages(out.with_name(f"{out.name}.stages.json"))
    words = ["mine", str(logs), "-o", str(out), "--engine", work.engine]
    words += ["--workers", str(work.workers)] * bool(work.workers)
    found = run([sys.executable, "-m", "misstep", *words], env=_ENV, listen=stages.listen)
    stages.end(found)
    return {
        "seconds": stages.total("seconds"),
        "cpu_seconds": stages.total("cpu_seconds"),
        "peak_mb": stages.most("all_mb"),
        "driver_mb": stages.most("driver_mb"),
        "worker_mb": stages.most("worker_mb"),
        "resumed": stages.resumed,
        "stages": stages.done,
    }


def measure(work: Work, folder: Path) -> Row:
    """Generate logs, mine them, and take the run's own counts; nothing is left behind."""
    logs, out = folder / f"logs-{work.name}", folder / f"run-{work.name}-{work.arm}"
    size = made(work, logs)
    row: Row = {"arm": work.arm, "work": work.name.replace("-", " "), "n": work.steps}
    row |= {"bytes": size, "wrong_calls": work.wrong, "load": round(os.getloadavg()[0], 2)}
    row |= mine(work, logs, out)
    state = json.loads((out / "stages.json").read_text())
    scanned, mined = state["scan"]["facts"], state["mine"]["facts"]
    row |= {name: scanned[name] for name in ("sessions", "failed_steps")}
    row |= {name: mined[name] for name in ("pairs", "candidates", "unpaired")}
    row["run_bytes"] = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    row["date"] = datetime.datetime.now().isoformat(timespec="minutes")
    print(
        f"{work.steps:>9,} steps {row['seconds']:8.1f} s {row['cpu_seconds']:8.1f} s of CPU "
        f"{row['peak_mb']:7.1f} MB {row['failed_steps']:>8,} failed {row['pairs']:>7,} pairs",
        flush=True,
    )
    return row


def made(work: Work, logs: Path) -> int:
    """Bytes of the logs; those that a killed run left whole are taken again."""
    from mining_logs import make

    marker = logs.with_name(f"{logs.name}.made")
    if not marker.exists():
        shutil.rmtree(logs, ignore_errors=True)
        marker.write_text(str(make(logs, work.steps, wrong=work.wrong)))
    return int(marker.read_text())


def tidy(folder: Path, pattern: str) -> None:
    """Remove what was made for one size."""
    for path in folder.glob(pattern):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def result(rows: Sequence[Row]) -> dict[str, Any]:
    """The whole file."""
    # what grows is told over sizes that fail alike, of the arm that has most of them
    kinds = [(row["arm"], row.get("wrong_calls")) for row in rows]
    most = max(kinds, key=kinds.count)
    alike = [row for row, kind in zip(rows, kinds, strict=True) if kind == most]
    small, large = alike[0], alike[-1]
    times = large["n"] / small["n"]
    return {
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


def asked_for() -> tuple[argparse.Namespace, list[Work]]:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="ten and fifty thousand steps")
    parser.add_argument("--steps", type=int, nargs="+", default=[], help="other sizes")
    parser.add_argument("--failures", type=int, nargs="+", default=[], help="sizes in failures")
    parser.add_argument("--workers", type=int, nargs="+", default=[0], help="0: one a core")
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--folder", type=Path, help="where logs are generated (3 GB a million)")
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    sys.path.insert(0, str(HERE))
    from mining_logs import WRONG, failing

    sizes = given.steps or (() if given.failures else QUICK if given.quick else FULL)
    kinds = [(f"{steps}-steps", steps, WRONG) for steps in sizes]
    kinds += [(f"{n}-failures", int(n / failing(HALF)), HALF) for n in given.failures]
    return given, [
        Work(*kind, workers, given.engine) for kind in kinds for workers in given.workers
    ]


def main() -> None:
    """Measure every size that the file does not hold yet."""
    given, todo = asked_for()
    from parts.scale_meter import end_with_us

    end_with_us()
    rows: list[Row] = json.loads(given.json.read_text())["rows"] if given.json.exists() else []
    folder = given.folder or Path(tempfile.mkdtemp(prefix="mine-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for at, work in enumerate(todo):
            if not any((r["arm"], r["n"]) == (work.arm, work.steps) for r in rows):
                rows.append(measure(work, folder))
                rows.sort(key=lambda row: row["n"])
                text = json.dumps(result(rows), indent=2, ensure_ascii=False)
                given.json.write_text(text + "\n", encoding="utf-8")
                tidy(folder, f"run-{work.name}-{work.arm}*")
            if all(later.name != work.name for later in todo[at + 1 :]):
                tidy(folder, f"logs-{work.name}*")
    finally:
        if given.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    found = json.loads(given.json.read_text())
    print(json.dumps({"growth": found["growth"], **found["ratios"]}, indent=2))


if __name__ == "__main__":
    main()
