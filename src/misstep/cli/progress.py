"""Progress on stderr: rich bars on a terminal, one plain line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

_PLAIN_EVERY = 15.0  # seconds between plain lines of one stage


class Reporter:
    """What a command hands to the pipeline: `progress(label, done, total)` and `say(text)`."""

    def __init__(self, *, quiet: bool, bars: Any = None) -> None:
        self._quiet = quiet
        self._bars = bars
        self._tasks: dict[str, Any] = {}
        self._plain: dict[str, float] = {}
        self._ended: set[str] = set()

    def progress(self, label: str, done: int, total: int) -> None:
        """Show that `done` of `total` is finished."""
        if self._quiet:
            return
        if self._bars is None:
            self._line(label, done, total)
            return
        if label not in self._tasks:
            self._tasks[label] = self._bars.add_task(label, total=total)
        self._bars.update(self._tasks[label], completed=done, total=total)

    def say(self, text: str) -> None:
        """Print one line beside the progress."""
        if self._quiet:
            return
        if self._bars is None:
            click.echo(text, err=True)
        else:
            self._bars.console.print(text, markup=False, highlight=False)

    def _line(self, label: str, done: int, total: int) -> None:
        now = time.monotonic()
        last = self._plain.setdefault(label, now)
        finished = done >= total
        if label in self._ended or not (finished or now - last >= _PLAIN_EVERY):
            return
        self._plain[label] = now
        if finished:
            self._ended.add(label)
        click.echo(f"  {label}: {done:,} of {total:,}", err=True)


@contextmanager
def reporter(*, quiet: bool) -> Iterator[Reporter]:
    """A reporter for one command."""
    if quiet or not sys.stderr.isatty() or "NO_COLOR" in os.environ:
        yield Reporter(quiet=quiet)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield Reporter(quiet=False, bars=bars)
