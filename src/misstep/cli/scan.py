"""`misstep scan`: what fails, where, how often."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import click

from misstep.cli.options import JSON, LOGS, NO_REDACT, NOT_REDACTED, reading, reading_config
from misstep.cli.progress import reporter


@click.command("scan")
@LOGS
@click.option(
    "--findings",
    "findings_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write every finding to this JSONL file.",
)
@click.option(
    "--set-aside",
    "set_aside_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write every record that could not be used, with its reason, to this JSONL file.",
)
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the failure page."
)
@click.option(
    "--explain", is_flag=True, help="Only say for each file what was recognised in it, and why."
)
@click.option("--strict", is_flag=True, help="Exit with 3 if any step failed (for CI).")
@NO_REDACT
@JSON
@reading
def command(
    logs: tuple[Path, ...],
    findings_path: Path | None,
    set_aside_path: Path | None,
    html: Path | None,
    explain: bool,
    strict: bool,
    no_redact: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """Say what fails in LOGS, where and how often. Needs no model and no torch."""
    import orjson

    from misstep.engine import expect

    if not explain:
        expect(_sizes(logs), int(values["workers"] or 0))
    from misstep import api

    config = reading_config(values, validate__redact=False if no_redact else None)
    if not config.validate.redact:
        click.echo(f"misstep: not redacted: {NOT_REDACTED}", err=True)
    if explain:
        for line in api.explain(logs, config.ingest):
            click.echo(line)
        return
    with reporter(quiet=values["quiet"] or as_json) as show:
        scanned = api.tell(
            logs,
            config,
            findings=findings_path,
            set_aside=set_aside_path,
            page=html is not None,
            progress=show.progress,
        )
    if html is not None:
        api.write_scan_html(scanned, html)
    if as_json:
        click.echo(orjson.dumps(scanned.summary, option=orjson.OPT_INDENT_2))
    else:
        click.echo(api.scan_text(scanned), nl=False)
    if strict and scanned.summary["failed_steps"]:
        raise click.exceptions.Exit(3)


def _sizes(logs: tuple[Path, ...]) -> Iterator[int]:
    """About how many bytes the logs have, file by file."""
    for path in logs:
        for each in chain([path], path.rglob("*")):
            with contextlib.suppress(OSError):
                yield each.stat().st_size
