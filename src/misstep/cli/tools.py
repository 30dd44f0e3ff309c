"""`misstep tools`: a starter tools file from logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from misstep.cli.options import LOGS, reading, reading_config
from misstep.cli.progress import reporter


@click.command("tools")
@LOGS
@click.option(
    "-o",
    "--output",
    "out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the tools file here (default: stdout).",
)
@reading
def command(logs: tuple[Path, ...], out: Path | None, **values: Any) -> None:
    """Write a tools file for --tools: the schemas that LOGS hold, or what accepted calls tell.

    LOGS may also be the answer of an MCP server to tools/list. What is inferred is marked so, with
    the calls behind it, and breaking it is suspect at most: read it through, mend it, and take the
    mark away to make it count.
    """
    from misstep import api

    config = reading_config(values)
    api.refuse_outputs(logs, {"--output": out}, config.ingest.exclude)
    with reporter(quiet=values["quiet"]) as show:
        made = api.starter(logs, config, progress=show.progress)
    if out is None:
        click.echo(api.starter_json(made))
    else:
        api.write_starter(made, out)
    click.echo(api.starter_text(made, out), err=out is None)
