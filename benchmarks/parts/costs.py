"""Speed of each validator alone, on one core: `python benchmarks/parts/costs.py [--write]`.

In: nothing; the built-in text of `misstep.validate.cost`. Out: a row a validator; with `--write`
also src/misstep/validate/costs.json, which `misstep validators` shows.
"""

from __future__ import annotations

import json
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from misstep import validate
from misstep.validate.cost import measure

FILE = Path(validate.__file__).parent / "costs.json"


def run(quick: bool = False) -> dict[str, Any]:
    """A row a validator: steps and megabytes a second."""
    seconds = 0.2 if quick else 1.0
    rows = []
    for validator in validate.VALIDATORS:
        cost = measure(validator.check, seconds=seconds)
        rows.append(
            {
                "arm": "misstep",
                "work": validator.name,
                "n": 1,
                "steps_per_second": round(cost.steps),
                "mb_per_second": round(cost.megabytes, 1),
            }
        )
    return {"rows": rows, "ratios": {}}


def write(rows: list[dict[str, Any]]) -> None:
    """The figures that the package ships."""
    costs = {r["work"]: [r["steps_per_second"], r["mb_per_second"]] for r in rows}
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    value = {"machine": machine, "date": f"{datetime.now(UTC):%Y-%m-%d}", "costs": costs}
    FILE.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    found = run("--quick" in sys.argv)
    if "--write" in sys.argv:
        write(found["rows"])
    json.dump(found, sys.stdout, indent=1)
