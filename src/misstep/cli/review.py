"""`misstep review`: pairs one by one, kept, dropped, swapped or edited by a person."""

from __future__ import annotations

from pathlib import Path

import click

from misstep.cli.options import CONFIG


@click.command("review")
@click.argument("pairs", type=click.Path(path_type=Path))
@click.option("--only", default="", help="Begin with pairs of this code, source or decision.")
@click.option("--reviewer", default="", help="Your name, written beside every decision.")
@CONFIG
def command(pairs: Path, only: str, reviewer: str, config_path: Path | None) -> None:
    """Look at the pairs of a run folder, or of a file of its rows, one by one.

    Decisions are written to review.jsonl in the folder at once; mining the same logs again and
    training respect them. Needs `pip install 'misstep[review]'`.
    """
    from misstep import api

    config = api.load_config(config_path) if config_path is not None else None
    sitting = api.review(pairs, config, reviewer)
    api.review_screen(sitting, only)
