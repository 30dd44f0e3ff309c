"""What was recognised in each file, and why: the text of `misstep scan --explain`.

In: paths. Out: lines. Each file, and each member of an archive, is read by itself, so what lies in
another (the other half of a pair, a sub-agent's parent) may be missing here though a whole scan
finds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from misstep import ingest
from misstep.config import IngestConfig
from misstep.ingest.decode import Fault
from misstep.ingest.discover import Found
from misstep.ingest.lines import fault_of
from misstep.ingest.recognise import SURE, Known, candidates, look, recognise
from misstep.ingest.source import DAMAGED
from misstep.pipeline.rows import aside_row
from misstep.report.words import count_of
from misstep.types import SetAside

_SHOWN = 4
"""Formats and set-aside records named for each file."""


def explain(paths: Sequence[Path], config: IngestConfig) -> Iterator[str]:
    """Lines about each file under `paths`.

    Raises:
        InputError: a path does not exist.
        UnknownName: `config.format` is no format.
    """
    known = ingest.known(config)
    for file in ingest.discover(paths, config.exclude, web=config.allow_https):
        yield file.label
        if file.left_out:
            yield "  left out by --exclude or a .misstepignore file"
        elif file.beside == "page":
            yield "  pages; read with their gold"
        elif file.beside:
            yield "  the journal of a database; read with it"
        elif file.fault is not None:
            yield f"  set aside: {file.fault.reason}: {file.fault.said}"
        else:
            yield from _explained(file, known, config)


def _explained(file: Found, known: Known, config: IngestConfig) -> Iterator[str]:
    try:
        plan = recognise(file, known, config)
        kind = plan.kind if not isinstance(plan, Fault) else None
        yield from _scores(file, known, config)
    except (OSError, *DAMAGED) as error:
        fault = fault_of(error)
        yield f"  set aside: {fault.reason}: {fault.said}"
        return
    if isinstance(plan, Fault):
        yield f"  set aside: {plan.reason}: {plan.said}"
        return
    why = "forced by --format" if known.forced else "the surest of those above"
    yield f"  read as {plan.name or 'JSON lines of no format'} ({kind} file): {why}"
    yield from _books(file, known, config)


def _scores(file: Found, known: Known, config: IngestConfig) -> Iterator[str]:
    from misstep.ingest.containers import kind_of
    from misstep.ingest.lines import head

    kind = kind_of(file.label, head(file.source))
    seen, peek = look(file, kind, config)
    yield f"  {kind}; looked at the first {len(seen)} records, {len(peek.values)} of them decoded"
    rated = sorted(((one.sniff(peek), one.name) for one in candidates(known)), reverse=True)
    named = [f"{name} {sure:.2f}" for sure, name in rated[:_SHOWN] if sure > 0]
    yield f"  sure in [0, 1]: {', '.join(named) or 'no format'}; {SURE} is needed"


def _books(file: Found, known: Known, config: IngestConfig) -> Iterator[str]:
    got = ingest.ingest_found([file], known=known, config=config)
    for name, book in got.counts.formats.items():
        formats = {f.name: f.unit for f in ingest.all_formats()}
        unit = formats.get(name, "record")
        yield (
            f"  {name}: {count_of(book.records, unit)} = {book.used} used + "
            f"{book.ignored} ignored + {book.set_aside} set aside; "
            f"{count_of(book.sessions, 'session')}"
        )
    if got.counts.ignored:
        kinds = ", ".join(f"{kind} {n}" for kind, n in got.counts.ignored.items())
        yield f"  ignored by kind: {kinds}"
    yield from (_place(aside_row(entry)) for entry in got.set_aside[:_SHOWN])
    if len(got.set_aside) > _SHOWN:
        yield f"  … and {len(got.set_aside) - _SHOWN} more; --set-aside FILE lists all"


def _place(entry: SetAside) -> str:
    at = entry.origin
    where = f"line {at.line}" if at.line else "the file"
    place = f"{where}{f', {at.pointer}' if at.pointer else ''}"
    return f"  set aside at {place}: {entry.reason}: {entry.said}"
