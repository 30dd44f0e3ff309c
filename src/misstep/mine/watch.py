"""Who is told how far mining is: `with watched(progress): mine(...)`.

In: a function of (done, total), in candidates. Nothing that is mined depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Progress = Callable[[int, int], None]
EVERY = 50
"""Candidates between two calls."""
_WATCH: ContextVar[Progress | None] = ContextVar("misstep_mining", default=None)


@contextmanager
def watched(progress: Progress) -> Iterator[None]:
    """Tell `progress` about the mining that is done inside."""
    token = _WATCH.set(progress)
    try:
        yield
    finally:
        _WATCH.reset(token)


def tell(done: int, total: int) -> None:
    """Say how many candidates were looked at, now and then and at the end."""
    progress = _WATCH.get()
    if progress is not None and (done % EVERY == 0 or done == total):
        progress(done, total)
