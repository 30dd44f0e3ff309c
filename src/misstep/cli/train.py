"""`misstep train`: the training stages on mined pairs."""

from __future__ import annotations

from pathlib import Path

import click

from misstep.cli.options import (
    CONFIG,
    JSON,
    MODEL,
    QUIET,
    SEED,
    SET,
    build_config,
    planned,
    recipes,
)
from misstep.cli.progress import reporter
from misstep.config import RunConfig
from misstep.errors import ConfigError


@click.command("train")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@MODEL
@SEED
@click.option("--learning_rate", type=float, help="Of the DPO stage.")
@click.option("--beta", type=float, help="Of the DPO loss.")
@click.option("--num_train_epochs", type=float, help="Of the DPO stage.")
@click.option("--max_steps", type=int, help="Of the DPO stage.")
@click.option("--kto", is_flag=True, help="KTO on all labelled answers in the place of DPO.")
@click.option("--no-sft", is_flag=True, help="Start DPO from the model as it is.")
@click.option("--dry-run", is_flag=True, help="Print what would be trained, and the memory.")
@recipes
@CONFIG
@SET
@JSON
@QUIET
def command(
    folder: Path,
    model: str | None,
    seed: int | None,
    learning_rate: float | None,
    beta: float | None,
    num_train_epochs: float | None,
    max_steps: int | None,
    kto: bool,
    no_sft: bool,
    dry_run: bool,
    recipe: str | None,
    preset: str,
    config_path: Path | None,
    settings: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Train a LoRA adapter on the pairs in DIR (made by `misstep mine`): SFT, then DPO or KTO."""
    import orjson

    from misstep import api
    from misstep.train import ranks

    of_dpo = {
        "learning_rate": learning_rate,
        "beta": beta,
        "num_train_epochs": num_train_epochs,
        "max_steps": max_steps,
    }
    config = build_config(
        config_path,
        settings,
        recipe=recipe,
        preset=preset,
        folder=folder,
        model=model,
        seed=seed,
        kto__enabled=kto or None,
        sft__enabled=False if no_sft else None,
        **{f"dpo__{key}": value for key, value in of_dpo.items()},
    )
    _check_stage(config, {key: value for key, value in of_dpo.items() if value is not None})
    if dry_run:
        click.echo(planned(api.training_plan(folder, config), as_json=as_json))
        return
    with reporter(quiet=quiet or as_json or not ranks.is_main()) as show:
        facts = api.train(folder, config, progress=show.progress, say=show.say)
    if ranks.is_main():
        click.echo(orjson.dumps(facts, option=orjson.OPT_INDENT_2) if as_json else facts["said"])


def _check_stage(config: RunConfig, of_dpo: dict[str, float]) -> None:
    """Refuse flags of the DPO stage where KTO takes its place: they would do nothing."""
    if not (config.kto.enabled and of_dpo):
        return
    given = ", ".join(f"--{key}" for key in of_dpo)
    instead = " ".join(f"--set kto.{key}={value:g}" for key, value in of_dpo.items())
    raise ConfigError(
        f"{given}: of the DPO stage, and KTO is trained in its place (--kto, or kto.enabled in the "
        f"settings); give {instead}, or --set kto.enabled=false for DPO"
    )
