"""Loops in long structured outputs, before and after: what trimming, ld_alpha and onset are worth.

    python benchmarks/loops.py [--quick] [--dev] [--only ARM …] [--seeds N …] --json FILE

SmolLM2 writes pages of notes as JSON arrays, tables and transcripts (`parts/loops_tasks.py`), 200
held-out pages greedily and at temperature 0.7. Base, SFT on the right outputs of 60 pages (after
which one answer in six still loops), then DPO on the loops of that SFT model, and SFT continued on
the chosen sides, for as many steps each. Each arm goes into FILE as it ends; asked again, what is
there is kept, and an interrupted arm goes on where it stopped. Degenerate is an answer in which
misstep finds a text loop; beside it stand valid answers and the length of healthy ones. `--dev`
judges on 96 pages of a third part, by which every choice is made; `--quick` is a check of the
works, not a measurement.

MISSTEP_LAB names the folder in which artefacts are kept.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent))
from parts import lab_model, loops_work
from parts.lab_keep import facts, say
from parts.loops_tasks import Task, tasks
from parts.loops_work import WHOLE, Answered

from misstep import store
from misstep.config import DpoConfig, SftConfig

TEMPERATURES = {"0": (0.0, 1), "0.7": (0.7, 1)}
"""Temperature and answers to each page, when an arm is judged."""
TRAIN_SEED, HELD_SEED, DEV_SEED = 1, 2, 3
SFT = SftConfig(learning_rate=1e-3, max_rows=-1, max_length=2048, tokens_per_batch=4096)
DPO = DpoConfig(
    learning_rate=1e-4,
    beta=0.1,
    per_device_train_batch_size=4,
    gradient_accumulation_steps=2,
    max_length=2048,
    tokens_per_batch=4096,
    preference_tokens="all",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is done."""

    sft: int
    """Pages that the first SFT learns from."""
    train: int
    """Pages of the train part, those of the SFT among them, which are asked again for the log."""
    held: int
    dev: int
    samples: int
    """Answers to each train page at temperature 0.7, beside a greedy one."""
    steps: int
    """Of an arm, 8 pairs or right outputs each."""
    pairs: int = 240
    tokens: int = 768
    """Of an answer at most; the longest right output has some 500."""


