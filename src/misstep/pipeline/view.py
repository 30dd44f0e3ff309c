"""The view of a run folder: everything that the reports show, read back from its files.

In: a run folder, finished or not. Out: a `report.RunView`, and from it the summary, report.md and
report.html. Log text goes through `redact` on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

import misstep
from misstep import mine, report, store, train, validate
from misstep.config import RunConfig, load_config
from misstep.errors import InputError
from misstep.evaluate.effect import CONTROL
from misstep.pipeline.digest import digest_of
from misstep.pipeline.disagreed import disagreed
from misstep.pipeline.excerpt import span_of
from misstep.pipeline.job import RFT, Job
from misstep.pipeline.kept import judged_of
from misstep.pipeline.mining import AS_SET
from misstep.pipeline.page import Page
from misstep.pipeline.pageview import page_rows
from misstep.pipeline.spent import parts_of
from misstep.pipeline.tally import unseen_said
from misstep.pipeline.timing import FILE as TIMING
from misstep.pipeline.training import stage_of
from misstep.redact import redact
from misstep.report.tables import funnel
from misstep.report.words import many
from misstep.types import Finding, Message, Session, SetAside


def write_reports(job: Job, *, measured: Path | None = None) -> None:
    """Write report.md and report.html into the run folder, and the table into the model card.

    Args:
        measured: the adapter whose figures these are, that of the run by default; the card of
            another one is left alone.
    """
    shown = view(job.folder.path, whole=True)
    adapter = job.folder / "adapter"
    table = report.before_after(shown)
    own = measured is None or measured.resolve() == adapter.resolve()
    if table and own and (adapter / "README.md").exists():
        reached = ((name, count) for name, count in funnel(shown) if count is not None)
        steps = " → ".join(many(count, name.removesuffix("s"), name) for name, count in reached)
        train.fill(adapter, table, funnel=f"{steps}\n\n{_stages(shown, job.config)}")
    report.write_markdown(shown, job.folder / "report.md")
    report.write_html(shown, job.folder / "report.html")


def view(folder: Path, *, whole: bool = False) -> report.RunView:
    """What the reports show of a run.

    Args:
        whole: also the failure part and the pairs, which only report.html shows.

    Raises:
        InputError: the folder holds no scan.
    """
    run = store.RunFolder(folder)
    summary = run.noted("scan")
    if not summary:
        raise InputError(f"{folder}: not a run folder (no finished scan in {store.STAGES})")
    config = load_config(folder / "config.yaml")
    mined, trained = run.noted("mine"), run.noted("train adapter")
    trains = mined.get("policy") != AS_SET  # `misstep mine` has no model under training
    scores = folder / "scores.json"
    measured = store.read_json(scores) if scores.exists() else None
    return report.RunView(
        title=folder.name,
        summary=summary,
        page=_page(run) if whole else {},
        pairs=_pairs(run, config) if whole else (),
        pairs_total=mined.get("pairs"),
        pairs_train=mined.get("parts", {}).get("train"),
        trained=trained.get("rows"),
        sources=mined.get("sources", {}),
        refused=mined.get("refused", {}),
        unpaired=mined.get("unpaired", 0),
        on_policy_share=mined.get("share") if trains else None,
        scores=measured,
        timing=_timing(folder, "rows"),
        spent=_spent(folder, measured),
        disagreements=disagreed(folder, measured) if whole else (),
        pages=page_rows(folder, config, _arms(measured)) if whole else (),
        training=tuple(_training(run, config)),
        rounds=tuple(_rounds(run, config)),
        model=config.model,
        adapter=_adapter(folder, measured) if trained else None,
        report=str(page) if (page := folder / "report.html").exists() else None,
        config=yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")),
        version=misstep.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        notes=tuple(n for n in (mined.get("policy") if trains else "", unseen_said(summary)) if n),
    )


def _adapter(folder: Path, scores: Mapping[str, Any] | None) -> str | None:
    """The adapter that the figures are of; None where it lies outside of the run, or is no more."""
    figures = (scores or {}).get("adapter")
    if not figures:
        return str(folder / "adapter")
    known = (*(folder / name for name in ("adapter", "sft", CONTROL)), folder / RFT / "adapter")
    return next((str(path) for path in known if store.weights_digest(path) == figures), None)


def _timing(folder: Path, part: str) -> Sequence[Mapping[str, Any]]:
    path = folder / TIMING
    told = store.read_json(path) if path.exists() else {}
    rows: Sequence[Mapping[str, Any]] = told.get(part, ())
    return rows


def _spent(folder: Path, scores: Mapping[str, Any] | None) -> Sequence[Mapping[str, Any]]:
    """What the measured adapter took; nothing where another one than the run's was measured."""
    rows = _timing(folder, "spent")
    known = {row.get("adapter") for row in rows} - {None}
    return rows if scores is not None and scores.get("adapter") in known else ()


