"""`misstep mine`: preference pairs from logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from misstep.cli.options import JSON, LOGS, MODEL, SEED, reading, reading_config
from misstep.cli.progress import reporter


@click.command("mine")
@LOGS
@click.option(
    "-o",
    "--output_dir",
    "--output-dir",
    "folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for pairs, unpaired rows, refused candidates and the dataset card.",
)
@MODEL
@SEED
@click.option("--references", help="JSONL file with gold answers.")
@JSON
@reading
def command(
    logs: tuple[Path, ...],
    folder: Path,
    model: str | None,
    seed: int | None,
    references: str | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Pair each failed output in LOGS with a better one for the same prompt.

    Without --model the pairs come from the logs alone; with it, the model also answers the
    logged prompts and its own failures and successes are paired.
    """
    import orjson

    from misstep import api

    config = reading_config(values, model=model, seed=seed, mine__references=references)
    with reporter(quiet=values["quiet"] or as_json) as show:
        facts = api.mine(
            logs,
            folder,
            config,
            resample=model is not None,
            progress=show.progress,
            say=show.say,
        )
    if as_json:
        click.echo(orjson.dumps(facts, option=orjson.OPT_INDENT_2))
    else:
        click.echo(api.mine_text(facts, folder))
