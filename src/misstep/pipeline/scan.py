"""Scanning: logs to sessions to findings and verdicts, with the counts that `scan` prints.

In: paths. Out: a `Scanned` with everything in memory, or, where only files and figures are asked
for, a `Told` and the files, with nothing held. No model, no torch; `kept.py` writes a scan to a run
folder.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import orjson

from misstep import store
from misstep.config import RunConfig
from misstep.errors import ConfigError
from misstep.pipeline.digest import Digest, digest_of
from misstep.pipeline.gather import Gathered, gathered
from misstep.pipeline.job import Progress, silent
from misstep.pipeline.page import Page
from misstep.pipeline.partitions import DONE, Destination
from misstep.pipeline.rows import finding_row
from misstep.pipeline.since import SINCE, gathered_since
from misstep.types import Finding, Session, SetAside, Verdict
from misstep.validate import Judged

_SESSION = msgspec.json.Decoder(Session)
_FINDINGS = msgspec.json.Decoder(tuple[Finding, ...])
_DIGEST = msgspec.msgpack.Decoder(Digest)
_VERDICTS = msgspec.json.Decoder(tuple[Verdict, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """Everything that a scan found."""

    sessions: tuple[Session, ...]
    findings: tuple[Finding, ...]
    verdicts: tuple[Verdict, ...]
    set_aside: tuple[SetAside, ...]
    summary: Mapping[str, Any]
    """What `misstep scan --json` prints; schemas/summary.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a scan found, in figures."""

    summary: Mapping[str, Any]
    """What `misstep scan --json` prints; schemas/summary.json."""
    page: Mapping[str, Any] | None = None
    """What the failure page shows (`page.Page.rows`), where it was asked for."""


def scan(paths: Sequence[Path], config: RunConfig, *, progress: Progress = silent) -> Scanned:
    """Read and judge all logs under `paths`; everything is held in memory.

    Raises:
        InputError: a path does not exist, or a tools or schema file cannot be used.
        UnknownName: `ingest.format` is not a format.
    """
    started = time.perf_counter()
    wants = ("session", "findings", "verdicts")
    with gathered(paths, config, wants=wants, set_aside=True, progress=progress) as found:
        ledger = found.ledger
        return Scanned(
            sessions=tuple(_sessions(found)),
            findings=tuple(
                f for data, _ in ledger.kept("findings") for f in _FINDINGS.decode(data)
            ),
            verdicts=tuple(
                v for data, _ in ledger.kept("verdicts") for v in _VERDICTS.decode(data)
            ),
            set_aside=tuple(store.decode(line, SetAside) for line in ledger.asides()),
            summary=_timed(found, started),
        )


def tell(
    paths: Sequence[Path],
    config: RunConfig,
    *,
    findings: Path | None = None,
    set_aside: Path | None = None,
    page: bool = False,
    since: Path | None = None,
    parquet: str | None = None,
    progress: Progress = silent,
) -> Told:
    """Read and judge all logs under `paths`, session after session; nothing is held.

    Args:
        findings: where to write every finding, one JSON object a line (schemas/finding.json).
        set_aside: where to write every record that could not be used (schemas/set-aside.json).
        page: whether to gather what the failure page shows.
        since: folder with the state of the last scan: only what changed is read again.
        parquet: an empty folder or a URL for partitioned tables of sessions and findings.

    Raises:
        InputError: a path does not exist, or a tools or schema file cannot be used.
        UnknownName: `ingest.format` is not a format.
    """
    started = time.perf_counter()
    wants = ("rows",) * (findings is not None) + ("digest",) * page
    aside = set_aside is not None or page or parquet is not None
    if parquet is not None:
        _begin(parquet, since)
    source = (
        gathered(paths, config, wants=wants, set_aside=aside, parquet=parquet, progress=progress)
        if since is None
        else gathered_since(paths, config, since, wants=SINCE, progress=progress)
    )
    with source as found:
        if findings is not None:
            store.write_pieces(findings, (rows for rows, _ in found.ledger.kept("rows")))
        if set_aside is not None:
            store.write_pieces(set_aside, found.ledger.asides())
        if parquet is not None:
            to = Destination(parquet)
            to.write("set_aside.jsonl", b"".join(found.ledger.asides()))
            to.write(DONE, orjson.dumps(_timed(found, started), option=orjson.OPT_INDENT_2))
        shown = _page(found) if page else None
        return Told(summary=_timed(found, started), page=shown)


def _begin(parquet: str, since: Path | None) -> None:
    if since is not None:
        raise ConfigError("--parquet writes a whole scan, --since-last reads part of one; give one")
    Destination(parquet).begin()


def _timed(found: Gathered, started: float) -> dict[str, Any]:
    return {**found.summary, "seconds": round(time.perf_counter() - started, 3)}


def _sessions(found: Gathered) -> Iterator[Session]:
    for data, copies in found.ledger.kept("session"):
        session = _SESSION.decode(data)
        yield session if session.copies == copies else replace(session, copies=copies)


def _page(found: Gathered) -> dict[str, Any]:
    page = Page()
    for data, copies in found.ledger.kept("digest"):
        page.add(_DIGEST.decode(data), copies)
    for line in found.ledger.asides():
        page.set_aside(orjson.loads(line))
    return page.rows(found.ledger.books)


def page_of(scanned: Scanned) -> dict[str, Any]:
    """What the failure page shows of a scan that is held in memory."""
    page = Page()
    findings: dict[str, list[Finding]] = {}
    verdicts: dict[str, list[Verdict]] = {}
    for finding in scanned.findings:
        findings.setdefault(finding.session, []).append(finding)
    for verdict in scanned.verdicts:
        verdicts.setdefault(verdict.session, []).append(verdict)
    for session in scanned.sessions:
        found, told = findings.get(session.id, ()), verdicts.get(session.id, ())
        judged = Judged(findings=tuple(found), verdicts=tuple(told))
        page.add(digest_of(session, judged), session.copies)
    for entry in scanned.set_aside:
        page.set_aside(orjson.loads(store.encode(entry)))
    return page.rows()


def finding_rows(scanned: Scanned) -> list[dict[str, Any]]:
    """One plain row a finding, with the place in the logs that it leads back to."""
    by_id = {session.id: session for session in scanned.sessions}
    return [finding_row(f, by_id[f.session]) for f in scanned.findings]
