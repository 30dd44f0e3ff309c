"""What a run took to make: answers drawn, rows, steps, tokens and wall-clock of each stage.

In: a run folder. Out: one row for each stage that left anything, in their order. Seconds are those
of the call that finished a stage, on the machine that it ran on; what an interrupted call had spent
before is not in them. None stands for what nobody noted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from misstep import store
from misstep.config import RunConfig
from misstep.pipeline.job import RFT, ROUNDS
from misstep.types import Message

_ANSWERS = "answers/resample.parquet"
Parts = list[tuple[str, store.RunFolder]]


def parts_of(run: store.RunFolder, config: RunConfig) -> Parts:
    """The folders of the rounds with their names, `rft` first; the run's own where it is one."""
    several = config.rounds > 1 and bool(run.noted("answers resample"))
    numbers = range(1, config.rounds + 1) if several else ()
    parts = [(RFT, store.RunFolder(run / RFT))] if config.rft.enabled else []
    parts += [(str(n), store.RunFolder(run / f"{ROUNDS}/{n}")) for n in numbers]
    if not several:
        parts.append(("1", run))
    return [(name, folder) for name, folder in parts if folder.noted("mine")]


def spent(run: store.RunFolder, config: RunConfig) -> list[dict[str, Any]]:
    """Rows of `stage round answers rows steps tokens seconds adapter`.

    Stages are `sft`, `sample`, `train` (the preference stage, or the one of `rft`) and `control`;
    `adapter` is the SHA-256 of what was trained. The tokens of a training are those that it passed
    over, both sides of a pair.
    """
    rows = [_trained(run, "sft", "sft", "")]
    for name, folder in parts_of(run, config):
        rows += [_sampled(folder, name), _trained(folder, "adapter", "train", name)]
    rows.append(_trained(run, "control", "control", ""))
    return [row for row in rows if row is not None]


def _sampled(folder: store.RunFolder, name: str) -> dict[str, Any] | None:
    if not (folder / _ANSWERS).exists():
        return None
    count, seconds, tokens = 0, list[float | None](), list[int | None]()
    for row in store.read_rows(folder / _ANSWERS):
        usage = store.decode(row["answer"], Message).usage
        count += 1
        seconds.append(row.get("seconds"))
        tokens.append(None if usage is None else usage.output_tokens)
    whole = _whole(tokens)
    return {
        "stage": "sample",
        "round": name,
        "answers": count,
        "tokens": None if whole is None else int(whole),
        "seconds": _whole(seconds),
    }


def _whole(values: list[float | None] | list[int | None]) -> float | None:
    """The sum; None where one is missing."""
    known = [value for value in values if value is not None]
    return round(sum(known), 3) if len(known) == len(values) else None


def _trained(folder: store.RunFolder, output: str, stage: str, name: str) -> dict[str, Any] | None:
    entry = folder.entry(f"train {output}")
    if entry is None:
        return None
    facts = entry["facts"]
    return {
        "stage": stage,
        "round": name,
        "rows": facts["rows"],
        "steps": facts["steps"],
        "tokens": _tokens(facts["log"]),
        "seconds": entry.get("seconds"),
        "adapter": facts["sha256"],
    }


def _tokens(log: list[Mapping[str, Any]]) -> int | None:
    """What the trainer had counted at its last step."""
    counted: Iterator[float] = (row["num_tokens"] for row in reversed(log) if "num_tokens" in row)
    last = next(counted, None)
    return None if last is None else int(last)
