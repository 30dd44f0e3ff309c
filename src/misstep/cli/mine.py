"""`misstep mine`: preference pairs from logs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from misstep.cli.options import (
    ENDPOINT,
    ENDPOINT_MODEL,
    JSON,
    LOGS,
    MODEL,
    NO_REDACT,
    NOT_REDACTED,
    SEED,
    given,
    reading,
    reading_config,
    recipes,
)
from misstep.cli.progress import reporter

DEMANDS = ("mine.min_votes", "mine.supported_values")
"""What a recipe may leave to a stage that only a run has, `rft`."""


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
@ENDPOINT
@ENDPOINT_MODEL
@SEED
@click.option("--references", help="JSONL file with gold answers.")
@click.option(
    "--explain", is_flag=True, help="Print the funnel: what left where, with examples of why."
)
@click.option(
    "--format",
    "outputs",
    multiple=True,
    metavar="NAME",
    help="Also write openai, together, sharegpt or hf (docs/export.md); may be given again.",
)
@NO_REDACT
@JSON
@recipes
@partial(reading, spelling=("--log-format",))
def command(
    logs: tuple[Path, ...],
    folder: Path,
    model: str | None,
    endpoint: str | None,
    endpoint_model: str | None,
    seed: int | None,
    references: str | None,
    explain: bool,
    outputs: tuple[str, ...],
    no_redact: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """Pair each failed output in LOGS with a better one for the same prompt.

    Without --model the pairs come from the logs alone; with it, or with --endpoint, the model
    also answers the logged prompts and its own failures and successes are paired.
    """
    import orjson

    from misstep import api

    config = reading_config(
        values,
        model=model,
        endpoint__url=endpoint,
        endpoint__model=endpoint_model,
        seed=seed,
        mine__references=references,
        mine__redact=False if no_redact else None,
    )
    config = api.writing(config, outputs)
    if not config.mine.redact:
        click.echo(f"misstep: not redacted: {NOT_REDACTED}", err=True)
    held = api.held_to(config, [key for key in DEMANDS if given(values, key)])
    with reporter(quiet=values["quiet"] or as_json) as show:
        if held != config:
            show.say(api.told_held(held))
        facts = api.mine(
            logs,
            folder,
            held,
            resample=model is not None or config.endpoint.url is not None,
            progress=show.progress,
            say=show.say,
        )
    if as_json:
        click.echo(orjson.dumps(facts, option=orjson.OPT_INDENT_2))
    else:
        counts = "\n".join(api.funnel(facts, folder)) if explain else api.mine_text(facts, folder)
        click.echo(f"{counts}\n{api.share_text(folder)}")
