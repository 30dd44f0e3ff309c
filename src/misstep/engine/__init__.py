"""The engines: many pieces of work spread over the cores of this machine, or of a Ray cluster.

In: a job, that is a function that prepares a worker and one that does a piece of work. Out: the
results, each with the piece that it belongs to, as they come. What the work is, the engine does
not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, Self

from misstep.engine.actors import Needs, RayActors
from misstep.engine.local import WORTH, Crash, Engine, Job, cores, expect
from misstep.engine.ray import RayEngine

__all__ = [
    "WORTH",
    "Crash",
    "Engine",
    "Job",
    "Needs",
    "RayActors",
    "RayEngine",
    "Works",
    "cores",
    "expect",
]


class Works(Protocol):
    """What every engine can do."""

    workers: int
    """Pieces that are worked on at once."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: Any, *rest: Any) -> None: ...

    def run(self, job: Job, pieces: Iterable[Any]) -> Iterator[tuple[int, Any | Crash]]:
        """The result of each piece with its number, counted from 0."""
        ...
