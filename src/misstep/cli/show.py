"""`misstep show`: the summary of a finished run."""

from __future__ import annotations

from pathlib import Path

import click

from misstep.cli.options import JSON, look


@click.command("show")
@click.argument("run", type=click.Path(path_type=Path))
@JSON
def command(run: Path, as_json: bool) -> None:
    """Print the summary of the run folder RUN."""
    import orjson

    from misstep import api

    if as_json:
        click.echo(orjson.dumps(api.scores(run), option=orjson.OPT_INDENT_2))
    else:
        click.echo(api.run_text(run, **look()))
