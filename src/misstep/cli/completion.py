"""`misstep completion`: the script that lets a shell complete commands and options."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def command(shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash  misstep completion bash >> ~/.bashrc
    zsh   misstep completion zsh >> ~/.zshrc
    fish  misstep completion fish > ~/.config/fish/completions/misstep.fish
    """
    from click.shell_completion import get_completion_class

    from misstep.cli import main

    kind = get_completion_class(shell)
    if kind is None:  # a click of another age
        raise click.UsageError(f"this click completes no {shell}")
    made = kind(main, {}, "misstep", "_MISSTEP_COMPLETE")
    click.echo(made.source_template % made.source_vars())
