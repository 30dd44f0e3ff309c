"""`misstep validators`: the validators and the failure codes that they find."""

from __future__ import annotations

import click


@click.command("validators")
def command() -> None:
    """List the validators and their failure codes."""
    from misstep.codes import CODES
    from misstep.validate import VALIDATORS

    for validator in VALIDATORS:
        click.echo(validator.name)
        for name in validator.codes:
            code = CODES[name]
            offline = "" if code.offline else " (not measurable offline)"
            click.echo(f"  {name:20} {code.level:8} {code.meaning}{offline}")
