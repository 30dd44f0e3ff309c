"""`misstep run`: the whole loop, from logs to a verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from misstep.cli.options import (
    ENDPOINT,
    ENDPOINT_MODEL,
    JSON,
    LOGS,
    MODEL,
    SEED,
    check_push,
    given,
    look,
    planned,
    push,
    pushing,
    reading,
    reading_config,
    recipes,
)
from misstep.cli.progress import reporter

if TYPE_CHECKING:
    from collections.abc import Callable

    from misstep.config import RunConfig
    from misstep.pipeline.rounds import Until


@click.command("run")
@LOGS
@click.option(
    "-o",
    "--output_dir",
    "--output-dir",
    "folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The run folder; an unfinished run in it is resumed.",
)
@MODEL
@ENDPOINT
@ENDPOINT_MODEL
@SEED
@click.option("--temperature", type=float, help="Of the evaluation's sampled answers.")
@click.option("--references", help="JSONL file with gold answers.")
@click.option("--control", is_flag=True, help="Also train the control: SFT on the chosen sides.")
@click.option("--rounds", type=int, help="Rounds of resampling, pairing and training.")
@click.option("--kto", is_flag=True, help="KTO on all labelled answers in the place of DPO.")
@click.option("--off-policy", is_flag=True, help="Train on logged pairs of another model.")
@click.option(
    "--until",
    type=click.Choice(["sft", "sample", "mine", "train"]),
    help="Stop after this stage; the same command without it goes on.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan, the counts and two decoded pairs.")
@JSON
@pushing
@recipes
@reading
def command(
    logs: tuple[Path, ...],
    folder: Path,
    model: str | None,
    endpoint: str | None,
    endpoint_model: str | None,
    seed: int | None,
    temperature: float | None,
    references: str | None,
    control: bool,
    rounds: int | None,
    kto: bool,
    off_policy: bool,
    until: Until | None,
    dry_run: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """Train on the failures in LOGS and measure, on held-out families, how much rarer they are.

    Killed or stopped, the same command resumes. Exit code 3 means: do not ship.
    """
    from misstep import api

    config = reading_config(
        values,
        model=model,
        endpoint__url=endpoint,
        endpoint__model=endpoint_model,
        seed=seed,
        sample__temperature=temperature,
        mine__references=references,
        eval__control=control or None,
        rounds=rounds,
        kto__enabled=kto or None,
        mine__off_policy=off_policy or None,
    )
    check_push(values)
    asked = rounds is not None or given(values, "rounds")
    with reporter(quiet=values["quiet"] or as_json) as show:
        config = config if asked else _in_one_round(config, show.say)
        if dry_run:
            plan = api.plan(logs, folder, config, progress=show.progress)
            text: str | bytes = planned(plan, as_json=as_json)
            verdict = "planned"
        else:
            verdict = api.run(
                logs, folder, config, until=until, progress=show.progress, say=show.say
            )
            if verdict == "stopped":
                text = _stopped(folder, config, str(until), as_json=as_json)
            else:
                text = _scores(folder) if as_json else api.run_text(folder, **look())
    click.echo(text)
    if verdict not in ("planned", "stopped"):
        push(folder, config, values, verdict)
    if verdict == "do-not-ship":
        raise click.exceptions.Exit(3)


def _in_one_round(config: RunConfig, say: Callable[[str], None]) -> RunConfig:
    """The settings for an endpoint, where the recipe alone asks for more rounds."""
    if config.rounds == 1 or config.endpoint.url is None:
        return config
    say(
        f"rounds: 1, not {config.rounds} as in the recipe {config.recipe}: an endpoint serves the "
        f"same model in every round"
    )
    return replace(config, rounds=1)


def _stopped(folder: Path, config: RunConfig, until: str, *, as_json: bool) -> str | bytes:
    import orjson

    from misstep import api

    place = api.left_by(folder, config, until)
    if as_json:
        return orjson.dumps({"verdict": "stopped", "until": until, "made": str(place)})
    return f"{folder}: {until} is done ({place}); the same command without --until goes on"


def _scores(folder: Path) -> bytes:
    import orjson

    from misstep import api

    return orjson.dumps(api.scores(folder), option=orjson.OPT_INDENT_2)
