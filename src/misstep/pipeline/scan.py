"""Scanning: logs to sessions to findings and verdicts, with the counts that `scan` prints.

In: paths. Out: a `Scanned`. No model, no torch, nothing written; `keep` writes it to a run folder
and `kept` reads it back.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import misstep
from misstep import ingest, store, validate
from misstep.config import RunConfig
from misstep.errors import InputError
from misstep.pipeline.job import Job, Progress, silent, stage
from misstep.types import Finding, Origin, Session, SetAside, Verdict

FILES = ("sessions.parquet", "findings.parquet", "verdicts.parquet", "set_aside.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """Everything that a scan found."""

    sessions: tuple[Session, ...]
    findings: tuple[Finding, ...]
    verdicts: tuple[Verdict, ...]
    set_aside: tuple[SetAside, ...]
    summary: Mapping[str, Any]
    """What `misstep scan --json` prints; schemas/summary.json."""


def scan(paths: Sequence[Path], config: RunConfig, *, progress: Progress = silent) -> Scanned:
    """Read and judge all logs under `paths`.

    Raises:
        InputError: a path does not exist, or a tools or schema file cannot be used.
        UnknownName: `ingest.format` is not a format.
    """
    started = time.perf_counter()
    settings = validate.settings(config.validate)
    read = ingest.ingest(
        paths,
        config=config.ingest,
        progress=lambda done, total: progress("reading", done, total),
    )
    findings: list[Finding] = []
    verdicts: list[Verdict] = []
    for number, session in enumerate(read.sessions, start=1):
        judged = validate.validate(session, settings)
        findings.extend(judged.findings)
        verdicts.extend(judged.verdicts)
        if number % 50 == 0 or number == len(read.sessions):
            progress("judging", number, len(read.sessions))
    summary = _counts(read.counts) | _tally(read.sessions, findings, verdicts)
    _by_format(summary["formats"], read.sessions, verdicts)
    summary["seconds"] = round(time.perf_counter() - started, 3)
    return Scanned(
        sessions=read.sessions,
        findings=tuple(findings),
        verdicts=tuple(verdicts),
        set_aside=read.set_aside,
        summary=summary,
    )


def _counts(counts: ingest.Counts) -> dict[str, Any]:
    return {
        "files": counts.files,
        "bytes": counts.bytes,
        "records": counts.records,
        "ignored": dict(counts.ignored),
        "set_aside": dict(counts.set_aside),
        "formats": {
            name: {"files": c.files, "records": c.records, "set_aside": c.set_aside}
            for name, c in sorted(counts.formats.items())
        },
    }


def _tally(
    sessions: Sequence[Session], findings: Sequence[Finding], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    codes: dict[str, Counter[str]] = defaultdict(Counter)
    for finding in findings:
        codes[finding.code][finding.level] += 1
    states = Counter(verdict.state for verdict in verdicts)
    suspect = {(f.session, f.step) for f in findings if f.level == "suspect"}
    return {
        "sessions": len(sessions),
        "steps": len(verdicts),
        "tool_calls": sum(len(s.messages[i].calls) for s in sessions for i in s.steps),
        "failed_steps": states["fail"],
        "suspect_steps": sum(1 for v in verdicts if (v.session, v.step) in suspect),
        "unjudged_steps": states["unjudged"],
        "codes": {
            code: {level: counted[level] for level in ("defect", "suspect", "info")}
            for code, counted in sorted(codes.items())
        },
        "tools": _by_tool(sessions, findings),
    }


def _by_tool(sessions: Sequence[Session], findings: Sequence[Finding]) -> dict[str, Any]:
    failed = {
        (f.session, f.step, f.call)
        for f in findings
        if f.level == "defect" and f.cause == "model" and f.call is not None
    }
    tools: dict[str, dict[str, int]] = defaultdict(lambda: {"calls": 0, "failed": 0})
    for session in sessions:
        for step in session.steps:
            for call in session.messages[step].calls:
                tools[call.name]["calls"] += 1
                tools[call.name]["failed"] += (session.id, step, call.index) in failed
    return dict(sorted(tools.items()))


def _by_format(
    formats: dict[str, dict[str, int]],
    sessions: Sequence[Session],
    verdicts: Sequence[Verdict],
) -> None:
    failed = Counter(v.session for v in verdicts if v.state == "fail")
    for name in {s.format for s in sessions}:
        formats.setdefault(name, {"files": 0, "records": 0, "set_aside": 0})
    for row in formats.values():
        row.update(sessions=0, steps=0, tool_calls=0, failed_steps=0)
    for session in sessions:
        row = formats[session.format]
        row["sessions"] += 1
        row["steps"] += len(list(session.steps))
        row["tool_calls"] += sum(len(session.messages[i].calls) for i in session.steps)
        row["failed_steps"] += failed[session.id]


def finding_rows(scanned: Scanned) -> list[dict[str, Any]]:
    """One plain row a finding, with the place in the logs that it leads back to."""
    by_id = {session.id: session for session in scanned.sessions}
    return [_finding_row(f, by_id[f.session]) for f in scanned.findings]


def _finding_row(finding: Finding, session: Session) -> dict[str, Any]:
    message = session.messages[finding.step]
    origin = message.origins[0] if message.origins else Origin(file="", format=session.format)
    return {
        "session": finding.session,
        "step": finding.step,
        "call": finding.call,
        "code": finding.code,
        "level": finding.level,
        "channel": finding.channel,
        "where": finding.where,
        "span": list(finding.span) if finding.span else None,
        "evidence": finding.evidence,
        "tags": list(finding.tags),
        "cause": finding.cause,
        "loop": asdict(finding.loop) if finding.loop else None,
        "origin": {"file": origin.file, "line": origin.line, "format": origin.format},
    }


def keep(scanned: Scanned, folder: store.RunFolder) -> dict[str, Any]:
    """Write a scan to a run folder; gives its summary."""
    store.write_rows(
        folder / "sessions.parquet",
        [
            {
                "id": s.id,
                "format": s.format,
                "family": s.family,
                "parent": s.parent,
                "messages": len(s.messages),
                "steps": len(list(s.steps)),
                "session": store.encode(s).decode(),
            }
            for s in scanned.sessions
        ],
        columns=("id", "session"),
    )
    rows = [
        row | {"finding": store.encode(f).decode(), "loop": None, "origin": _place(row["origin"])}
        for row, f in zip(finding_rows(scanned), scanned.findings, strict=True)
    ]
    store.write_rows(folder / "findings.parquet", rows, columns=("session", "code", "finding"))
    store.write_rows(
        folder / "verdicts.parquet",
        [
            {"session": v.session, "step": v.step, "state": v.state, "verdict": _text(v)}
            for v in scanned.verdicts
        ],
        columns=("session", "verdict"),
    )
    store.write_jsonl(folder / "set_aside.jsonl", scanned.set_aside, schema="set-aside")
    return dict(scanned.summary)


def scan_stage(job: Job, paths: Sequence[Path]) -> Scanned:
    """The scan of these paths, from the run folder where it is done already."""
    config = job.config
    _refuse(job, paths)
    given = [config.ingest.tools, config.validate.schema]
    key = store.key_of(
        "scan",
        misstep.__version__,
        [[str(path), store.file_digest(path)] for path in paths],
        [config.ingest, config.validate],
        [store.file_digest(Path(name)) for name in given if name and Path(name).is_file()],
    )

    def work() -> Mapping[str, Any]:
        return {**keep(scan(paths, config, progress=job.progress), job.folder), "key": key}

    stage(job, "scan", key=key, outputs=FILES, work=work)
    return kept(job.folder)


def _refuse(job: Job, paths: Sequence[Path]) -> None:
    run = job.folder.path.resolve()
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder; give the logs to read")
        if run.is_relative_to(path.resolve()):
            raise InputError(
                f"{job.folder.path}: lies inside the logs ({path}), so its own files would be read "
                f"as logs; choose a run folder beside them"
            )


def _place(origin: Mapping[str, Any]) -> str:
    return f"{origin['file']}:{origin['line']}" if origin["line"] else str(origin["file"])


def _text(value: Any) -> str:
    return store.encode(value).decode()


def kept(folder: store.RunFolder) -> Scanned:
    """The scan that `keep` wrote.

    Raises:
        InputError: the folder holds no scan.
    """
    return Scanned(
        sessions=tuple(
            store.decode(row["session"], Session)
            for row in store.read_rows(folder / "sessions.parquet")
        ),
        findings=tuple(
            store.decode(row["finding"], Finding)
            for row in store.read_rows(folder / "findings.parquet")
        ),
        verdicts=tuple(
            store.decode(row["verdict"], Verdict)
            for row in store.read_rows(folder / "verdicts.parquet")
        ),
        set_aside=tuple(store.read_jsonl(folder / "set_aside.jsonl", SetAside)),
        summary=folder.noted("scan"),
    )
