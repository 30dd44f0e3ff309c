"""`misstep train`: the training stages on mined pairs."""

from __future__ import annotations

from pathlib import Path

import click

from misstep.cli.options import CONFIG, JSON, MODEL, QUIET, SEED, SET, build_config, recipes
from misstep.cli.progress import reporter


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

    config = build_config(
        config_path,
        settings,
        recipe=recipe,
        preset=preset,
        folder=folder,
        model=model,
        seed=seed,
        dpo__learning_rate=learning_rate,
        dpo__beta=beta,
        dpo__num_train_epochs=num_train_epochs,
        dpo__max_steps=max_steps,
        kto__enabled=kto or None,
        sft__enabled=False if no_sft else None,
    )
    if dry_run:
        click.echo(api.training_plan(folder, config))
        return
    with reporter(quiet=quiet or as_json or not ranks.is_main()) as show:
        facts = api.train(folder, config, progress=show.progress, say=show.say)
    if ranks.is_main():
        click.echo(orjson.dumps(facts, option=orjson.OPT_INDENT_2) if as_json else facts["said"])
