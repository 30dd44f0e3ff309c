"""Run by several processes at once: stages on the tiny model; each tells what it was given.

accelerate launch ... several.py MODEL FOLDER JOBS, JOBS as JSON: {name: [stage, changes]}
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from misstep import train
from misstep.train import ranks
from training import DPO, KTO, LORA, SFT, labelled, pairs, settings

STAGES = {
    "sft": (train.train_sft, SFT),
    "dpo": (train.train_dpo, replace(DPO, loss_weights=(1.0, 0.5))),
    "kto": (train.train_kto, KTO),
}


def main(tiny: str, folder: str, jobs: str) -> None:
    """Do each job into the folder and leave `told.RANK` with what this process was given."""
    told = {}
    for name, (stage, changes) in json.loads(jobs).items():
        heard: list[int] = []
        do, config = STAGES[stage]
        lora = replace(LORA, enabled=changes.pop("adapter", True))
        trained = do(
            labelled(18) if stage == "kto" else pairs(18),
            base=tiny,
            adapter=None,
            out=Path(folder) / name,
            config=replace(config, **changes),
            lora=lora,
            run=settings(progress=lambda step, *_, heard=heard: heard.append(step)),
        )
        losses = [entry["loss"] for entry in trained.log if "loss" in entry]
        told[name] = {"losses": losses, "steps": trained.steps, "sha256": trained.sha256}
        told[name]["stopped"] = trained.stopped
        told[name]["change"] = [
            log.get("logps/chosen_change") for log in trained.log if "loss" in log
        ]
        told[name]["heard"] = heard
    path = Path(folder) / f"told.{ranks.rank()}"
    path.write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
