"""`misstep validators`: the validators, the failure codes that they find, and what they cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from misstep.cli.options import CONFIG, SET, VALIDATOR, build_config

if TYPE_CHECKING:
    from misstep.validate import Settings
    from misstep.validate.cost import Cost


@click.command("validators")
@click.option("--measure", is_flag=True, help="Measure here and now what each costs.")
@VALIDATOR
@CONFIG
@SET
def command(
    measure: bool, validators: tuple[str, ...], config_path: Path | None, settings: tuple[str, ...]
) -> None:
    """List the validators: their failure codes, their levels, and what each costs.

    Levels are the usual ones; a level that the settings change stands behind an arrow.
    """
    from misstep import validate
    from misstep.validate.cost import committed

    config = build_config(config_path, settings, validate__validators=validators or None)
    known = validate.settings(config.validate)
    measured = committed()
    for validator in validate.VALIDATORS:
        spent = _spent(validator.check) if measure else measured.costs.get(validator.name)
        click.echo(_head(validator.name, spent))
        _codes(validator.codes, known)
    for own in known.own:
        timed = measure and own.of == "step"
        click.echo(_head(f"{own.name} (your own)", _spent(own.check) if timed else None))
        _codes(own.names, known)
    click.echo()
    where = "here, now" if measure else f"on {measured.machine}, {measured.date}"
    click.echo(f"Each alone on one core, measured {where}; a scan derives what they share once.")


def _spent(check: Callable[..., object]) -> Cost:
    from misstep.validate.cost import measure

    return measure(check)  # type: ignore[arg-type]


def _head(name: str, cost: Cost | None) -> str:
    if cost is None:
        return f"{name:34} not measured"
    return f"{name:34} {cost.steps:>12,.0f} steps/s {cost.megabytes:>9,.1f} MB/s"


def _codes(names: tuple[str, ...], known: Settings) -> None:
    from misstep.codes import CODES

    levels = known.policy.levels if known.policy is not None else {}
    for name in names:
        code = CODES[name]
        level = f"{code.level} → {levels[name]}" if name in levels else code.level
        offline = "" if code.offline else " (not measurable offline)"
        click.echo(f"  {name:20} {level:8} {code.meaning}{offline}")
