"""What the preference stage is worth on held-out families, beside what a user would try instead.

    python benchmarks/effect.py [--only ARM …] [--seeds N …] [--dev] --json FILE

Base, SFT, the recipe that the ablation chose on dev families, and for as many steps each: SFT
continued on the same chosen sides, KTO, IPO, `apo_zero`, and DPO without its SFT term; 1,230
answers to 410 held-out families an arm, at temperature 0.7 and 1.0. Each arm goes into FILE as it
ends, with its change against SFT and against SFT continued. `--dev` judges on dev families.

BFCL_EVAL names the package `bfcl_eval`, MISSTEP_LAB the folder in which artefacts are kept.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from parts.lab_arms import VOTED, Arm, Lab, run_all
from parts.lab_questions import questions

CONTROL = Arm(name="sft continued", stage="sft", mine=VOTED)


def _dpo(name: str, *loss: str) -> Arm:
    """A form of DPO; without a loss that of the recipe."""
    other = {"loss_type": loss, "loss_weights": (1.0,)} if loss else {}
    return Arm(name=name, mine=VOTED, settings={"preference_tokens": "failing", **other})


ARMS = (
    CONTROL,
    _dpo("recipe"),
    _dpo("dpo without sft term", "sigmoid"),
    _dpo("ipo", "ipo"),
    _dpo("apo_zero", "apo_zero"),
    Arm(name="kto", stage="kto", mine=VOTED),
)
"""All on the pairs of the recipe."""


def main() -> None:
    args = _arguments()
    asked, arms = questions(), [arm for arm in ARMS if not args.only or arm.name in args.only]
    for seed in args.seeds:
        lab = Lab(asked, "dev" if args.dev else "heldout", seed)
        run_all(args.json, lab, arms, control=CONTROL, base=seed == args.seeds[0])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="names of arms; all of them without it")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--dev", action="store_true", help="judge on dev families")
    parser.add_argument("--json", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
