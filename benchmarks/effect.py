"""What the preference stage is worth on held-out families, beside what a user would try instead.

    python benchmarks/effect.py [--only ARM …] [--seeds N …] [--dev] --json FILE

Every arm begins with the same SFT adapter and has two rounds of 40 steps. The first is SFT on the
model's own answers that other answers confirm (`mine.min_votes: 2`, `mine.supported_values`), and
all arms share it. The second, on fresh answers of that model, is what arms differ in: the recipe
that dev families chose (DPO on the failing tokens of every failure with a clean sibling); SFT on
the same chosen sides, the control; SFT on confirmed answers once more; KTO, IPO, `apo_zero`, and
DPO without its SFT term. 1,230 answers to 410 held-out families an arm, at temperature 0.7 and 1.0.
Each arm goes into FILE as it ends, with its change against the first SFT and against the control.
`--dev` judges on dev families.

BFCL_EVAL names the package `bfcl_eval`, MISSTEP_LAB the folder in which artefacts are kept.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from parts.lab_arms import GENTLE, VOTED, Arm, Lab, after_sft, pool, run_all
from parts.lab_questions import questions


def _dpo(name: str, *loss: str) -> Arm:
    """A form of DPO; without a loss that of the recipe."""
    other = {"loss_type": loss, "loss_weights": (1.0,)} if loss else {}
    return after_sft(name, learning_rate=GENTLE, **other)


CONTROL = after_sft("sft on the same chosen sides", "sft")
RECIPE = _dpo("recipe")
ARMS = (
    CONTROL,
    RECIPE,
    after_sft("sft on confirmed answers again", "sft", mine=VOTED),
    _dpo("dpo without sft term", "sigmoid"),
    _dpo("ipo", "ipo"),
    _dpo("apo_zero", "apo_zero"),
    after_sft("kto", "kto", learning_rate=GENTLE),
)


def main() -> None:
    args = _arguments()
    asked, arms = questions(), [arm for arm in ARMS if not args.only or arm.name in args.only]
    labs = [Lab(asked, "dev" if args.dev else "heldout", seed) for seed in args.seeds]
    for lab in labs:
        run_all(args.json, lab, arms, control=CONTROL, base=lab == labs[0])
    if len(labs) > 1:
        pool(args.json, labs, arms)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="names of arms; all of them without it")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--dev", action="store_true", help="judge on dev families")
    parser.add_argument("--json", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
