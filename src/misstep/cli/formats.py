"""`misstep formats`: the log formats that are recognised, and what proves each."""

from __future__ import annotations

import textwrap

import click

EVIDENCE = {
    "writer": "logs made by the real writer",
    "files": "real files of others",
    "documentation": "documents only; no writer could be run, no real file was at hand",
}


@click.command("formats")
def command() -> None:
    """List the log formats: unit, what proves the reader, and what each cannot tell."""
    from misstep.ingest import WRAPPERS, all_formats

    for known in all_formats():
        click.echo(_row(known.name, known.unit, known.evidence, known.about))
    for wrapper in WRAPPERS:
        click.echo(_row(wrapper.name, wrapper.unit, wrapper.evidence, wrapper.about))
    click.echo()
    for name, meaning in EVIDENCE.items():
        click.echo(f"{name}: {meaning}")


def _row(name: str, unit: str, evidence: str, about: str) -> str:
    head = f"{name:19} {unit:11} {evidence:13} "
    first, *rest = textwrap.wrap(about, 54) or [""]
    return "\n".join([head + first, *(" " * len(head) + line for line in rest)])
