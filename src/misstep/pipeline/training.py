"""Training: SFT, then DPO or KTO, and the control, each an adapter folder in the run.

In: rows that `mining` wrote. Out: `sft`, `adapter`, `control`: LoRA adapters on one base,
each with the content hashes of the prompts that it was trained on. The DPO stage continues the
SFT adapter, so one adapter carries both.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from misstep import models, store, train
from misstep.pipeline.job import RFT, Job, stage
from misstep.pipeline.measuring import TRAINED

Kind = Literal["sft", "rft", "dpo", "kto"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """An adapter that a stage trained, or none where the stage had no rows."""

    path: Path | None
    key: str
    """Content hash of its weights; empty without an adapter."""
    facts: Mapping[str, Any]


def sft_stage(job: Job, rows: Sequence[train.Row]) -> Adapter:
    """Supervised fine-tuning on accepted steps."""
    return _train(job, "sft", rows, kind="sft", start=None)


def rft_stage(job: Job, rows: Sequence[train.Row], start: Adapter | None) -> Adapter:
    """Supervised fine-tuning on the chosen sides of pairs, from the SFT adapter if there is one."""
    return _train(job, "adapter", _chosen(rows), kind="rft", start=start)


def dpo_stage(job: Job, rows: Sequence[train.Row], start: Adapter | None) -> Adapter:
    """Preference optimisation on pairs, from the SFT adapter where there is one."""
    return _train(job, "adapter", rows, kind="dpo", start=start)


def kto_stage(job: Job, rows: Sequence[train.Row], start: Adapter | None) -> Adapter:
    """Optimisation on labelled answers, from the SFT adapter where there is one."""
    return _train(job, "adapter", rows, kind="kto", start=start)


class Taught(Protocol):
    """What the preference stage was given, over all its rounds."""

    @property
    def rows(self) -> Sequence[train.Row]: ...
    @property
    def steps(self) -> int: ...
    @property
    def left_out(self) -> Sequence[str]: ...


def control_stage(job: Job, taught: Taught, start: Adapter | None) -> Adapter:
    """The control: SFT continued on the chosen sides of the same pairs for the same steps.

    The rows are those that the preference stage trained on; equal chosen sides count once. The
    learning rate is that of the SFT which it continues: DPO's own, a third of it or a tenth, would
    leave SFT where it was, and a control that does nothing flatters the preference.
    """
    left_out = set(taught.left_out)
    chosen = _chosen([row for row in taught.rows if row.id not in left_out and row.label])
    after = job.config.kto if job.config.kto.enabled else job.config.dpo
    behind = start is not None and start.path is not None and start.path.parent.name == RFT
    before = job.config.rft if behind else job.config.sft
    sft = dataclasses.replace(
        job.config.sft,
        learning_rate=before.learning_rate,
        per_device_train_batch_size=after.per_device_train_batch_size,
        gradient_accumulation_steps=after.gradient_accumulation_steps,
        warmup_ratio=after.warmup_ratio,
        max_length=after.max_length,
        max_rows=-1,
        max_steps=taught.steps,
    )
    budget = dataclasses.replace(
        job.config.budget, max_prompt=models.budget_of(job.config).max_prompt
    )
    config = dataclasses.replace(job.config, sft=sft, budget=budget)
    return _train(
        dataclasses.replace(job, config=config), "control", chosen, kind="sft", start=start
    )


def _chosen(rows: Sequence[train.Row]) -> list[train.Row]:
    return [dataclasses.replace(row, rejected=None, cut=False) for row in rows]


def _train(
    job: Job, name: str, rows: Sequence[train.Row], *, kind: Kind, start: Adapter | None
) -> Adapter:
    if not rows:
        return Adapter(path=None, key="", facts={})
    config = job.config
    ref = models.resolve(config.model)
    base_hash = models.unpacked(ref)[1]
    tokenizer, _ = models.load_tokenizer(ref)
    settings = _settings(job, kind)
    key = store.key_of(
        kind,
        (base_hash, models.settings_of(ref)),
        str(tokenizer.chat_template),
        start.key if start else "",
        [[row.id, store.encode(row).decode()] for row in rows],
        [settings, config.lora, config.seed, config.dtype, models.budget_of(config)],
        config.images,
    )
    facts = stage(
        job,
        f"train {name}",
        key=key,
        outputs=[name],
        work=lambda: _work(job, name, rows, kind=kind, start=start),
    )
    return Adapter(path=job.folder / name, key=str(facts["sha256"]), facts=facts)


def _settings(job: Job, kind: Kind) -> Any:
    config = job.config
    return {"sft": config.sft, "rft": config.rft, "dpo": config.dpo, "kto": config.kto}[kind]


def _work(
    job: Job, name: str, rows: Sequence[train.Row], *, kind: Kind, start: Adapter | None
) -> Mapping[str, Any]:
    config = job.config
    run = train.TrainSettings(
        seed=config.seed,
        dtype=config.dtype,
        progress=lambda step, steps, loss: job.progress(_told(name, loss), step, steps),
        say=job.say,
        report_to=config.report_to,
        budget=models.budget_of(config),
        control=name == "control",
        gradient_checkpointing=config.gradient_checkpointing,
        images=job.gallery,
    )
    first = start.path if start else None
    out = job.folder / name
    stages: dict[Kind, Callable[..., train.Trained]] = {
        "sft": train.train_sft,
        "rft": train.train_sft,
        "dpo": train.train_dpo,
        "kto": train.train_kto,
    }
    trained = stages[kind](
        rows,
        base=config.model,
        adapter=first,
        out=out,
        config=_settings(job, kind),
        lora=config.lora,
        run=run,
    )
    return {
        "stage": kind,
        "steps": trained.steps,
        "rows": trained.rows,
        "sha256": trained.sha256,
        "log": list(trained.log),
        "stopped": trained.stopped,
        "focus": dict(trained.focus),
        "left_out": [each.origin.row for each in trained.set_aside if each.origin.row],
        "set_aside": [store.encode(each).decode() for each in trained.set_aside],
    }


def _told(name: str, loss: float) -> str:
    """The label of the progress; what follows the dot changes from step to step."""
    return f"train {name} · loss {loss:.3f}" if math.isfinite(loss) else f"train {name}"


def adapter_at(path: Path) -> Adapter | None:
    """The adapter in a folder; None where there is none."""
    key = store.weights_digest(path)
    return Adapter(path=path, key=key, facts={}) if key else None


def continued(path: Path) -> str:
    """Content hash of the adapter that this one was started from; empty where there was none."""
    note = path / models.ADAPTER_NOTE
    return str(store.read_json(note).get("continued") or "") if note.exists() else ""


def stage_of(path: Path) -> str:
    """The stage that made the adapter; empty where nothing says so."""
    note = path / models.ADAPTER_NOTE
    return str(store.read_json(note).get("stage") or "") if note.exists() else ""


def note_trained(adapter: Adapter, hashes: Sequence[str]) -> None:
    """Write the content hashes of the trained prompts beside the adapter."""
    if adapter.path is not None:
        store.write_json(adapter.path / TRAINED, {"prompts": sorted(set(hashes))})
