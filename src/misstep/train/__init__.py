"""Training: rows to an adapter, by SFT, DPO or KTO.

In: `Row` values and the name of a model. Out: a LoRA adapter folder and `Trained`. Rows that cannot
be used are set aside with a reason; nothing is cut to fit. torch and TRL are imported when a
stage starts, not before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from misstep.config import DpoConfig, KtoConfig, LoraConfig, RunConfig, SftConfig
from misstep.errors import ExtraMissing
from misstep.train.card import fill
from misstep.train.hub import Upload, check_repo, plan_upload, upload
from misstep.train.rows import Row, Trained, TrainSettings, usable

__all__ = [
    "Row",
    "TrainSettings",
    "Trained",
    "Upload",
    "check_repo",
    "fill",
    "memory_lines",
    "merge",
    "plan_upload",
    "train_dpo",
    "train_kto",
    "train_sft",
    "upload",
    "usable",
]


def train_sft(
    rows: Sequence[Row],
    *,
    base: str,
    adapter: Path | None,
    out: Path,
    config: SftConfig,
    lora: LoraConfig,
    run: TrainSettings,
) -> Trained:
    """The supervised stage; see `sft.train_sft`."""
    try:
        from misstep.train import sft
    except ModuleNotFoundError as error:
        raise ExtraMissing("train", error.name or "torch") from None
    return sft.train_sft(
        rows, base=base, adapter=adapter, out=out, config=config, lora=lora, run=run
    )


def train_dpo(
    rows: Sequence[Row],
    *,
    base: str,
    adapter: Path | None,
    out: Path,
    config: DpoConfig,
    lora: LoraConfig,
    run: TrainSettings,
) -> Trained:
    """The preference stage; see `dpo.train_dpo`."""
    try:
        from misstep.train import dpo
    except ModuleNotFoundError as error:
        raise ExtraMissing("train", error.name or "torch") from None
    return dpo.train_dpo(
        rows, base=base, adapter=adapter, out=out, config=config, lora=lora, run=run
    )


def train_kto(
    rows: Sequence[Row],
    *,
    base: str,
    adapter: Path | None,
    out: Path,
    config: KtoConfig,
    lora: LoraConfig,
    run: TrainSettings,
) -> Trained:
    """The unpaired stage; see `kto.train_kto`."""
    try:
        from misstep.train import kto
    except ModuleNotFoundError as error:
        raise ExtraMissing("train", error.name or "torch") from None
    return kto.train_kto(
        rows, base=base, adapter=adapter, out=out, config=config, lora=lora, run=run
    )


def merge(base: str, adapter: Path, out: Path, *, dtype: str = "auto") -> Path:
    """Base and adapter as one model folder; see `merging.merge`."""
    try:
        import peft as _  # noqa: F401
        import torch as _torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise ExtraMissing("train", error.name or "torch") from None
    from misstep.train import merging

    return merging.merge(base, adapter, out, dtype=dtype)


def memory_lines(config: RunConfig) -> list[str]:
    """What a training step takes, in lines, with what fits where; see `estimate.table`."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ExtraMissing("train", error.name or "torch") from None
    from misstep.train import estimate

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return estimate.table(estimate.estimate(config), config, device=device)
