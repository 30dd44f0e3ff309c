"""A scan in a run folder: written as it comes, read back as a corpus that lies on disk.

In: paths and a run folder. Out: `sessions.parquet`, `findings.parquet`, `verdicts.parquet`,
`set_aside.jsonl`, and the `mine.Corpus` of a folder that holds them. Both ways session by session:
memory does not grow with the logs but for a few hundred bytes a session and a few dozen a step.
`findings.parquet` is redacted; the findings as they were made lie beside their session, since a
pointer without its secrets and people leads to no place in a text any more.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import orjson

import misstep
from misstep import ingest, mine, store, validate
from misstep.config import RunConfig
from misstep.pipeline.away import unspread
from misstep.pipeline.forgotten import forgotten, key_without, summary_without
from misstep.pipeline.gather import Gathered, gathered
from misstep.pipeline.job import IMAGES, Job, stage
from misstep.pipeline.shelf import Findings, Sessions, Shelf
from misstep.pipeline.tally import Tally, unseen_said
from misstep.types import Finding, Session, Verdict
from misstep.validate import Judged

FILES = ("sessions.parquet", "findings.parquet", "verdicts.parquet", "set_aside.jsonl")
_WANTS = ("rows", "session", "findings", "verdicts", "facts")
_FORM = 4
"""Of the files; a folder in another form is scanned again."""
_SESSION = msgspec.json.Decoder(Session)
_FINDINGS = msgspec.json.Decoder(tuple[Finding, ...])
_VERDICT = msgspec.json.Decoder(Verdict)
_VERDICTS = msgspec.json.Decoder(tuple[Verdict, ...])
_FACT = msgspec.msgpack.Decoder(mine.Fact)


class _Role(msgspec.Struct):
    role: str


class _Outline(msgspec.Struct):
    """What the columns of a session's row hold, read without the rest of it."""

    id: str
    format: str
    messages: list[_Role]
    family: str = ""
    parent: str | None = None
    prefix: int = 0
    copies: int = 1


_OUTLINE = msgspec.json.Decoder(_Outline)


def scan_stage(job: Job, paths: Sequence[Path]) -> mine.Corpus:
    """The scan of these paths, from the run folder where it is done already."""
    images = str(job.folder / IMAGES)
    config = replace(job.config, ingest=replace(job.config.ingest, images=images))
    given = [config.ingest.tools, config.validate.schema, config.ingest.pages.schema]
    web = config.ingest.allow_https
    gone = forgotten(job.folder.path)
    logs = sorted({store.key_of(_full(path)) for path in paths})
    base = store.key_of(
        "scan",
        [misstep.__version__, _FORM],
        [[ingest.spelled(str(path)), ingest.digest_of(path, web=web)] for path in paths],
        [unspread(config.ingest), config.validate],
        [store.file_digest(Path(name)) for name in given if name and Path(name).is_file()],
        validate.own_identity(config.validate),
    )
    key = key_without(base, gone)
    outputs = [*FILES]

    def work() -> Mapping[str, Any]:
        started = time.perf_counter()
        with gathered(paths, config, wants=_WANTS, set_aside=True, progress=job.progress) as found:
            _keep(found, job.folder, gone)
            if (job.folder / IMAGES).is_dir():
                outputs.append(IMAGES)
            summary = summary_without(found.summary, _tallies(found, gone))
            seconds = round(time.perf_counter() - started, 3)
            return {**summary, "seconds": seconds, "key": key, "base": base, "logs": logs}

    _note_others(job, key, logs)
    stage(job, "scan", key=key, outputs=outputs, work=work)
    if unseen := unseen_said(job.folder.noted("scan")):
        job.say(unseen)
    return corpus_of(job.folder)


def _note_others(job: Job, key: str, logs: Sequence[str]) -> None:
    """Say that what was mined from other logs goes; logs that grew, or more of them, are no others.

    The state holds hashes of their paths, since the paths themselves may tell of the user.
    """
    known = job.folder.noted("scan").get("logs")
    if known is None or job.folder.entry("mine") is None:
        return
    if job.folder.facts("scan", key) is None and not set(known) <= set(logs):
        job.say(f"{job.folder.path}: held pairs of other logs (other paths); it is made anew")


def why_nothing(
    corpus: mine.Corpus, config: RunConfig, set_aside: Mapping[str, int] | None = None
) -> str | None:
    """Why a run on these logs would train nothing; None where something could come of it.

    Args:
        set_aside: records that could not be used, by reason, where a run folder has each.
    """
    if not corpus.verdicts:
        said = "no agent step was found in these logs"
        aside = ", ".join(f"{reason} {count:,}" for reason, count in (set_aside or {}).items())
        return f"{said}; set aside: {aside}, each in set_aside.jsonl" if aside else said
    if not corpus.failed() and config.mine.on_policy_share <= 1:
        return "no step in these logs failed; there is nothing to learn from"
    return None


def _full(path: Path) -> str:
    return ingest.spelled(str(path.resolve() if path.exists() else path))


def _keep(found: Gathered, folder: store.RunFolder, gone: Container[str]) -> None:
    """Write a scan to a run folder, without the sessions that were forgotten."""
    sessions = (row for row in _session_rows(found) if row["id"] not in gone)
    findings = (row for row in _finding_rows(found) if row["session"] not in gone)
    verdicts = (row for row in _verdict_rows(found) if row["session"] not in gone)
    store.stream_rows(folder / "sessions.parquet", sessions, _SESSION_COLUMNS)
    store.stream_rows(folder / "findings.parquet", findings, _FINDING_COLUMNS)
    store.stream_rows(folder / "verdicts.parquet", verdicts, _VERDICT_COLUMNS)
    store.write_pieces(folder / "set_aside.jsonl", found.ledger.asides())


