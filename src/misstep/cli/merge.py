"""`misstep merge`: base and adapter as one model folder."""

from __future__ import annotations

from pathlib import Path

import click

from misstep.cli.options import MODEL, run_config


@click.command("merge")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="New folder.")
@MODEL
@click.option(
    "--dtype",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="Of the written weights; auto: that of the base.",
)
def command(run: Path, out: Path, model: str | None, dtype: str) -> None:
    """Add the adapter of RUN (a run folder, or an adapter folder) to its model's weights.

    The result loads without PEFT, here with `--model OUT`, and in other tools.
    """
    from misstep import api

    click.echo(api.merge(run, out, model=model, config=run_config(run, None), dtype=dtype))
    if "## How prompts were written" in (out / "README.md").read_text(encoding="utf-8"):
        click.echo(
            "its chat template takes no tools: README.md says how prompts were written", err=True
        )
