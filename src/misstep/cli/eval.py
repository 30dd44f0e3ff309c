"""`misstep eval`: before and after on held-out families."""

from __future__ import annotations

from pathlib import Path

import click

from misstep.cli.options import CONFIG, JSON, MODEL, QUIET, SEED, SET, build_config, look, recipes
from misstep.cli.progress import reporter


@click.command("eval")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@MODEL
@click.option(
    "--adapter",
    type=click.Path(path_type=Path, file_okay=False),
    help="The adapter to measure (default: DIR/adapter).",
)
@SEED
@click.option("--temperature", type=float, help="Of the sampled answers.")
@recipes
@CONFIG
@SET
@JSON
@QUIET
def command(
    folder: Path,
    model: str | None,
    adapter: Path | None,
    seed: int | None,
    temperature: float | None,
    recipe: str | None,
    preset: str,
    config_path: Path | None,
    settings: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure how much rarer each failure is on the held-out families in DIR."""
    import orjson

    from misstep import api

    config = build_config(
        config_path,
        settings,
        recipe=recipe,
        preset=preset,
        folder=folder,
        model=model,
        seed=seed,
        sample__temperature=temperature,
    )
    with reporter(quiet=quiet or as_json) as show:
        scores = api.evaluate(folder, config, adapter, progress=show.progress, say=show.say)
    if as_json:
        click.echo(orjson.dumps(scores, option=orjson.OPT_INDENT_2))
    else:
        click.echo(api.run_text(folder, **look()))
    if scores["verdict"] == "do-not-ship":
        raise click.exceptions.Exit(3)
