"""Speed and memory of reading and judging, beside what one would write by hand and beside peers.

    python benchmarks/ingest.py [--quick] [--megabytes N] [--peer-python PATH] --json FILE

Logs are generated (`make_logs.py`), then whole processes are timed on the same files: `misstep
scan` with every validator, with one worker and with one for each core; `by_hand.py script`
(`json.loads` and `jsonschema`) and `by_hand.py floor` (`msgspec` decodes, nothing else); and, on
the one layout that they read too, `tracelint check` and `trace2train inspect`. The best of several
runs counts. Memory is the peak of the resident sizes of all processes of an arm, shared pages
counted for each. The byte code of each arm is compiled by its first run and kept for the others, as
that of an installed package is. Ratios are theirs over ours, one worker each; `floor_share` is the
floor's time over ours, each of these without the time that the process takes with nothing to read.
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
KINDS = ("pairs", "transcripts", "otlp")
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PEERS = {
    "tracelint": ("import tracelint.cli; tracelint.cli.main()", ("check", "--format", "openai")),
    "trace2train": ("import trace2train.cli; trace2train.cli.app()", ("inspect", "--json")),
}


def resident(root: int) -> int:
    """Bytes that a process and all below it hold in memory; the fork server's children too."""
    parents: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
                pages = int((entry / "statm").read_text().split()[1])
            except (OSError, IndexError):
                continue
            pid = int(entry.name)
            parents[pid] = int(stat.rpartition(")")[2].split()[1])
            sizes[pid] = pages * _PAGE
    total = 0
    for pid, size in sizes.items():
        at: int | None = pid
        while at is not None and at != root and at > 1:
            at = parents.get(at)
        total += size if at == root else 0
    return total


def run(command: Sequence[str], *, watch: bool = True) -> tuple[float, float]:
    """Seconds and peak megabytes of one process."""
    start = time.perf_counter()
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=nowhere, stderr=nowhere, env=ENVIRONMENT)
    peak = 0
    while process.poll() is None and watch:
        peak = max(peak, resident(process.pid))
        time.sleep(0.05)
    process.wait()
    took = time.perf_counter() - start
    peer = any(name in command[2] for name in _PEERS)  # they say what they found by their exit code
    if process.returncode and not (peer and process.returncode in (1, 2)):
        raise SystemExit(f"{' '.join(command[:6])} ended with {process.returncode}")
    return took, peak / 1e6


def best(command: Sequence[str], runs: int) -> tuple[float, float]:
    """The fastest of several runs without a watcher, and the memory of one more with it."""
    return min(run(command, watch=False)[0] for _ in range(runs)), run(command)[1]


def scan(logs: Path, workers: int) -> list[str]:
    """The command of misstep."""
    words = ["scan", str(logs), "--json", "--quiet", "--workers", str(workers)]
    return [sys.executable, "-m", "misstep", *words]


def arms(kind: str, logs: Path, given: argparse.Namespace) -> dict[str, list[str]]:
    """The commands that read one kind of logs."""
    files = [str(path) for path in sorted(logs.iterdir())]
    found = {"misstep-1": scan(logs, 1), "misstep-all": scan(logs, 0)}
    if kind != "rows":
        hand = [sys.executable, str(HERE / "by_hand.py")]
        found |= {name: [*hand, name, kind, *files] for name in ("script", "floor")}
        return found
    for name, (code, words) in _PEERS.items():
        if installed(name, given.peer_python):
            more = ["--tools", str(logs.parent / "tools.json")] if name == "tracelint" else []
            found[name] = [given.peer_python, "-c", code, *words, *more, *files]
    return found


def installed(name: str, python: str) -> str | None:
    """The version of a peer in the environment of `python`; None without it."""
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def measure(kind: str, logs: Path, given: argparse.Namespace, runs: int) -> list[dict[str, Any]]:
    """One row an arm."""
    size = sum(path.stat().st_size for path in logs.iterdir())
    rows = []
    for arm, command in arms(kind, logs, given).items():
        seconds, peak = best(command, runs)
        row = {"arm": arm, "work": kind, "n": size, "seconds": round(seconds, 3)}
        row |= {"peak_mb": round(peak, 1), "mb_per_second": round(size / seconds / 1e6, 1)}
        rows.append(row)
        print(
            f"{kind:12} {arm:12} {seconds:8.2f} s {peak:7.0f} MB {row['mb_per_second']:7.1f} MB/s"
        )
    return rows


def idle(folder: Path, runs: int) -> dict[str, float]:
    """What each process takes that has nothing to read."""
    empty = folder / "empty"
    empty.mkdir()
    (empty / "none.jsonl").write_bytes(b"")
    hand = [sys.executable, str(HERE / "by_hand.py")]
    return {
        "misstep-1": best(scan(empty, 1), runs)[0],
        "floor": best([*hand, "floor", "pairs", str(empty / "none.jsonl")], runs)[0],
    }


def ratios(rows: Sequence[dict[str, Any]], start: dict[str, float]) -> dict[str, float | None]:
    """Theirs over ours; larger is better."""
    took = {(row["work"], row["arm"]): row["seconds"] for row in rows}

    def over(work: str, arm: str) -> float | None:
        theirs, ours = took.get((work, arm)), took.get((work, "misstep-1"))
        return None if theirs is None or ours is None else round(theirs / ours, 2)

    found: dict[str, float | None] = {"vs_script": over("pairs", "script")}
    for name in _PEERS:
        found[f"vs_{name}"] = over("rows", name)
    for kind in KINDS:
        ours = took[kind, "misstep-1"] - start["misstep-1"]
        share = (took[kind, "floor"] - start["floor"]) / ours
        found["floor_share" if kind == "pairs" else f"floor_share_{kind}"] = round(share, 3)
        found[f"second_core_{kind}"] = round(took[kind, "misstep-1"] / took[kind, "misstep-all"], 2)
    return found


def main() -> None:
    """Generate, measure every arm and write one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="64 MB a kind, two runs")
    parser.add_argument("--megabytes", type=float, default=256, help="of each kind of logs")
    parser.add_argument("--peer-python", default=sys.executable, help="where the peers are")
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    size, runs = (64.0, 2) if given.quick else (given.megabytes, 3)
    sys.path.insert(0, str(HERE))
    from make_logs import Writer, make

    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ENVIRONMENT["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
        tools = {t["function"]["name"]: t["function"] for t in Writer(0).tools()}
        (folder / "tools.json").write_text(json.dumps(tools))
        for kind in (*KINDS, "rows"):
            make(kind, folder / kind, size / 8 if kind == "rows" else size)
            rows += measure(kind, folder / kind, given, runs)
        start = idle(folder, runs)
    versions = {"python": platform.python_version()}
    for package in ("misstep", "msgspec", "jsonschema"):
        versions[package] = importlib.metadata.version(package)
    for peer in _PEERS:
        versions[peer] = installed(peer, given.peer_python) or "not installed"
    result = {
        "name": "ingest",
        "machine": f"{platform.machine()}, {platform.system()}, {os.cpu_count()} cores",
        "date": datetime.date.today().isoformat(),
        "versions": versions,
        "rows": rows,
        "start_seconds": {arm: round(seconds, 3) for arm, seconds in start.items()},
        "ratios": ratios(rows, start),
    }
    given.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result["ratios"], indent=2))


if __name__ == "__main__":
    main()
