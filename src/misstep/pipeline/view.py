"""The view of a run folder: everything that the reports show, read back from its files.

In: a run folder, finished or not. Out: a `report.RunView`, and from it the summary, report.md and
report.html. Log text goes through `redact` on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

import misstep
from misstep import mine, report, store, train, validate
from misstep.config import RunConfig, load_config
from misstep.errors import InputError
from misstep.pipeline.job import Job
from misstep.pipeline.training import stage_of
from misstep.redact import redact
from misstep.types import Finding, Session, SetAside

SHOWN_FINDINGS = 200
SHOWN_PAIRS = 300


def write_reports(job: Job) -> None:
    """Write report.md and report.html into the run folder, and the table into the model card."""
    shown = view(job.folder.path)
    adapter = job.folder / "adapter"
    table = report.before_after(shown)
    if table and (adapter / "README.md").exists():
        train.fill(adapter, table)
    report.write_markdown(shown, job.folder / "report.md")
    report.write_html(shown, job.folder / "report.html")


def view(folder: Path) -> report.RunView:
    """What the reports show of a run.

    Raises:
        InputError: the folder holds no scan.
    """
    run = store.RunFolder(folder)
    summary = run.noted("scan")
    if not summary:
        raise InputError(f"{folder}: not a run folder (no finished scan in state.json)")
    config = load_config(folder / "config.yaml")
    mined, pairs = run.noted("mine"), _pairs(run, config)
    trained = run.noted("train adapter")
    return report.RunView(
        title=folder.name,
        summary=summary,
        findings=_findings(run),
        pairs=pairs[:SHOWN_PAIRS],
        pairs_total=mined.get("pairs"),
        trained=trained.get("rows"),
        sources=mined.get("sources", {}),
        refused=mined.get("refused", {}),
        unpaired=mined.get("unpaired", 0),
        on_policy_share=mined.get("share"),
        scores=store.read_json(folder / "scores.json")
        if (folder / "scores.json").exists()
        else None,
        training=tuple(_training(run)),
        model=config.model,
        adapter=str(folder / "adapter") if trained else None,
        config=yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")),
        version=misstep.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        notes=tuple(note for note in (mined.get("policy"),) if note),
    )


def scan_view(summary: Mapping[str, Any], page: Mapping[str, Any], title: str) -> report.ScanView:
    """What the failure page shows of a scan."""
    return report.ScanView(title=title, summary=summary, page=page, version=misstep.__version__)


def _clean(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "evidence": redact(str(row["evidence"])).text}


def _findings(run: store.RunFolder) -> list[dict[str, Any]]:
    rows = store.read_rows(run / "findings.parquet")
    defects = [row for row in rows if row["level"] == "defect"][:SHOWN_FINDINGS]
    return [_clean(row) | {"origin": _place(row["origin"])} for row in defects]


def _place(text: str) -> dict[str, Any]:
    file, colon, line = text.rpartition(":")
    if colon and line.isdigit():
        return {"file": file, "line": int(line), "format": ""}
    return {"file": text, "line": None, "format": ""}


def _pairs(run: store.RunFolder, config: RunConfig) -> list[dict[str, Any]]:
    path = run / "pairs/train.parquet"
    if not path.exists():
        return []
    settings = validate.settings(config.validate, own=False)
    rows = store.read_rows(path)[:SHOWN_PAIRS]
    wanted = {row["session"] for row in rows}
    sessions = {
        name: store.decode(data, Session)
        for name, data in store.read_stream(run / "sessions.parquet", ("id", "session"))
        if name in wanted
    }
    return [row | {"marks": _marks(row, sessions[row["session"]], settings)} for row in rows]


def _marks(
    row: Mapping[str, Any], session: Session, settings: validate.Settings
) -> Sequence[Mapping[str, Any]]:
    """Where in the rejected side the failures lie: the validators say it again."""
    rejected = mine.row_to_sides(row).rejected
    if rejected is None:
        return []
    findings, _ = validate.judge(
        session, int(row["step"]), rejected, settings=settings, demand_call=True
    )
    return [mark(f) for f in findings if f.level == "defect"]


def mark(finding: Finding) -> dict[str, Any]:
    """Where a finding lies in its side, without secrets: what a pair view underlines."""
    start, end = finding.span or (0, 0)
    return {
        "channel": finding.channel,
        "call": finding.call,
        "start": start,
        "end": end,
        "code": finding.code,
        "evidence": redact(finding.evidence).text,
    }


def _training(run: store.RunFolder) -> list[report.Training]:
    last = stage_of(run / "adapter") or "dpo"
    stages = (("sft", "train sft"), (last, "train adapter"), ("control", "train control"))
    noted = [(name, run.noted(stage)) for name, stage in stages]
    return [
        report.Training(
            stage=name,
            log=facts["log"],
            steps=facts["steps"],
            rows=facts["rows"],
            set_aside=Counter(store.decode(s, SetAside).reason for s in facts["set_aside"]),
        )
        for name, facts in noted
        if facts
    ]
