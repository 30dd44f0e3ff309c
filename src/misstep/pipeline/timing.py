"""Wall-clock of the answers of every arm, and the share of it that loops took: `timing.json`.

In: `answers/ARM.parquet` of a run folder. Out: one row for each arm and kind of answers, and what
the stages took (`spent`). Stands in a file of its own, since scores.json is the same for the same
answers and a clock never is. Answers that were drawn together share the steps of their batch;
`loop_seconds` is what was spent on answers that loop by either rule, not what the others would have
taken without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from misstep import mine, store, validate
from misstep.pipeline.job import Job
from misstep.pipeline.spent import spent
from misstep.types import Finding, Message

FILE = "timing.json"


def write_timing(job: Job, corpus: mine.Corpus, arms: Sequence[str]) -> list[dict[str, Any]]:
    """The rows, written to the run folder; an arm whose answers nobody timed has none."""
    settings = validate.settings(job.config.validate)
    rows = [row for arm in arms for row in _rows(job, corpus, arm, settings)]
    store.write_json(job.folder / FILE, {"rows": rows, "spent": spent(job.folder, job.config)})
    return rows


def _rows(
    job: Job, corpus: mine.Corpus, arm: str, settings: validate.Settings
) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in store.read_rows(job.folder / f"answers/{arm}.parquet"):
        if row.get("seconds") is None:
            continue
        message = store.decode(row["answer"], Message)
        tokens = message.usage.output_tokens if message.usage is not None else None
        into = found.setdefault(row["kind"], _nothing(arm, row["kind"]))
        looped = _loops(corpus, row, message, settings)
        into["answers"] += 1
        into["seconds"] += row["seconds"]
        into["tokens"] += tokens or 0
        into["loop_answers"] += looped
        into["loop_seconds"] += row["seconds"] * looped
    return [_rounded(row) for row in found.values()]


def _nothing(arm: str, kind: str) -> dict[str, Any]:
    empty = {"answers": 0, "seconds": 0.0, "tokens": 0, "loop_answers": 0, "loop_seconds": 0.0}
    return {"model": arm, "kind": kind, **empty}


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    seconds, loops = row["seconds"], row["loop_seconds"]
    return {
        **row,
        "seconds": round(seconds, 3),
        "loop_seconds": round(loops, 3),
        "loop_share": round(loops / seconds, 4) if seconds else 0.0,
        "seconds_per_answer": round(seconds / row["answers"], 4),
    }


def _loops(
    corpus: mine.Corpus, row: Mapping[str, Any], message: Message, settings: validate.Settings
) -> bool:
    if validate.published_loop(message.text, message.finish_reason):
        return True
    session = corpus.sessions[row["session"]]
    findings, _ = validate.judge(session, int(row["step"]), message, settings=settings)
    return any(map(_is_loop, findings))


def _is_loop(finding: Finding) -> bool:
    return finding.level == "defect" and finding.code.startswith("REP_")
