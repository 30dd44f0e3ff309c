"""How good and how fast the validators are: every part of `parts/` in one run.

    python benchmarks/validators.py [--quick] [--only PART …] --json FILE

With `--only` the other parts of FILE stay as they are. Parts: `json_suite`, `schema_suite`, `bfcl`,
`text_loops`, `agent_loops`, `tracelint`, `inferred`, `adversarial`, `throughput`. MISSTEP_CORPUS
names the folder with `logs/` and `suites/`, BFCL_EVAL the package `bfcl_eval`, TRACELINT the
program; a part that lacks its data says so and is left out.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.metadata
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
PARTS = (
    "json_suite",
    "schema_suite",
    "bfcl",
    "text_loops",
    "agent_loops",
    "tracelint",
    "inferred",
    "adversarial",
    "throughput",
)


def measured(name: str, quick: bool) -> dict[str, Any]:
    """The rows and ratios of one part; why it was left out, where its data is not at hand."""
    start = time.perf_counter()
    try:
        found = dict(importlib.import_module(f"parts.{name}").run(quick))
    except (OSError, KeyError, ImportError, SystemExit) as error:
        found = {"rows": [], "ratios": {}, "left_out": f"{type(error).__name__}: {error}"}
    return found | {"seconds": round(time.perf_counter() - start, 1)}


def main() -> None:
    """Run the parts and write one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer cases in each part")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    parts = kept(given.json) if len(given.only) < len(PARTS) else {}
    for name in given.only:
        day = datetime.date.today().isoformat()
        parts[name] = {"date": day, "quick": given.quick} | measured(name, given.quick)
        said = parts[name].get("left_out") or json.dumps(parts[name]["ratios"])
        print(f"{name:13} {parts[name]['seconds']:6.1f} s  {said}", flush=True)
        text = json.dumps(result(parts), indent=1, ensure_ascii=False)
        given.json.write_text(text + "\n", encoding="utf-8")


def result(parts: dict[str, Any]) -> dict[str, Any]:
    """What is written: the parts in their order, with all ratios beside them."""
    ordered = {name: parts[name] for name in PARTS if name in parts}
    return {
        "name": "validators",
        "machine": f"{platform.machine()}, {platform.system()}",
        "date": max(part["date"] for part in ordered.values()),
        "versions": {
            "python": platform.python_version(),
            "misstep": importlib.metadata.version("misstep"),
        },
        "ratios": {
            key if key.startswith(n.split("_")[0]) else f"{n}_{key}": v
            for n, part in ordered.items()
            for key, v in part["ratios"].items()
        },
        "left_out": {n: part["left_out"] for n, part in ordered.items() if "left_out" in part},
        "parts": {
            n: {key: part[key] for key in ("date", "quick", "seconds", "ratios")}
            for n, part in ordered.items()
        },
        "rows": [{"part": n, **row} for n, part in ordered.items() for row in part["rows"]],
    }


def kept(path: Path) -> dict[str, dict[str, Any]]:
    """The parts of an earlier result; none where there is none."""
    if not path.exists():
        return {}
    earlier = json.loads(path.read_text(encoding="utf-8"))
    rows = [(row.pop("part"), row) for row in earlier["rows"]]
    return {
        name: {**part, "rows": [row for of, row in rows if of == name]}
        | ({"left_out": earlier["left_out"][name]} if name in earlier["left_out"] else {})
        for name, part in earlier["parts"].items()
    }


if __name__ == "__main__":
    main()
