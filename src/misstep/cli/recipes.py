"""`misstep recipes`: the settings that come with misstep."""

from __future__ import annotations

import click


@click.command("recipes")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the recipes, or print the YAML of one, with every key explained."""
    from misstep import api

    click.echo(api.recipes_text() if name is None else api.recipe_text(name), nl=name is None)
