"""`misstep try`: one prompt, answered by the base model and by the adapter."""

from __future__ import annotations

from pathlib import Path

import click

from misstep.cli.options import JSON, MODEL, run_config


@click.command("try")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("prompt")
@click.option("--like", metavar="SESSION", help="Offer the system prompt and tools of a session.")
@click.option("--tools", type=click.Path(path_type=Path, dir_okay=False), help="Offer these tools.")
@click.option(
    "--temperature",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="0 is greedy.",
)
@click.option(
    "--max-new-tokens",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Of an answer at most.",
)
@click.option("--seed", default=0, show_default=True, help="Of what is drawn.")
@MODEL
@JSON
def command(run: Path, prompt: str, model: str | None, as_json: bool, **values: object) -> None:
    """Put PROMPT to the base model and to the adapter of the run folder RUN, and judge both.

    Beside the prompt stands what --like or --tools offer, else the tools file of the run, else
    nothing. Nothing is written.
    """
    import orjson

    from misstep import api

    config = api.load_config(run_config(run, None), {"model": model} if model else {})
    tried = api.trial(run, api.Asked(text=prompt, **values), config)  # type: ignore[arg-type]
    if as_json:
        told = {"prompt": prompt, "answers": api.trial_json(tried)}
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    else:
        click.echo(api.trial_text(tried))
