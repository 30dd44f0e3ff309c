"""Which pairs teach most: sources, negatives, tokens that count, beta, SFT on chosen sides alone.

    python benchmarks/ablation.py [--only ARM …] [--seeds N …] [--heldout] --json FILE

The arms are run one after the other (`parts/lab_arms.py`) and judged on dev families; each goes
into FILE as it ends. Asked again, what is there is kept, and an interrupted arm goes on where it
stopped. `--heldout` opens held-out families, the first `--families` of them, for the arms that
`--only` names, once the choice is made on dev. Several seeds are also taken together (`pooled`).

BFCL_EVAL names the package `bfcl_eval`, MISSTEP_LAB the folder in which artefacts are kept.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from parts.lab_arms import EVERY, GENTLE, VOTED, Arm, Lab, after_sft, behind, pool, run_all
from parts.lab_questions import questions

CONTROL = Arm(name="sft on chosen", stage="sft")
ARMS = (
    CONTROL,
    Arm(name="sibling"),
    Arm(name="sibling, signed", chosen="signed"),
    Arm(name="sibling, voted", mine=VOTED),
    Arm(name="reference", sources=("reference",)),
    Arm(name="resample", sources=("resample",)),
    Arm(name="sibling, all tokens", settings={"preference_tokens": "all"}),
    Arm(name="sibling, failing tokens", settings={"preference_tokens": "failing"}),
    Arm(
        name="sibling, voted, failing tokens",
        mine=VOTED,
        settings={"preference_tokens": "failing"},
    ),
    Arm(
        name="sibling, voted, failing tokens, sft weight 4",
        mine=VOTED,
        settings={"preference_tokens": "failing", "loss_weights": (1.0, 4.0)},
    ),
    Arm(
        name="sibling, voted, failing tokens, 2 rounds",
        mine=VOTED,
        rounds=2,
        settings={"preference_tokens": "failing", "max_steps": 80},
    ),
    after_sft("sft on chosen, voted, then dpo", mine=VOTED),
    after_sft("sft on chosen, voted, 2 rounds", "sft", mine=VOTED),
    after_sft("sft on chosen, voted, then dpo, lr 1e-4", mine=VOTED, learning_rate=GENTLE),
    after_sft("sft on chosen, voted, then dpo on any clean"),
    after_sft("sft on chosen, voted, then dpo on any clean, lr 1e-4", learning_rate=GENTLE),
    after_sft("sft on chosen, voted, then sft on any clean", "sft"),
    Arm(name="sft on chosen, voted, wide", mine=VOTED, stage="sft", asked=EVERY),
    after_sft("sft on chosen, voted, wide, then dpo", mine=VOTED, asked=EVERY),
    after_sft("sft on chosen, voted, wide, 2 rounds", "sft", mine=VOTED, asked=EVERY),
    after_sft(
        "sft on chosen, voted, wide, then dpo on any clean, lr 1e-4",
        asked=EVERY,
        learning_rate=GENTLE,
    ),
    after_sft(
        "sft on chosen, voted, wide, then dpo on any clean, lr 1e-4, 80 steps",
        asked=EVERY,
        learning_rate=GENTLE,
        max_steps=80,
        max_pairs=640,
    ),
    after_sft("sft on chosen, voted, wide, then sft on any clean", "sft", asked=EVERY),
    behind(
        after_sft("", asked=EVERY, learning_rate=GENTLE),
        "sft on chosen, voted, wide, then dpo on any clean, lr 1e-4, twice",
        learning_rate=GENTLE,
    ),
    Arm(
        name="sibling, voted, failing tokens, wide",
        mine=VOTED,
        asked=EVERY,
        settings={"preference_tokens": "failing"},
    ),
    Arm(
        name="sibling and repair, voted, failing tokens",
        sources=("sibling", "repair"),
        mine=VOTED,
        settings={"preference_tokens": "failing"},
    ),
    Arm(
        name="together, voted, failing tokens",
        sources=("sibling", "reference", "resample"),
        mine=VOTED,
        settings={"preference_tokens": "failing"},
    ),
    Arm(name="together", sources=("sibling", "reference", "resample")),
    Arm(name="sibling, nearest", negatives="nearest"),
    Arm(name="sibling, frequent", negatives="frequent"),
    Arm(name="repair", sources=("repair",)),
    Arm(name="sibling, lr 1e-4", settings={"learning_rate": 1e-4}),
    Arm(name="sibling, beta 0.1", settings={"beta": 0.1}),
    Arm(name="sft on references", sources=("reference",), stage="sft"),
    Arm(name="sibling, consensus", chosen="consensus"),
    Arm(name="sft on chosen, signed", chosen="signed", stage="sft"),
    Arm(name="sft on chosen, voted", mine=VOTED, stage="sft"),
    Arm(name="reference, 2 rounds", sources=("reference",), rounds=2),
    Arm(name="sibling, beta 1", settings={"beta": 1.0}),
)
"""The most informative first. `trim` has no arm here: it needs loops, and answers of 128 tokens
hold next to none (`text_loops_in_log`). `retry` has none: a question has one turn."""


def main() -> None:
    args = _arguments()
    asked, arms = questions(), [arm for arm in ARMS if not args.only or arm.name in args.only]
    part = "heldout" if args.heldout else "dev"
    asked[part] = asked[part][: args.families]
    labs = [Lab(asked, part, seed) for seed in args.seeds]
    for lab in labs:
        run_all(args.json, lab, arms, begun=not args.heldout, control=CONTROL)
    if len(labs) > 1:
        pool(args.json, labs, arms)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="names of arms; all of them without it")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--heldout", action="store_true")
    parser.add_argument("--families", type=int, help="of the part, the first so many; default all")
    parser.add_argument("--json", type=Path, required=True)
    args = parser.parse_args()
    if args.heldout and not args.only:
        parser.error("--heldout opens the held-out families: name the arms with --only")
    return args


if __name__ == "__main__":
    main()