def _tallies(found: Gathered, gone: Collection[str]) -> Iterator[tuple[str, Tally]]:
    """Format and figures of the sessions that were forgotten."""
    if gone:
        both = zip(found.ledger.kept("session"), found.ledger.tallies(), strict=True)
        yield from (told for (data, _), told in both if _OUTLINE.decode(data).id in gone)


_SESSION_COLUMNS = {
    "id": "text",
    "format": "text",
    "family": "text",
    "parent": "text",
    "messages": "number",
    "steps": "number",
    "session": "text",
    "findings": "text",
    "facts": "bytes",
}
_VERDICT_COLUMNS = {"session": "text", "step": "number", "state": "text", "verdict": "text"}
_FINDING_COLUMNS = {
    "session": "text",
    "step": "number",
    "call": "number",
    "code": "text",
    "level": "text",
    "channel": "text",
    "where": "text",
    "span": "numbers",
    "evidence": "text",
    "tags": "texts",
    "cause": "text",
    "origin": "text",
}


def _session_rows(found: Gathered) -> Iterator[dict[str, Any]]:
    kept = found.ledger.kept
    every = zip(kept("session"), kept("findings"), kept("facts"), strict=True)
    for (data, copies), (blame, _), (facts, _) in every:
        known = _OUTLINE.decode(data)
        if known.copies != copies:
            data = store.encode(replace(_SESSION.decode(data), copies=copies))
        own = known.messages[known.prefix :]
        yield {
            "id": known.id,
            "format": known.format,
            "family": known.family,
            "parent": known.parent,
            "messages": len(known.messages),
            "steps": sum(message.role == "assistant" for message in own),
            "session": data.decode(),
            "findings": blame.decode(),
            "facts": facts,
        }


def _verdict_rows(found: Gathered) -> Iterator[dict[str, Any]]:
    for data, _ in found.ledger.kept("verdicts"):
        for verdict in _VERDICTS.decode(data):
            yield {
                "session": verdict.session,
                "step": verdict.step,
                "state": verdict.state,
                "verdict": _text(verdict),
            }


def _finding_rows(found: Gathered) -> Iterator[dict[str, Any]]:
    for rows, _ in found.ledger.kept("rows"):
        for line in rows.splitlines():
            row = orjson.loads(line)
            row["origin"] = _place(row["origin"])
            del row["loop"]
            yield row


def _place(origin: Mapping[str, Any]) -> str:
    return f"{origin['file']}:{origin['line']}" if origin["line"] else str(origin["file"])


def _text(value: Any) -> str:
    return store.encode(value).decode()


def corpus_of(folder: store.RunFolder) -> mine.Corpus:
    """The corpus of a run folder that was scanned before; it reads sessions when they are asked.

    Raises:
        InputError: the folder holds no scan.
    """
    store.expect(folder / "sessions.parquet")
    shelf = Shelf(folder.path)
    sessions, findings, index = Sessions(shelf), Findings(shelf), mine.Index()
    verdicts = by_session(folder / "verdicts.parquet", "verdict")
    found = _blamed(folder)
    judged, blamed = next(verdicts, None), next(found, None)
    for row in store.read_stream(folder / "sessions.parquet", ("id", "session", "facts")):
        name, data, facts = row
        sessions.put(name, data.encode())
        said: Sequence[str] = ()
        if judged is not None and judged[0] == name:
            said, judged = judged[1], next(verdicts, None)
        index.add(_FACT.decode(facts), map(_VERDICT.decode, said))
        if blamed is not None and blamed[0] == name:
            findings.put(name, blamed[1].encode())
            blamed = next(found, None)
    shelf.done()
    images = folder / IMAGES
    return mine.Corpus(
        sessions=sessions,
        verdicts=mine.Verdicts(index),
        findings=findings,
        index=index,
        images=images if images.is_dir() else None,
    )


def by_session(path: Path, column: str) -> Iterator[tuple[str, list[str]]]:
    """The JSON of each session's rows; sessions stand together, in one order in all files."""
    rows = store.read_stream(path, ("session", column))
    for name, group in groupby(rows, key=itemgetter(0)):
        yield name, [text for _, text in group]


def _blamed(folder: store.RunFolder) -> Iterator[tuple[str, str]]:
    """The findings of each session that has any, as a JSON list."""
    path = folder / "sessions.parquet"
    if "findings" in store.columns_of(path):
        rows = store.read_stream(path, ("id", "findings"))
        yield from ((name, text) for name, text in rows if text != "[]")
    else:  # an earlier version keeps them beside what is told of them
        for name, texts in by_session(folder / "findings.parquet", "finding"):
            yield name, f"[{','.join(texts)}]"


def judged_of(folder: store.RunFolder) -> Iterator[tuple[Session, Judged]]:
    """The sessions of a run folder with what was found in them, one at a time.

    Raises:
        InputError: the folder holds no scan.
    """
    verdicts = by_session(folder / "verdicts.parquet", "verdict")
    found = _blamed(folder)
    told, blamed = next(verdicts, None), next(found, None)
    for name, data in store.read_stream(folder / "sessions.parquet", ("id", "session")):
        said: Sequence[str] = ()
        blame = "[]"
        if told is not None and told[0] == name:
            said, told = told[1], next(verdicts, None)
        if blamed is not None and blamed[0] == name:
            blame, blamed = blamed[1], next(found, None)
        judged = Judged(
            findings=_FINDINGS.decode(blame),
            verdicts=tuple(map(_VERDICT.decode, said)),
        )
        yield _SESSION.decode(data), judged
