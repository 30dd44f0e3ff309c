"""What the preference stage is worth on held-out families, beside what a user would try instead.

    python benchmarks/effect.py [--only ARM …] [--seeds N …] [--dev] --json FILE

Every arm begins with the same SFT adapter and a round of 40 steps of SFT on the model's own answers
that other answers confirm (`rft`). Behind it the recipe that dev families chose: two rounds of DPO,
40 steps each, on the failing tokens of every failure with a clean sibling, each on fresh answers.
The control: SFT on the chosen sides of both rounds, for their 80 steps. And with one round of 40
steps: DPO; SFT on the same chosen sides, the control of this group; SFT on confirmed answers again;
DPO without its SFT term, IPO, `apo_zero`, KTO. 1,230 answers to 410 held-out families an arm, at
temperature 0.7 and 1.0. Each arm goes into FILE as it ends, with its change against the first SFT
and against the control. `--dev` judges on dev families.

BFCL_EVAL names the package `bfcl_eval`, MISSTEP_LAB the folder in which artefacts are kept,
MISSTEP_LAB_DTYPE the number format.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from parts.lab_arms import (
    EVERY,
    GENTLE,
    PAIRS,
    STEPS,
    VOTED,
    Arm,
    Lab,
    after_sft,
    behind,
    pool,
    run_all,
)
from parts.lab_questions import questions
from parts.lab_ratios import ratios

from misstep import store


def _dpo(name: str, *loss: str) -> Arm:
    """A form of DPO; without a loss that of the recipe."""
    other = {"loss_type": loss, "loss_weights": (1.0,)} if loss else {}
    return after_sft(name, asked=EVERY, learning_rate=GENTLE, **other)


FIRST = Arm(name="sft on confirmed answers", stage="sft", mine=VOTED, asked=EVERY)
ONE_CONTROL = after_sft("sft on the same chosen sides, one round", "sft", asked=EVERY)
ONE = _dpo("dpo, one round")
RECIPE = behind(ONE, "recipe", learning_rate=GENTLE)
CONTROL = Arm(
    name="sft on the same chosen sides",
    stage="sft",
    after=ONE.after,
    like=RECIPE,
    asked=EVERY,
    settings={"max_steps": 2 * STEPS, "max_rows": 2 * PAIRS},
)
ONE_ROUND = (
    FIRST,
    ONE_CONTROL,
    ONE,
    after_sft("sft on confirmed answers again", "sft", mine=VOTED, asked=EVERY),
    _dpo("dpo without sft term", "sigmoid"),
    _dpo("ipo", "ipo"),
    _dpo("apo_zero", "apo_zero"),
    after_sft("kto", "kto", asked=EVERY, learning_rate=GENTLE),
)
ARMS = (CONTROL, RECIPE, *ONE_ROUND)


CONTROLS = {CONTROL.name: "control", ONE_CONTROL.name: "control"}
"""Names in the results, and in their ratios."""


def control_of(arm: Arm) -> Arm:
    """SFT on the chosen sides of as many rounds, for as many steps."""
    return ONE_CONTROL if arm in ONE_ROUND else CONTROL


def main() -> None:
    args = _arguments()
    asked, arms = questions(), [arm for arm in ARMS if not args.only or arm.name in args.only]
    labs = [Lab(asked, "dev" if args.dev else "heldout", seed) for seed in args.seeds]
    for lab in labs:
        for arm in arms:
            run_all(args.json, lab, [arm], control=control_of(arm), base=lab == labs[0])
    if len(labs) > 1:
        pool(args.json, labs, arms)
    found = store.read_json(args.json)
    rows = [*found["rows"], *found.get("pooled", ())]
    store.write_json(args.json, {**found, "ratios": ratios(rows, CONTROLS)})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="names of arms; all of them without it")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--dev", action="store_true", help="judge on dev families")
    parser.add_argument("--json", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
