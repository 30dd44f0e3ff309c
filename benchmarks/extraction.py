"""What the preference stage is worth for structured outputs: forms filled in, functions written.

    python benchmarks/extraction.py [--code] [--quick] [--only ARM …] [--seeds N …] --json FILE

SmolLM2 fills in 42 JSON Schemas from texts with known content (22 train, 5 dev, 15 held out;
`parts/extraction_forms.yaml`). Base, SFT, the recipe and the other arms of `effect.py`, with its
steps, its pairs and its control: 900 answers to 300 held-out texts an arm, at temperature 0.7 and
1.0. `failed` is misstep's verdict, the schema being the demanded output; `correct` is exactly
right, `fields` the share of right fields. Each arm goes into FILE as it ends; asked again, what is
there is kept, and an interrupted arm goes on where it stopped.

`--code` is the small set (`parts/extraction_code.yaml`): 32 Python functions, 12 of them held out;
`failed` holds CODE_SYNTAX. `correct` is a lower bound there: no answer is ever run, it is compared
with a right program. `--dev` judges on dev families. `--quick` is a check of the works, not a
measurement.

MISSTEP_LAB names the folder in which artefacts are kept, MISSTEP_LAB_DTYPE the number format.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from effect import ARMS, CONTROL, CONTROLS, control_of
from parts import extraction_tasks, lab_arms, lab_measure, lab_model
from parts.lab_arms import ANSWERS, ASKED, SAMPLES, TEMPERATURE, Arm, run_all
from parts.lab_measure import Measured
from parts.lab_model import Answered
from parts.lab_ratios import ratios

from misstep import store

SMALL: dict[str, dict[str, Any]] = {
    "dpo": {"max_steps": 2, "max_pairs": 16},
    "sft": {"max_steps": 2, "max_rows": 16},
    "kto": {"max_steps": 2, "max_rows": 32},
}
"""Of the stages, with `--quick`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is done; the sizes of arms stand in `lab_arms`."""

    asked: int = ASKED
    """Questions of the train part that the log is made of."""
    samples: int = SAMPLES
    judged: int | None = None
    """Questions of the part that arms are judged on; all without it."""
    answers: int | None = None
    """Answers to each of them at each temperature; as in `lab_arms` without it."""
    first_rows: int = 320
    """References of the SFT that every arm starts from."""


WHOLE = Size()
QUICK = Size(asked=12, samples=6, judged=6, answers=1, first_rows=80)


@dataclass
class Lab(lab_arms.Lab):
    """Forms or functions in the place of tool calls."""

    work: str = "forms"
    size: Size = WHOLE

    def start(self) -> Path:
        """The adapter that every arm continues."""
        config = replace(lab_model.FIRST, max_rows=self.size.first_rows)
        return lab_model.first_sft(self.asked["train"], self.seed, config)

    def answers(self, adapter: Path, round: int = 0, asked: int = ASKED) -> list[Answered]:
        """What a model answers to the train part: the log."""
        return lab_model.answers(
            self.asked["train"][: min(asked, self.size.asked)],
            adapter,
            temperature=TEMPERATURE,
            count=self.size.samples,
            seed=self.seed + 1_000 * round,
        )

    def measured(self, adapter: Path | None) -> dict[float, Measured]:
        """An adapter, or the bare model, on the part."""
        judged = self.asked[self.part][: self.size.judged]
        return lab_measure.of_adapter(judged, adapter, self.size.answers or ANSWERS[self.part])

    def named(self, name: str) -> dict[str, Any]:
        """What identifies a row, and its work."""
        return {**super().named(name), "work": self.work}


def run(path: Path, lab: Lab, only: Sequence[str] | None, *, base: bool) -> None:
    """The named arms; after each, what the results hold beside rows."""
    todo = [[arm] for arm in ARMS if only is None or arm.name in only]
    for some in ([], *todo):
        control = _sized(control_of(some[0]) if some else CONTROL, lab.size)
        arms = [_sized(arm, lab.size) for arm in some]
        run_all(path, lab, arms, control=control, base=base)
        found = store.read_json(path)
        sizes = {
            "first_sft": {**found["common"]["first_sft"], "max_rows": lab.size.first_rows},
            "questions_asked": lab.size.asked,
            "samples": lab.size.samples,
            "answers": lab.size.answers or ANSWERS,
        }
        found |= {"common": {**found["common"], **sizes}, "size": asdict(lab.size)}
        store.write_json(path, {**found, "ratios": ratios(found["rows"], CONTROLS)})


def _sized(arm: Arm, size: Size) -> Arm:
    """With `--quick` a small arm, and with references, so that there are pairs."""
    if size == WHOLE:
        return arm
    settings = {**arm.settings, **SMALL[arm.stage]}
    after, like = (each and _sized(each, size) for each in (arm.after, arm.like))
    sources = ("sibling", "reference")
    return replace(arm, sources=sources, settings=settings, after=after, like=like)


def main() -> None:
    args = _arguments()
    work = "code" if args.code else "forms"
    asked = extraction_tasks.code() if args.code else extraction_tasks.forms()
    size, part = QUICK if args.quick else WHOLE, "dev" if args.dev else "heldout"
    for seed in args.seeds:
        lab = Lab(asked, part, seed, work=work, size=size)
        run(args.json, lab, args.only, base=seed == args.seeds[0])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--code", action="store_true", help="functions in the place of forms")
    parser.add_argument("--quick", action="store_true", help="a few texts, to see that it works")
    parser.add_argument("--only", nargs="+", help="names of arms; all of them without it")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--dev", action="store_true", help="judge on dev families")
    parser.add_argument("--json", type=Path, required=True)
    args = parser.parse_args()
    _refuse_others(parser, args)
    return args


def _refuse_others(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    found = store.read_json(args.json) if args.json.exists() else {"rows": []}
    size = asdict(QUICK if args.quick else WHOLE)
    other = any((row["work"] == "code") != args.code for row in found["rows"])
    if other or found.get("size", size) != size:
        parser.error(f"{args.json} holds the other set, or another size: name another file")


if __name__ == "__main__":
    main()
