"""`misstep lint`: is this preference data fit to train on?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from misstep.cli.options import CONFIG, JSON, MODEL, SET, VALIDATOR, build_config, run_config
from misstep.config import read_yaml
from misstep.errors import ConfigError


def _demands(pairs: Path, given: Path | None) -> tuple[str, ...]:
    """The numbers and switches of `mine` in the folder's own settings; whoever sent the folder may
    name no file there, nor anything that is imported."""
    own = run_config(pairs, given) if pairs.is_dir() else None
    mined = read_yaml(own).get("mine") if own is not None and own != given else None
    found = tuple(_numbers(mined if isinstance(mined, dict) else {}))
    try:
        build_config(None, found)
    except ConfigError as error:
        said = str(error).removeprefix("the options: ")
        raise ConfigError(f"{own}: {said}; mend it, or give another file with --config") from None
    return found


def _numbers(mined: dict[str, Any]) -> Iterator[str]:
    for key, value in mined.items():
        numbers = value if isinstance(value, list) else [value]
        if all(isinstance(each, bool | int | float) for each in numbers):
            yield f"mine.{key}={json.dumps(value)}"


@click.command("lint")
@click.argument("pairs", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--heldout",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Held-out prompts: heldout.parquet of a run, or JSONL or Parquet rows with prompts.",
)
@click.option("--schema", help="JSON Schema that every text answer must meet.")
@click.option("--strict", is_flag=True, help="Exit with 3 if anything is wrong (for CI).")
@MODEL
@VALIDATOR
@JSON
@CONFIG
@SET
def command(
    pairs: Path,
    heldout: Path | None,
    schema: str | None,
    strict: bool,
    model: str | None,
    validators: tuple[str, ...],
    as_json: bool,
    config_path: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Hold preference data of any origin against the gate: PAIRS is a file or a folder.

    Reads misstep's own pairs and `prompt`, `chosen`, `rejected` (or `completion`, `label`) in
    JSONL, JSON or Parquet, a folder of its own under the demands (`mine`) it was made with. With
    --model also what its tokenizer can tell.
    """
    import orjson

    from misstep import api

    config = build_config(
        config_path,
        (*_demands(pairs, config_path), *settings),
        model=model,
        validate__schema=schema,
        validate__validators=validators or None,
    )
    facts = api.lint(pairs, config, heldout=heldout, tokens=model is not None)
    if as_json:
        click.echo(orjson.dumps(facts, option=orjson.OPT_INDENT_2))
    else:
        click.echo(api.lint_text(facts))
    if strict and facts["faulty"]:
        raise click.exceptions.Exit(3)
