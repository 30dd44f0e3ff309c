"""How long a person waits before anything is said: whole processes, seconds.

    python benchmarks/startup.py [--quick] --json FILE

Arms: an empty Python process (the floor), `misstep --help`, `misstep scan sample_logs`. Each is
started several times after one warm-up; the median is reported, and ratios over the floor.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ARMS = {
    "python": [sys.executable, "-c", "pass"],
    "help": [sys.executable, "-m", "misstep", "--help"],
    "scan": [sys.executable, "-m", "misstep", "scan", str(ROOT / "sample_logs"), "--quiet"],
}


def seconds(command: list[str], runs: int) -> float:
    """Median wall-clock of `runs` processes after a warm-up."""
    took = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        took.append(time.perf_counter() - start)
    return statistics.median(took[1:])


def main() -> None:
    """Measure every arm and write one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three runs instead of nine")
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    runs = 3 if given.quick else 9
    rows = [
        {"arm": arm, "work": " ".join(command[1:3]), "n": runs, "seconds": seconds(command, runs)}
        for arm, command in ARMS.items()
    ]
    took = {row["arm"]: row["seconds"] for row in rows}
    result = {
        "name": "startup",
        "machine": f"{platform.machine()}, {platform.system()}",
        "date": datetime.date.today().isoformat(),
        "versions": {
            "python": platform.python_version(),
            "misstep": importlib.metadata.version("misstep"),
        },
        "rows": [{**row, "seconds": round(row["seconds"], 3)} for row in rows],
        "ratios": {"floor_share": round(took["python"] / took["help"], 3)},
    }
    given.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for row in result["rows"]:
        print(f"{row['arm']:8} {row['seconds']:.3f} s")


if __name__ == "__main__":
    main()
