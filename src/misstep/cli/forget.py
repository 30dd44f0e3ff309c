"""`misstep forget`: take sessions out of a run."""

from __future__ import annotations

from pathlib import Path

import click

from misstep.cli.options import JSON


@click.command("forget")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "--session",
    "sessions",
    multiple=True,
    required=True,
    metavar="ID",
    help="Id of a session (column `session` of pairs, findings); may be given again.",
)
@JSON
def command(folder: Path, sessions: tuple[str, ...], as_json: bool) -> None:
    """Take everything derived from sessions out of a run FOLDER, or of a folder of pairs.

    Rows, findings, answers, exports, decisions and reports go; ids and counts stay on the cards.
    The logs themselves are not touched, and neither are weights: adapters that were trained on
    the rows are named, and the next `misstep run` trains them anew.
    """
    import orjson

    from misstep import api

    done = api.forget(folder, sessions)
    if as_json:
        click.echo(orjson.dumps(done, option=orjson.OPT_INDENT_2))
    else:
        click.echo("\n".join(api.forget_text(done)))
