"""Mutated samples of every log format: what raises, and whether the counts balance.

    python benchmarks/fuzz.py [--quick] [--cases N] --json FILE

Each case copies one sample folder, changes one of its files (a value swapped for an odd one, a key
lost, lines shuffled, bytes flipped, the end cut off; inside gzip, zstd, SQLite and JSON strings
too), and reads it, in one case of three with a format forced on it. A case fails if anything is
raised, if records != used + ignored + set aside, or if a session does not survive writing and
reading. Failing seeds are listed.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from misstep import store
from misstep.config import IngestConfig
from misstep.ingest import FORMATS, ingest
from misstep.types import Session

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from mutate import case, samples  # noqa: E402
from reading import balances  # noqa: E402
from samples import LOGS  # noqa: E402


def failure(name: str, seed: int) -> str | None:
    """What went wrong with one case; None where nothing did."""
    with tempfile.TemporaryDirectory(prefix="misstep-fuzz-") as folder:
        case(LOGS / name, Path(folder), random.Random(seed))
        forced = FORMATS[seed % len(FORMATS)].name if seed % 3 == 0 else None
        try:
            got = ingest([Path(folder)], config=IngestConfig(format=forced))
            balances(got)
            for session in got.sessions:
                if store.decode(store.encode(session).decode(), Session) != session:
                    return "a session does not survive writing and reading"
        except Exception as error:  # noqa: BLE001  this is what is looked for
            return f"{type(error).__name__}: {error}"[:200]
    return None


def main() -> None:
    """Run the cases round the formats and write one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1,000 cases")
    parser.add_argument("--cases", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    cases = given.cases or (1_000 if given.quick else 10_000)
    names = samples(LOGS)
    counted: Counter[str] = Counter()
    failed: dict[str, list[dict[str, object]]] = {}
    start = time.perf_counter()
    for number in range(cases):
        name, seed = names[number % len(names)], given.seed + number
        counted[name] += 1
        said = failure(name, seed)
        if said is not None:
            failed.setdefault(name, []).append({"seed": seed, "said": said})
            print(f"{name} {seed}: {said}", flush=True)
    rows = [
        {"arm": name, "work": "mutated samples", "n": counted[name], "failed": failed.get(name, [])}
        for name in names
    ]
    result = {
        "name": "fuzz",
        "machine": f"{platform.machine()}, {platform.system()}",
        "date": datetime.date.today().isoformat(),
        "versions": {
            "python": platform.python_version(),
            "misstep": importlib.metadata.version("misstep"),
        },
        "seconds": round(time.perf_counter() - start, 1),
        "rows": rows,
        "ratios": {"held": 1 - sum(map(len, failed.values())) / cases},
    }
    given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{cases} cases, {sum(map(len, failed.values()))} failed")


if __name__ == "__main__":
    main()