def _arms(scores: Mapping[str, Any] | None) -> list[str]:
    """The models whose answers were measured, in the order of their stages."""
    figures = () if scores is None else scores.get("degeneration", {}).get("scores", ())
    return list(dict.fromkeys(row["model"] for row in figures))


def scan_view(summary: Mapping[str, Any], page: Mapping[str, Any], title: str) -> report.ScanView:
    """What the failure page shows of a scan."""
    return report.ScanView(title=title, summary=summary, page=page, version=misstep.__version__)


def _page(run: store.RunFolder) -> dict[str, Any]:
    """What fails, session by session; the secrets of what is quoted are taken out."""
    page = Page()
    for session, judged in judged_of(run):
        page.add(digest_of(session, judged), session.copies)
    return page.rows()


def _pairs(run: store.RunFolder, config: RunConfig) -> list[dict[str, Any]]:
    """The first pairs with their marks; of the sessions only one is held at a time."""
    path = run / "pairs/train.parquet"
    if not path.exists():
        return []
    settings = validate.settings(config.validate, own=False)
    rows = store.read_slice(path, 0, report.MAX_PAIRS)
    wanted: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        wanted.setdefault(row["session"], []).append(row)
    for name, data in store.read_stream(run / "sessions.parquet", ("id", "session")):
        if name in wanted:
            session = store.decode(data, Session)
            for row in wanted[name]:
                row["marks"] = _marks(row, session, settings)
    return rows


def _marks(
    row: Mapping[str, Any], session: Session, settings: validate.Settings
) -> Sequence[Mapping[str, Any]]:
    """Where in the rejected side the failures lie: the validators say it again."""
    sides = mine.row_to_sides(row)
    rejected = sides.rejected
    if rejected is None:
        return []
    findings, _ = validate.judge(
        session,
        int(row["step"]),
        rejected,
        settings=settings,
        demand_call=bool(sides.chosen.calls),
    )
    return [mark(f, rejected) for f in findings if f.level == "defect"]


def mark(finding: Finding, side: Message) -> dict[str, Any]:
    """Where a finding lies in its side, without secrets: what a pair view underlines."""
    start, end = span_of(finding, _channel(finding, side)) or (0, 0)
    return {
        "channel": finding.channel,
        "call": finding.call,
        "start": start,
        "end": end,
        "named": finding.code == "TOOL_UNKNOWN",
        "code": finding.code,
        "evidence": redact(finding.evidence).text,
    }


def _channel(finding: Finding, side: Message) -> str:
    """The text that a finding's offsets count in."""
    if finding.channel == "arguments":
        call = finding.call
        return side.calls[call].arguments if call is not None and call < len(side.calls) else ""
    return side.reasoning if finding.channel == "reasoning" else side.text


def _rounds(run: store.RunFolder, config: RunConfig) -> Iterator[dict[str, Any]]:
    parts = parts_of(run, config)
    for name, part in parts if len(parts) > 1 else ():
        asked, mined = part.noted("answers resample"), part.noted("mine")
        trained = part.noted("train adapter")
        yield {
            "round": name,
            **{name: asked.get(name) for name in ("prompts", "answers")},
            **{name: mined.get(name) for name in ("pairs", "unpaired")},
            **{name: trained.get(name) for name in ("rows", "steps")},
        }


def _stages(shown: report.RunView, config: RunConfig) -> str:
    """The stages behind an adapter, in a table for its card."""
    lines = ["| stage | rows | steps | learning_rate |", "|---|---:|---:|---:|"]
    for each in shown.training:
        if each.stage != "control":
            rate = getattr(config, each.stage.split()[0]).learning_rate
            lines.append(f"| {each.stage} | {each.rows} | {each.steps} | {rate:g} |")
    return "\n".join(lines)


def _training(run: store.RunFolder, config: RunConfig) -> list[report.Training]:
    last = stage_of(run / "adapter") or "dpo"
    parts = parts_of(run, config)
    several = sum(name != RFT for name, _ in parts) > 1
    noted = [("sft", run.noted("train sft"))]
    for name, each in parts:
        stage = name if name == RFT else f"{last} {name}" if several else last
        noted.append((stage, each.noted("train adapter")))
    if not parts:
        noted.append((last, run.noted("train adapter")))
    noted.append(("control", run.noted("train control")))
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
