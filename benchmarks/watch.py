"""Ten minutes of `misstep watch` over a folder that is written to, rotated and truncated.

    python benchmarks/watch.py [--quick] [--seconds N] [--pause S] --json FILE

A script (`tests/rotating.py`) appends sessions to three logs, a third of them with a broken call,
writes lines in two halves, rotates and compresses files, truncates, rewrites, empties and removes
them, one change every `--pause` seconds; `misstep watch` is a process of its own and ends by
SIGTERM a few seconds after the writer. Then a fresh scan is made. `equal`: the findings that the
watch kept are those of the fresh scan, byte for byte. `untold`: failures of the fresh scan that the
watch did not print; `twice`: failures that it printed more than once. Memory is that of the watch,
in the first tenth of the time and at its largest.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WRITER = HERE.parent / "tests" / "rotating.py"
_SETTLE = 5.0
"""Seconds after the last change until the watch is ended."""


def watched(logs: Path, folder: Path, seconds: float, pause: float) -> dict[str, Any]:
    """Write and watch at once; gives what the two processes used and told."""
    from parts.scale_meter import Meter

    words = [str(logs), "--json", "--state", str(folder / "state")]
    words += ["--findings", str(folder / "kept.jsonl"), "--workers", "1"]
    writing = [sys.executable, str(WRITER), str(logs), str(seconds), "11", str(pause)]
    with (folder / "told.jsonl").open("wb") as out:
        command = [sys.executable, "-m", "misstep", "watch", *words]
        watch = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE)
        if watch.stderr is not None:  # what stands there at the first look is not printed
            watch.stderr.readline()
        writer = subprocess.Popen(writing, stdout=subprocess.PIPE)
        meter, began, early = Meter(watch.pid), time.monotonic(), 0
        try:
            ended = None
            while ended is None or time.monotonic() < ended + _SETTLE:
                meter.look()
                if time.monotonic() < began + max(seconds / 10, 5):
                    early = meter.peaks.get("all", 0)
                if ended is None and writer.poll() is not None:
                    ended = time.monotonic()
                if watch.poll() is not None:
                    raise SystemExit(f"the watch ended by itself with {watch.returncode}")
                time.sleep(0.25)
        finally:
            writer.kill()
            watch.send_signal(signal.SIGTERM)
    code = watch.wait(60)
    return {
        "changes": int(writer.stdout.read() if writer.stdout is not None else 0),
        "exit_code": code,
        "cpu_seconds": round(meter.cpu, 1),
        "early_mb": round(early / 1e6, 1),
        "peak_mb": round(meter.peaks.get("all", 0) / 1e6, 1),
    }


def failures(lines: Iterable[str]) -> Counter[tuple[str, int, str, str]]:
    """Findings by the failure that they tell of."""
    rows = map(json.loads, lines)
    return Counter((row["session"], row["step"], row["code"], row["where"]) for row in rows)


def compared(logs: Path, folder: Path) -> dict[str, Any]:
    """What the watch kept and told, beside a fresh scan."""
    fresh = folder / "fresh.jsonl"
    words = ["scan", str(logs), "--json", "--quiet", "--findings", str(fresh)]
    found = subprocess.run(
        [sys.executable, "-m", "misstep", *words], capture_output=True, check=True
    )
    summary = json.loads(found.stdout)
    told = failures((folder / "told.jsonl").read_text().splitlines())
    stands = failures(fresh.read_text().splitlines())
    return {
        "bytes": summary["bytes"],
        "sessions": summary["sessions"],
        "failed_steps": summary["failed_steps"],
        "findings": sum(stands.values()),
        "told": sum(told.values()),
        "twice": sum(count - stands.get(key, 1) > 0 for key, count in told.items() if count > 1),
        "untold": len(stands.keys() - told.keys()),
        "equal": fresh.read_bytes() == (folder / "kept.jsonl").read_bytes(),
    }


def main() -> None:
    """Watch, compare and write one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one minute")
    parser.add_argument("--seconds", type=float, help="how long (default: 600)")
    parser.add_argument("--pause", type=float, default=0.1, help="mean seconds between two changes")
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    seconds = given.seconds or (60.0 if given.quick else 600.0)
    sys.path.insert(0, str(HERE))
    with tempfile.TemporaryDirectory(prefix="watch-") as name:
        logs = Path(name) / "logs"
        logs.mkdir()
        row = {"arm": "watch", "work": f"{seconds:g} s", "n": 0, "seconds": seconds}
        row |= watched(logs, Path(name), seconds, given.pause) | compared(logs, Path(name))
        row["n"] = row["changes"]
    result = {
        "name": "watch",
        "machine": f"{platform.machine()}, {platform.system()}, {os.cpu_count()} cores",
        "date": datetime.date.today().isoformat(),
        "versions": {
            "python": platform.python_version(),
            "misstep": importlib.metadata.version("misstep"),
        },
        "rows": [row],
        "ratios": {"equal_to_a_fresh_scan": float(row["equal"])},
    }
    given.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(row, indent=2))
    if not row["equal"] or row["untold"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
