"""`misstep scan`: what fails, where, how often."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from misstep.cli.options import (
    JSON,
    LOGS,
    NO_REDACT,
    NOT_REDACTED,
    look,
    reading,
    reading_config,
)
from misstep.cli.progress import reporter

if TYPE_CHECKING:
    from misstep.pipeline.limits import Limit
    from misstep.pipeline.scan import Told


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
@click.option(
    "--parquet",
    metavar="DEST",
    help="Write sessions and findings as partitioned Parquet to this empty folder or URL.",
)
@click.option(
    "--since-last",
    is_flag=True,
    help="Read only what is new, grown or changed since the last scan of LOGS (docs/scale.md).",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for what --since-last remembers (default: one for LOGS in the user's cache).",
)
@click.option(
    "--strict", is_flag=True, help="Exit with 3 if any step failed or none was judged (for CI)."
)
@click.option(
    "--max-rate",
    "max_rate",
    multiple=True,
    metavar="[CODE=]RATE",
    help="Exit with 3 only if more than this share of the judged steps failed, as 0.05 or "
    "TOOL_UNKNOWN=0.02; may be given again, with or without --strict.",
)
@click.option(
    "--sarif",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the findings for code scanning (SARIF 2.1.0).",
)
@NO_REDACT
@JSON
@reading
def command(
    logs: tuple[Path, ...],
    findings_path: Path | None,
    set_aside_path: Path | None,
    html: Path | None,
    explain: bool,
    parquet: str | None,
    since_last: bool,
    state: Path | None,
    strict: bool,
    max_rate: tuple[str, ...],
    sarif: Path | None,
    no_redact: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """Say what fails in LOGS, where and how often. Needs no model and no torch."""
    import orjson

    from misstep.engine import expect

    if not explain and values["engine"] != "ray":
        expect(_sizes(logs), int(values["workers"] or 0))
    from misstep import api

    config = reading_config(values, validate__redact=False if no_redact else None)
    if not config.validate.redact:
        click.echo(f"misstep: not redacted: {NOT_REDACTED}", err=True)
    if explain:
        for line in api.explain(logs, config.ingest):
            click.echo(line)
        return
    outputs = {"--findings": findings_path, "--set-aside": set_aside_path, "--html": html}
    outputs |= {"--sarif": sarif, "--parquet": None if parquet is None else Path(parquet)}
    api.refuse_outputs(logs, outputs, config.ingest.exclude)
    limits = api.limits_of(max_rate)
    with (
        reporter(quiet=values["quiet"] or as_json) as show,
        _findings(findings_path, wanted=sarif is not None) as found,
    ):
        scanned = api.tell(
            logs,
            config,
            findings=found,
            set_aside=set_aside_path,
            page=html is not None or any(limit.code for limit in limits),
            parquet=parquet,
            since=(state or api.state_folder(logs)) if since_last or state else None,
            progress=show.progress,
        )
        if sarif is not None and found is not None:
            api.write_sarif(found, sarif, logs, redact=config.validate.redact)
    if html is not None:
        api.write_scan_html(scanned, html)
    if as_json:
        click.echo(orjson.dumps(scanned.summary, option=orjson.OPT_INDENT_2))
    else:
        click.echo(api.scan_text(scanned, **look()), nl=False)
    if (strict or limits) and _stopped(scanned, limits, logs):
        raise click.exceptions.Exit(3)


def _stopped(scanned: Told, limits: tuple[Limit, ...], logs: tuple[Path, ...]) -> bool:
    """Whether a build must not go on; why, but for `--strict` alone, is said."""
    from misstep import api

    nothing = api.nothing_judged(scanned.summary, logs)
    if nothing is not None:
        click.echo(f"misstep: {nothing}", err=True)
        return True
    over = list(api.exceeded(limits, scanned.summary, scanned.page))
    for each in over:
        click.echo(f"misstep: {api.excess_text(each)}", err=True)
    return bool(over or (not limits and scanned.summary["failed_steps"]))


@contextlib.contextmanager
def _findings(path: Path | None, *, wanted: bool) -> Iterator[Path | None]:
    """Where the findings are written: the given file, else one for the time being."""
    if path is not None or not wanted:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="misstep-") as folder:
        yield Path(folder) / "findings.jsonl"


def _sizes(logs: tuple[Path, ...]) -> Iterator[int]:
    """About how many bytes the logs have, file by file."""
    for path in logs:
        for each in chain([path], path.rglob("*")):
            with contextlib.suppress(OSError):
                yield each.stat().st_size
