"""The OCR recipe on five small vision-language families: vanilla, SFT, SFT and DPO, and controls.

    python benchmarks/ocr.py [--quick] [--families NAME …] [--seeds N …] [--dev [--probe N]]
                             --json FILE

Each family is trained from nothing on generated pages (`parts/ocr_vanilla.py`), then goes through
`misstep run --recipe ocr` on other pages; what is reported is degeneration by the published rule
and by misstep's codes, the published score, validity, tokens a page, on held-out pages. Controls:
SFT continued for as many steps, DPO against clean samples drawn at random, a repetition penalty at
decoding alone. A family's rows go into FILE as it ends; the same call goes on where it was stopped.
`--dev` measures on dev pages: difficulty and settings are chosen there; with `--probe N` only how
many of N pages loop after SFT. `--quick` takes the first family with few pages and a short
training. MISSTEP_LAB names the folder of what is kept.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from parts import ocr_figures
from parts.lab_keep import say
from parts.ocr_arms import ARMS, CAP, PLANS, SETTINGS, Lab, Plan, answered, sft_loops
from parts.ocr_families import FAMILIES
from parts.ocr_pages import faces
from parts.ocr_vanilla import Course

from misstep import store

QUICK = Plan(train=160, heldout=120, course=Course(steps=500, tower_steps=250))


def main() -> None:
    args = _arguments()
    names = args.families or [each.name for each in FAMILIES[: 1 if args.quick else None]]
    for seed in args.seeds:
        for name in names:
            plan = QUICK if args.quick else PLANS.get(name, Plan())
            lab = Lab(name, plan, seed, "dev" if args.dev else "heldout")
            if args.probe:
                loops, count = sft_loops(lab, args.probe)
                print(f"{name}, seed {seed}: {loops} of {count} pages loop after SFT", flush=True)
            else:
                _family(args.json, lab)


def _family(path: Path, lab: Lab) -> None:
    """All arms of a family, then its rows."""
    told: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    for arm in ARMS:
        say(f"{lab.family} seed {lab.seed}: {arm}")
        found, seconds[arm] = answered(lab, arm)
        if found:
            told[arm] = found
        else:
            say(f"{arm}: no pairs, left out")
    if "sft" not in told:
        say(f"{lab.family} seed {lab.seed}: nothing was trained, no row is written")
        return
    table = ocr_figures.rows(lab, told)
    _record(path, lab, [{**row, "seconds": round(seconds[row["arm"]], 1)} for row in table])
    print(f"{lab.family}, seed {lab.seed}, {lab.part} pages\n{ocr_figures.text(table)}", flush=True)


def _record(path: Path, lab: Lab, table: Sequence[dict[str, Any]]) -> None:
    here = {"family": lab.family, "seed": lab.seed, "part": lab.part}
    known = store.read_json(path) if path.exists() else {"rows": [], "plans": {}}
    others = [row for row in known["rows"] if any(row[key] != here[key] for key in here)]
    rows = [*others, *({**here, "work": f"{lab.plan.heldout} pages", **row} for row in table)]
    packages = ("torch", "transformers", "trl", "peft", "pillow")
    whole = {
        "name": "ocr",
        "machine": f"{platform.machine()}, {platform.system()}",
        "date": str(datetime.date.today()),
        "versions": {name: version(name) for name in packages},
        "faces": [name or "Pillow" for name, _ in faces()],
        "plans": {**known["plans"], lab.family: asdict(lab.plan)},
        "cap": CAP,
        "settings": SETTINGS,
        "families": {each.name: each.like for each in FAMILIES},
        "rows": rows,
        "ratios": ratios(rows),
    }
    store.write_json(path, whole)


def ratios(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Relative drops of degeneration with their p: by family and seed, the mean and the best.

    A family with several seeds counts once, by their mean.
    """
    out: dict[str, float] = {}
    for other in ("sft", "control"):
        drops: dict[str, list[float]] = {}
        for row in rows:
            if row["part"] != "heldout" or row["arm"] != "dpo":
                continue
            run = [r for r in rows if all(r[k] == row[k] for k in ("family", "seed", "part"))]
            found = ocr_figures.drop(run, "dpo", other)
            if found is not None:
                where = f"{other}, {row['family']}, seed {row['seed']}"
                out[f"drop_vs_{where}"] = round(found, 4)
                out[f"p_vs_{where}"] = row["against"][other]["degenerate_published"]["p"]
                drops.setdefault(row["family"], []).append(found)
        means = [sum(each) / len(each) for each in drops.values()]
        if means:
            out[f"drop_vs_{other}"] = round(sum(means) / len(means), 4)
            out[f"best_drop_vs_{other}"] = round(max(means), 4)
            out[f"worst_drop_vs_{other}"] = round(min(means), 4)
    return out


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--families", nargs="+", choices=[each.name for each in FAMILIES])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--dev", action="store_true", help="measure on dev pages")
    parser.add_argument("--probe", type=int, help="with --dev: loops after SFT on so many pages")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if bool(args.probe) == bool(args.json) or (args.probe and not args.dev):
        parser.error("give --json FILE, or --dev --probe N")
    return args


if __name__ == "__main__":
    main()
