"""Good pairs spoilt on purpose, one fault each: does the gate refuse each, and for that fault?

    python benchmarks/planted.py [--quick] --json FILE

The good pairs are mined from `sample_logs` and, where `MISSTEP_CORPUS` names the shared logs, from
tau-bench there. A way is a kind of fault at a place in a pair; the code that must refuse it is
written beside the kind (`tests/plants.py`), and another code counts as a miss. For comparison each
good pair is asked about unspoilt: it must be let through.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from misstep import __version__, mine, validate
from misstep.config import load_config
from misstep.ingest import ingest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from plants import KINDS, Good, answer_to, good_pairs, plants, spread  # noqa: E402


def mined(folder: Path, settings: Path | None, most: int) -> list[Good]:
    """Good pairs of the logs in a folder, of every kind of tool and fault in turn."""
    overrides = {"mine.heldout": 0.01, "mine.dev": 0.0}
    config = load_config(settings, overrides)
    read = ingest([folder], config=config.ingest)
    judged = [validate.validate(s, validate.settings(config.validate)) for s in read.sessions]
    corpus = mine.gather(read.sessions, judged)
    split = mine.split(corpus.sessions, config.mine, 0)
    found = mine.mine(
        corpus, split=split, config=config.mine, settings=validate.settings(config.validate)
    )
    return spread(good_pairs(found, corpus), most)


def sources(most: int) -> Iterator[tuple[str, list[Good]]]:
    """(name, good pairs) of every log that is at hand."""
    yield "the demo's logs", mined(ROOT / "sample_logs", ROOT / "sample_logs" / "demo.yaml", most)
    yield "samples of every format", mined(ROOT / "sample_logs", None, most // 3)
    corpus = os.environ.get("MISSTEP_CORPUS")
    for name in ("tau-bench", "toolbench") if corpus else ():
        yield name, mined(Path(str(corpus)) / "logs" / name, None, most)


def main() -> None:
    """Plant, ask, and write one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10 pairs")
    parser.add_argument("--pairs", type=int, default=60, help="good pairs of each log at most")
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    os.chdir(ROOT)  # the demo's settings name files from here
    start = time.process_time()
    ways: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    got: dict[str, Counter[str]] = defaultdict(Counter)
    missed: list[dict[str, str]] = []
    goods: dict[str, int] = {}
    places: set[tuple[str, str]] = set()
    for log, found in sources(10 if options.quick else options.pairs):
        goods[log] = len(found)
        for good in found:
            for plant in plants(good):
                code = answer_to(plant)
                ways[plant.kind] += 1
                places.add((plant.kind, plant.place))
                got[plant.kind][str(code)] += 1
                hit[plant.kind] += code == plant.want
                if code != plant.want:
                    at = {"kind": plant.kind, "place": plant.place, "pair": good.id, "log": log}
                    missed.append({**at, "want": plant.want, "got": str(code)})
    result = {
        "name": "planted",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": datetime.date.today().isoformat(),
        "versions": {"misstep": __version__, "python": platform.python_version()},
        "good_pairs": goods,
        "ways": sum(ways.values()),
        "kinds": len(ways),
        "kinds_without_a_way": sorted(set(KINDS) - set(ways)),
        "kinds_and_places": len(places),
        "refused": sum(sum(codes.values()) - codes["None"] for codes in got.values()),
        "refused_for_the_planted_fault": sum(hit.values()),
        "let_through": sum(codes["None"] for codes in got.values()),
        "cpu_seconds": round(time.process_time() - start, 1),
        "rows": [
            {"kind": kind, "n": ways[kind], "right": hit[kind], "codes": dict(got[kind])}
            for kind in KINDS
            if kind in ways
        ],
        "missed": missed[:200],
    }
    options.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k not in ("rows", "missed")}, indent=1))
    for row in result["rows"]:
        print(f"{row['n']:6} {row['right']:6}  {row['kind']}: {row['codes']}")


if __name__ == "__main__":
    main()
