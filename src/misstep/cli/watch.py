"""`misstep watch`: what fails, told while agents write their logs."""

from __future__ import annotations

import signal
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from misstep.cli.options import JSON, LOGS, NO_REDACT, NOT_REDACTED, reading, reading_config

_EVIDENCE = 100
"""Characters of what failed that a line shows."""


@click.command("watch")
@LOGS
@click.option(
    "--findings",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep every finding of LOGS as they are in this JSONL file.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for what is remembered (default: one for LOGS in the user's cache).",
)
@click.option(
    "--every", type=float, default=1.0, show_default=True, help="Seconds between two looks."
)
@click.option("--for", "seconds", type=float, help="End after so many seconds (default: Ctrl-C).")
@NO_REDACT
@JSON
@reading
def command(
    logs: tuple[Path, ...],
    findings: Path | None,
    state: Path | None,
    every: float,
    seconds: float | None,
    no_redact: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """Keep LOGS scanned, and print each new failure when it is logged.

    What stood there before is counted, not printed. Ctrl-C ends it; what it remembers stays, and
    the next `watch`, or `scan --since-last`, goes on from there.
    """
    from misstep import api

    config = reading_config(values, validate__redact=False if no_redact else None)
    if not config.validate.redact:
        click.echo(f"misstep: not redacted: {NOT_REDACTED}", err=True)
    folder = state or api.state_folder(logs)
    watch = api.Watch(logs, config, folder, findings=findings)
    stop = threading.Event()
    timer = threading.Timer(seconds, stop.set) if seconds is not None else None
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    last: dict[str, Any] | None = None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        for update in api.updates(watch, logs, every=max(every, 0.05), stop=stop):
            last = update.summary
            _print(update, as_json=as_json, quiet=values["quiet"])
    except KeyboardInterrupt:
        stop.set()
    finally:
        signal.signal(signal.SIGTERM, before)
        if timer is not None:
            timer.cancel()
    if last is not None and not values["quiet"]:
        click.echo(f"misstep: stopped at {_standing(last)}; remembered in {folder}", err=True)


def _print(update: Any, *, as_json: bool, quiet: bool) -> None:
    import orjson

    if update.first and not quiet:
        click.echo(f"misstep: watching; {_standing(update.summary)}; Ctrl-C ends", err=True)
    for row in () if update.first else update.new:
        click.echo(orjson.dumps(row) if as_json else _line(row))


def _standing(summary: dict[str, Any]) -> str:
    from misstep.report.words import many

    sessions, steps = many(summary["sessions"], "session"), many(summary["steps"], "step")
    return f"{sessions}, {steps}, {summary['failed_steps']:,} of them failed"


def _line(row: dict[str, Any]) -> str:
    """One failure: when it was told, where it is, what it is."""
    origin = row["origin"]
    place = f"{origin['file']}:{origin['line']}" if origin["line"] else origin["file"]
    code = row["code"] if row["cause"] == "model" else f"{row['code']} ({row['cause']})"
    said = " ".join("".join(c if c.isprintable() else " " for c in row["evidence"]).split())
    where = f" {row['where']}" if row["where"] else ""
    return f"{datetime.now():%H:%M:%S}  {place}  {code}{where}  {_cut(said)}"


def _cut(text: str) -> str:
    return text if len(text) <= _EVIDENCE else f"{text[: _EVIDENCE - 1]}…"
