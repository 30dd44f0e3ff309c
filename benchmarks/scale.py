"""What a step costs from small logs to large: one worker, two, Ray; and what one writes instead.

    python benchmarks/scale.py [--quick] [--megabytes N,N,…] [--folder F] [--peer-python PATH]
                               [--arms NAME,…] --json FILE

Logs are generated (`make_logs.py`, kind `rows`: one conversation a line, and `transcripts` for the
scan since the last one), once for each size, below `--folder`, and removed when every arm has read
them. Each arm is a whole process, all that it starts counted with it (`parts/scale_meter.py`): CPU
seconds do not depend on what else the machine does, seconds do; `load` says what it did when the
arm began. Memory is the largest resident size of the driver and of a worker, apart (the goal is
500 MB a worker). `since` scans again after a hundredth was appended.

An arm is in FILE as soon as it ends; asked again, what stands there is not measured again. Arms
whose package is missing are left out; `duckdb`, `pandas`, `py-data-juicer` and `ray` are looked for
in the environment of `--peer-python`, and peers read no more than `--peer-megabytes` and
`--juicer-megabytes`. What they do not do is in `peers` of the result.
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
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PARTS = HERE / "parts"
SINCE = ("since-first", "since-same", "since-grown")
_SINCE_MOST = 100.0
"""Megabytes of transcripts for the scan since the last one."""
_ENV = {"RAY_USAGE_STATS_ENABLED": "0", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}

Row = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """The command line."""

    sizes: tuple[float, ...]
    folder: Path
    peer: str
    peer_most: float
    juicer_most: float
    leave: float
    only: frozenset[str]


class Kept:
    """The result so far, in the file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._found: dict[str, Any] = {}
        if file.exists():
            self._found = json.loads(file.read_text(encoding="utf-8"))
        self.rows: list[Row] = [r for r in self._found.get("rows", ()) if "asked" in r]

    def has(self, arm: str, size: float) -> bool:
        """Whether this was measured."""
        return any(row["arm"] == arm and row["asked"] == size for row in self.rows)

    def add(self, row: Row, versions: dict[str, str]) -> None:
        """Keep a row, with all that follows from the rows so far."""
        from parts.scale_sums import NOTES, efficiency, marginal, ratios

        self.rows.append(row)
        self.rows.sort(key=lambda each: each["asked"])
        self._found = {
            "name": "scale",
            "machine": f"{platform.machine()}, {platform.system()}, {os.cpu_count()} cores",
            "date": datetime.date.today().isoformat(),
            "versions": versions,
            "rows": self.rows,
            "efficiency": efficiency(self.rows),
            "us_per_further_step": marginal(self.rows),
            "peers": NOTES,
            "ratios": ratios(self.rows),
        }
        new = self._file.with_name(f"{self._file.name}.new")
        new.write_text(json.dumps(self._found, indent=2) + "\n", encoding="utf-8")
        new.replace(self._file)
        print(_line(row), flush=True)


def _line(row: Row) -> str:
    memory = " ".join(
        f"{name} {row[f'{name}_mb']:.0f} MB"
        for name in ("driver", "worker", "service")
        if row.get(f"{name}_mb") is not None
    )
    return (
        f"{row['work']:>9} {row['arm']:12} {row['seconds']:8.1f} s {row['cpu_seconds']:8.1f} CPU s "
        f"{row['mb_per_second']:7.1f} MB/s {row['us_per_step']:8.1f} us a step; {memory}"
    )