SIZES = {
    "whole": Size(sft=60, train=120, held=200, dev=96, samples=4, steps=20),
    "quick": Size(sft=6, train=9, held=3, dev=3, samples=3, steps=1, pairs=8, tokens=192),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way to train on loops."""

    name: str
    stage: Literal["dpo", "sft"] = "dpo"
    """`sft`: on the chosen sides."""
    trim_periods: int = WHOLE
    settings: dict[str, Any] = field(default_factory=dict)


ARMS = (
    Arm(name="dpo"),
    Arm(name="sft continued", stage="sft"),
    Arm(name="dpo, trimmed", trim_periods=3),
    Arm(name="dpo, trimmed, 40 steps", trim_periods=3, settings={"max_steps": 40}),
    Arm(name="dpo, ld_alpha", settings={"ld_alpha": 0.5}),
    Arm(name="dpo, onset", settings={"preference_tokens": "onset"}),
    Arm(name="dpo, trimmed, onset", trim_periods=3, settings={"preference_tokens": "onset"}),
    Arm(name="dpo, trimmed, failing", trim_periods=3, settings={"preference_tokens": "failing"}),
)


@dataclass(frozen=True, slots=True)
class Lab:
    """What all arms of one seed have in common."""

    size: Size
    seed: int
    dev: bool = False
    """Whether arms are judged on the dev part."""

    @property
    def pages(self) -> list[Task]:
        """The train part."""
        return tasks(self.size.train, TRAIN_SEED)

    def start(self) -> Path:
        """The adapter that every arm continues."""
        return loops_work.first_sft(self.pages[: self.size.sft], SFT, self.seed)

    def log(self) -> list[Answered]:
        """What that adapter writes of the train pages."""
        drawn = [
            loops_work.answers(
                self.pages,
                self.start(),
                temperature=temperature,
                count=count,
                tokens=self.size.tokens,
                seed=self.seed,
            )
            for temperature, count in ((0.0, 1), (0.7, self.size.samples))
        ]
        return [(page, [*one, *more]) for (page, one), (_, more) in zip(*drawn, strict=True)]

    def train(self, arm: Arm) -> tuple[int, Path | None]:
        """How many loops were paired, and the adapter of an arm; none without a pair."""
        rows = loops_work.loop_pairs(self.log(), arm.trim_periods)
        if not rows:
            return 0, None
        config: Any = replace(DPO, max_steps=self.size.steps, max_pairs=self.size.pairs)
        if arm.stage == "sft":
            rows = [replace(row, rejected=None, cut=False) for row in rows]
            config = replace(SFT, learning_rate=DPO.learning_rate, max_steps=self.size.steps)
        config = replace(config, **arm.settings)
        return len(rows), lab_model.trained(rows, start=self.start(), config=config, seed=self.seed)

    def held(self, adapter: Path | None) -> dict[str, list[Answered]]:
        """What an adapter, or the bare model, writes of the pages that are judged."""
        held, dev = (self.size.held, HELD_SEED), (self.size.dev, DEV_SEED)
        pages = tasks(*(dev if self.dev else held))
        return {
            name: loops_work.answers(
                pages, adapter, temperature=t, count=count, tokens=self.size.tokens
            )
            for name, (t, count) in TEMPERATURES.items()
        }

    def begun(self, name: str, adapter: Path | None) -> dict[str, Any]:
        """The row of an arm without pairs."""
        return {**self.named(name), "at": _told(self.held(adapter))}

    def named(self, name: str) -> dict[str, Any]:
        """What identifies a row."""
        return {"arm": name, "seed": self.seed, "part": "dev" if self.dev else "heldout"}

    def run(self, arm: Arm, beside: Sequence[Arm]) -> dict[str, Any]:
        """The row of an arm, beside SFT and other arms."""
        row: dict[str, Any] = {**self.named(arm.name), "spec": asdict(arm)}
        pairs, adapter = self.train(arm)
        if adapter is None:
            return {**row, "said": "the model ran into no loop that could be paired"}
        done, after = facts(adapter.parent), self.held(adapter)
        others: dict[str, Path | None] = {"sft": self.start()}
        others |= {each.name: self.train(each)[1] for each in beside if each != arm}
        return {
            **row,
            "pairs": pairs,
            "trained_on": done["rows"],
            "steps": done["steps"],
            "stopped": done["stopped"],
            "train_cpu_seconds": done["cpu_seconds"],
            "peak_gb": done["peak_gb"],
            "at": _told(after),
            "against": {
                name: _compared(self.held(path), after)
                for name, path in others.items()
                if path is not None
            },
        }


def _told(found: dict[str, list[Answered]]) -> dict[str, Any]:
    return {name: loops_work.told(given) for name, given in found.items()}


def _compared(
    before: dict[str, list[Answered]], after: dict[str, list[Answered]]
) -> dict[str, Any]:
    return {name: loops_work.compared(before[name], after[name]) for name in after}


# --- results -----------------------------------------------------------------------------------


def record(path: Path, size: Size, row: dict[str, Any]) -> None:
    """Put the row of an arm into the results."""
    rows = [*known(path, size), row]
    whole = {
        "name": path.stem,
        "machine": f"{platform.machine()}, {platform.system()}",
        "date": str(datetime.date.today()),
        "model": f"SmolLM2-135M-Instruct, {lab_model.number_format()}",
        "size": asdict(size),
        "dpo": lab_model.unusual(DPO),
        "rows": rows,
        "ratios": ratios(rows),
    }
    store.write_json(path, whole)


def known(path: Path, size: Size) -> list[dict[str, Any]]:
    """The rows of the results so far; none of another size."""
    found = store.read_json(path) if path.exists() else {}
    return list(found["rows"]) if found.get("size") == asdict(size) else []


def ratios(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """By how much loops became rarer than after SFT: 0.9 is down by 90 %."""
    return {
        f"drop_vs_sft, {_which(row)}, temperature {name}": change["fewer_loops"]
        for row in rows
        for name, change in row.get("against", {}).get("sft", {}).items()
        if "fewer_loops" in change
    }


def _which(row: dict[str, Any]) -> str:
    return f"{row['arm']}, seed {row['seed']}, {row['part']}"


def main() -> None:
    args = _arguments()
    size = SIZES["quick" if args.quick else "whole"]
    for seed in args.seeds:
        lab = Lab(size, seed, args.dev)
        todo: list[tuple[str, Any]] = [
            ("base", lambda lab=lab: lab.begun("base", None)),
            ("sft", lambda lab=lab: lab.begun("sft", lab.start())),
            *(
                (arm.name, lambda arm=arm, lab=lab: lab.run(arm, _beside(args.json, lab)))
                for arm in ARMS
            ),
        ]
        for name, work in todo:
            if name in _there(args.json, lab) or (args.only and name not in args.only):
                continue
            say(f"arm {name}, seed {seed}")
            row = work()
            record(args.json, size, row)
            say(f"arm {name}: {_short(row)}")


def _there(path: Path, lab: Lab) -> list[str]:
    """Names of the arms that are done."""
    rows = known(path, lab.size)
    return [row["arm"] for row in rows if row == row | lab.named(row["arm"])]


def _beside(path: Path, lab: Lab) -> list[Arm]:
    """What an arm is set beside: plain DPO and SFT continued, where they are done."""
    return [arm for arm in ARMS[:2] if arm.name in _there(path, lab)]


def _short(row: dict[str, Any]) -> str:
    found = [
        f"{name}: degenerate {at['degenerate']['rate']:.1%}, valid {at['valid']['rate']:.1%}"
        for name, at in row.get("at", {}).items()
    ]
    return "; ".join(found) or str(row.get("said"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few pages, to see that it works")
    parser.add_argument("--dev", action="store_true", help="judge on dev pages")
    parser.add_argument("--only", nargs="+", help="names of arms; all of them without it")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--json", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
