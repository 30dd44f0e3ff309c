"""`misstep formats`: the log formats that are recognised."""

from __future__ import annotations

import click


@click.command("formats")
def command() -> None:
    """List the log formats, with what each cannot tell."""
    from misstep.ingest import FORMATS

    for known in FORMATS:
        click.echo(f"{known.name:20} {known.about}")
