"""`misstep compare`: did the second set of logs fail less than the first?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from misstep.cli.options import JSON, look, reading, reading_config
from misstep.cli.progress import reporter


@click.command("compare")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option(
    "--strict",
    is_flag=True,
    help="Exit with 3 if the second fails more, or a side has no judged step (for CI).",
)
@JSON
@reading
def command(first: Path, second: Path, strict: bool, as_json: bool, **values: Any) -> None:
    """Compare the failures in two sets of logs, FIRST and SECOND (folders, files or runs).

    Did the new model or prompt fail less? Rates of failed steps with intervals that allow for
    steps of one session being alike, and a test over sessions that both hold.
    """
    import orjson

    from misstep import api

    config = reading_config(values)
    with reporter(quiet=values["quiet"] or as_json) as show:
        found = api.compare(first, second, config, progress=show.progress)
    if as_json:
        click.echo(orjson.dumps(found.to_json(), option=orjson.OPT_INDENT_2))
    else:
        click.echo(api.comparison_text(found, **look()), nl=False)
    if strict and found.nothing is not None:
        click.echo(f"misstep: {found.nothing}", err=True)
        raise click.exceptions.Exit(3)
    if strict and found.total.word == "more":
        raise click.exceptions.Exit(3)
