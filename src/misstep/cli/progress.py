"""Progress on stderr: rich bars on a terminal, one plain line now and then elsewhere.

In: `progress(label, done, total)`, where `label` names the work and may end in ` · note` (the loss,
the files). Out: how much is done, how fast, how long it will take. Plain lines come where stderr
is no terminal, where it is a dumb one, and with NO_COLOR; with `--quiet` and `--json` nothing does.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import click

_PLAIN_EVERY = 15.0
"""Seconds between plain lines of one stage."""
_WORDS = 24
"""Characters of a stage's name in its bar, which leaves room for the rest in 80 columns."""
_UNITS = (("reading", "MB"), ("train", "steps"), ("answers", "answers"), ("mining", "rows"))
"""What is counted, by a word of the label; bytes are shown as megabytes."""


@dataclass(slots=True)
class _Stage:
    """One piece of work as it goes on."""

    unit: str
    begun: float
    """When the work before it ended, or when it said that nothing is done yet."""
    heard: float = field(default_factory=lambda: time.monotonic())
    """When it was first heard of: from here on its speed is measured."""
    from_: int = 0
    """What was done then: a resumed training begins in the middle."""
    told: float = 0.0
    ended: bool = False

    def rate(self, done: int) -> float:
        """Units a second since it was first heard of."""
        return (done - self.from_) / max(1e-9, time.monotonic() - self.heard)


class Reporter:
    """What a command hands to the pipeline: `progress(label, done, total)` and `say(text)`."""

    def __init__(self, *, quiet: bool, bars: Any = None) -> None:
        self._quiet = quiet
        self._bars = bars
        self._tasks: dict[str, Any] = {}
        self._stages: dict[str, _Stage] = {}
        self._before = time.monotonic()
        """When something was last heard: where the next stage begins."""

    def progress(self, label: str, done: int, total: int) -> None:
        """Show that `done` of `total` is finished."""
        if self._quiet:
            return
        name, _, note = label.partition(" · ")
        stage = self._stages.get(name)
        if stage is None or (stage.ended and done < total):
            begun = self._before if done else time.monotonic()
            from_ = done if done < total else 0
            stage = self._stages[name] = _Stage(unit_of(name), begun, from_=from_)
            stage.told = stage.heard
        self._before = time.monotonic()
        if self._bars is None:
            self._line(name, note, done, total)
        else:
            self._bar(name, note, done, total)

    def say(self, text: str) -> None:
        """Print one line beside the progress."""
        self._before = time.monotonic()
        if self._quiet:
            return
        if self._bars is None:
            click.echo(text, err=True)
        else:
            self._bars.console.print(text, markup=False, highlight=False)

    def _bar(self, name: str, note: str, done: int, total: int) -> None:
        stage = self._stages[name]
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(_short(name), total=total, said="")
        parts = [counted(done, total, stage.unit), *([note] if note else [])]
        if done >= total:
            parts.append(clock(time.monotonic() - stage.begun))
        elif done > stage.from_:
            parts += _ahead(stage, done, total)
        said = " · ".join(parts)
        self._bars.update(self._tasks[name], completed=done, total=total, said=said)
        stage.ended = done >= total

    def _line(self, name: str, note: str, done: int, total: int) -> None:
        stage, now = self._stages[name], time.monotonic()
        finished = done >= total
        if stage.ended or not (finished or now - stage.told >= _PLAIN_EVERY):
            return
        stage.told, stage.ended = now, finished
        parts = [counted(done, total, stage.unit), *([note] if note else [])]
        if finished:
            parts.append(f"{now - stage.begun:.1f} s")
        elif done > stage.from_:
            parts += _ahead(stage, done, total)
        click.echo(f"  {name}: {', '.join(parts)}", err=True)


def _ahead(stage: _Stage, done: int, total: int) -> tuple[str, str]:
    """How long it will take, and how fast it goes."""
    rate = stage.rate(done)
    return f"{clock((total - done) / rate)} left", speed(rate, stage.unit)


def unit_of(name: str) -> str:
    """What a stage counts."""
    return next((unit for word, unit in _UNITS if word in name), "")


def counted(done: int, total: int, unit: str) -> str:
    """`3.1 of 14.0 MB`, `120 of 300 steps`; the total alone when all is done."""
    if unit == "MB":
        whole = f"{total / 1e6:.1f} MB"
        return whole if done >= total else f"{done / 1e6:.1f} of {whole}"
    whole = f"{total:,} {unit if total != 1 else unit.removesuffix('s')}".rstrip()
    return whole if done >= total else f"{done:,} of {whole}"


def speed(rate: float, unit: str) -> str:
    """Units a second; seconds a unit where one takes longer than that."""
    if unit == "MB":
        return f"{rate / 1e6:.1f} MB/s"
    return f"{rate:,.1f}/s" if rate >= 1 else f"{1 / max(rate, 1e-9):,.1f} s each"


def clock(seconds: float) -> str:
    """`1:02:03`, `4:05`."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _short(name: str) -> str:
    return name if len(name) <= _WORDS else f"{name[: _WORDS - 1]}…"


def plain() -> bool:
    """Whether bars would be out of place."""
    dumb = os.environ.get("TERM") == "dumb" or bool(os.environ.get("NO_COLOR"))
    return dumb or not sys.stderr.isatty()


@contextmanager
def reporter(*, quiet: bool) -> Iterator[Reporter]:
    """A reporter for one command."""
    if quiet or plain():
        yield Reporter(quiet=quiet)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    short = Column(no_wrap=True, overflow="ellipsis")
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=10),
        TextColumn("{task.fields[said]}", markup=False, table_column=short),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield Reporter(quiet=False, bars=bars)
