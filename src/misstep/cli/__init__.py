"""The command line: parse words, call one function of `api`, print. The only place that catches.

Each command is one file with one click command of the same name; files import the rooms inside
the command, so that `misstep --help` loads click and nothing else. Exit codes: 0 done, 1 a stage
failed, 2 the set-up is wrong, 3 the verdict is do-not-ship or `--strict` found failures.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from misstep import __version__
from misstep.errors import MisstepError

COMMANDS = (
    "scan",
    "mine",
    "lint",
    "train",
    "eval",
    "run",
    "show",
    "review",
    "compare",
    "merge",
    "tools",
    "forget",
    "formats",
    "validators",
)


class _Lazy(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"misstep.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MisstepError as error:
            click.echo(f"misstep: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            words = " ".join(["misstep", *sys.argv[1:]])
            click.echo(
                f"misstep: stopped; finished stages are kept; resume with: {words}", err=True
            )
            ctx.exit(130)


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 a stage failed, 2 the set-up is wrong, 3 do not ship.",
)
@click.version_option(__version__, prog_name="misstep")
def main() -> None:
    """Train an agent on its own missteps.

    Start with `misstep scan LOGS`: what fails, where, how often; seconds, no model needed.
    `misstep run LOGS --model M -o RUN` does the whole loop, up to a measured before/after.
    """