def has(python: str, package: str) -> str | None:
    """The version of a package in the environment of `python`."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def versions(peer: str) -> dict[str, str]:
    """Of everything that is compared."""
    found = {
        "python": platform.python_version(),
        "misstep": importlib.metadata.version("misstep"),
    }
    for package in ("ray", "duckdb", "pandas", "jsonschema", "py-data-juicer"):
        found[package] = has(peer, package) or "not installed"
    return found


def scan(python: str, logs: Path, workers: int, *words: str) -> list[str]:
    """The command of misstep."""
    script = str(PARTS / "scale_arm.py")
    return [python, script, str(logs), "--workers", str(workers), *words]


def arms(logs: Path, size: float, asked: Asked) -> dict[str, Callable[[], Row]]:
    """What is to be measured on one size of logs."""
    from parts.scale_meter import run

    found: dict[str, list[str]] = {f"local-{n}": scan(sys.executable, logs, n) for n in (1, 2)}
    if has(asked.peer, "ray"):
        for n in (1, 2):
            found[f"ray-{n}"] = scan(asked.peer, logs, n, "--engine", "ray")
    for name in ("duckdb", "pandas"):
        if size <= asked.peer_most and has(asked.peer, name):
            found[name] = [asked.peer, str(PARTS / "scale_peers.py"), name, str(logs)]
    # each name is bound now, not when the arm is run
    made = {name: (lambda c=command: run(c, env=_ENV)) for name, command in found.items()}
    if size <= asked.juicer_most and has(asked.peer, "py-data-juicer"):
        made["data-juicer"] = lambda: juicer(logs, asked)
    return {name: arm for name, arm in made.items() if not asked.only or name in asked.only}


def juicer(logs: Path, asked: Asked) -> Row:
    """Data-Juicer: what it reads is written first, and what it found counted afterwards."""
    from parts.scale_meter import run

    script = [asked.peer, str(PARTS / "scale_juicer.py")]
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        rows = Path(name) / "rows.jsonl"
        converted = run([*script, "convert", str(logs), str(rows)])
        found = run([*script, "run", str(rows), name], env=_ENV)
        found["told"] = run([*script, "count", name])["told"]
    return {**found, "convert_seconds": converted["seconds"]}


def measured(arm: str, asked: float, size: int, steps: int, found: Row) -> Row:
    """A row of the result."""
    told = found.pop("told")
    row = {"arm": arm, "work": f"{size / 1e6:.0f} MB", "asked": asked, "n": steps, "bytes": size}
    row |= {**found, "date": datetime.datetime.now().isoformat(timespec="minutes")}
    row["mb_per_second"] = round(size / 1e6 / found["seconds"], 2)
    row["us_per_step"] = round(1e6 * found["cpu_seconds"] / steps, 1)
    row["failed"] = told.get("failed_steps", told.get("failed"))
    if "stages" in told:
        row["stages"] = told["stages"]
    row["kinds"] = told.get("kinds") or {
        code: counts["defect"] for code, counts in told.get("codes", {}).items() if counts["defect"]
    }
    return row


def made(size: float, asked: Asked) -> Path:
    """The logs of one size; those that a killed run left whole are taken again."""
    from make_logs import make

    logs, marker = asked.folder / f"rows-{size:g}", asked.folder / f"rows-{size:g}.made"
    if not marker.exists():
        shutil.rmtree(logs, ignore_errors=True)
        asked.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(asked.folder).free / 1e6
        if free - size < asked.leave:
            raise SystemExit(
                f"{size:g} MB of logs would leave {free - size:.0f} MB free at {asked.folder}; "
                f"give another --folder, or a smaller --leave"
            )
        started = time.perf_counter()
        make("rows", logs, size)
        print(f"{size:g} MB of logs made in {time.perf_counter() - started:.0f} s", flush=True)
        marker.touch()
    return logs


def at(size: float, asked: Asked, kept: Kept) -> None:
    """All arms on so many megabytes that were not measured yet."""
    known = versions(asked.peer)
    logs = asked.folder / f"rows-{size:g}"
    todo = {name: arm for name, arm in arms(logs, size, asked).items() if not kept.has(name, size)}
    if todo:
        made(size, asked)
        bytes_ = sum(path.stat().st_size for path in logs.iterdir())
        rows = (row for row in kept.rows if row["asked"] == size and row["arm"] not in SINCE)
        steps = next((row["n"] for row in rows), 0)
        for name, arm in todo.items():
            load = round(os.getloadavg()[0], 2)
            found = arm()
            steps = steps or found["told"]["steps"]
            kept.add({**measured(name, size, bytes_, steps, found), "load": load}, known)
    shutil.rmtree(logs, ignore_errors=True)
    (asked.folder / f"rows-{size:g}.made").unlink(missing_ok=True)


def since(size: float, asked: Asked, kept: Kept) -> None:
    """A first scan with a state, one of the same logs, and one when a hundredth was appended."""
    if all(kept.has(arm, size) for arm in SINCE) or (asked.only and "since" not in asked.only):
        return
    kept.rows = [row for row in kept.rows if row["arm"] not in SINCE]
    known = versions(asked.peer)
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        for arm, logs, found in _since(size, Path(name)):
            bytes_ = sum(path.stat().st_size for path in logs.iterdir())
            kept.add(measured(arm, size, bytes_, found["told"]["steps"], found), known)


def _since(size: float, folder: Path) -> Iterator[tuple[str, Path, Row]]:
    from make_logs import make
    from parts.scale_meter import run

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
    for arm in SINCE:
        if arm == "since-grown":
            for file, data in held.items():
                file.write_bytes(data)
        words = ["scan", str(logs), "--json", "--quiet", "--workers", "1", "--state", str(state)]
        yield arm, logs, run([sys.executable, "-m", "misstep", *words])


def asked_for() -> tuple[Asked, Path, bool]:
    """What the command line says, the file of results, and whether the folder is to be removed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="10, 40 and 120 MB")
    parser.add_argument("--megabytes", default="10,100,1000,10000", help="sizes, with commas")
    parser.add_argument("--folder", type=Path, help="where logs are made; they are removed again")
    parser.add_argument("--leave", type=float, default=2000, help="MB to be left free there")
    parser.add_argument("--peer-python", default=sys.executable, help="where the peers and Ray are")
    parser.add_argument(
        "--peer-megabytes", type=float, default=1000, help="most for DuckDB, pandas"
    )
    parser.add_argument("--juicer-megabytes", type=float, default=100, help="most for Data-Juicer")
    parser.add_argument("--arms", default="", help="only these (and `since`), with commas")
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    sizes = ("10,40,120" if given.quick else given.megabytes).split(",")
    asked = Asked(
        sizes=tuple(map(float, sizes)),
        folder=given.folder or Path(tempfile.mkdtemp(prefix="scale-")),
        peer=given.peer_python,
        peer_most=given.peer_megabytes,
        juicer_most=given.juicer_megabytes,
        leave=given.leave,
        only=frozenset(filter(None, given.arms.split(","))),
    )
    return asked, given.json, given.folder is None


def main() -> None:
    """Measure every arm on every size that the file does not hold yet."""
    asked, file, passing = asked_for()
    sys.path.insert(0, str(HERE))
    from parts.scale_meter import end_with_us

    end_with_us()
    kept = Kept(file)
    asked.folder.mkdir(parents=True, exist_ok=True)
    try:
        since(min(asked.sizes[-1] / 2, _SINCE_MOST), asked, kept)
        for size in asked.sizes:
            at(size, asked, kept)
    finally:
        if passing:
            shutil.rmtree(asked.folder, ignore_errors=True)
    print(json.dumps(json.loads(file.read_text(encoding="utf-8"))["ratios"], indent=2))


if __name__ == "__main__":
    main()
