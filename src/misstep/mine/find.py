"""Who finds candidates: the sources, asked one after the other, here or elsewhere.

In: the desk. Out: entries of candidates, and the failures that stay without a partner. `Here` asks
the sources in this process; the pipeline has another `Finder` that spreads the same work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

from misstep.mine import loose, watch
from misstep.mine.desk import Desk
from misstep.mine.draft import draft
from misstep.mine.entry import Drafted, Entry, Judged, entry_of
from misstep.mine.loose import Unpaired
from misstep.mine.source import Source
from misstep.types import Prompt, Refused

_Any = TypeVar("_Any")
Load = Callable[[], Unpaired | None]


class Found(Protocol):
    """What a finder gives."""

    def first(self) -> Iterable[Drafted]:
        """Every candidate of the sources that are asked first."""
        ...

    def last(self, source: Source, left: Sequence[Prompt]) -> Iterable[Drafted]:
        """Candidates of a fallback source about these failures."""
        ...

    def logged(self, prompt: Prompt) -> Unpaired | None:
        """The failure of the log at this prompt (`loose.logged`)."""
        ...

    def sampled(self) -> Iterable[tuple[str, Load]]:
        """Failures of the model under training, in the order of `loose.sampled`."""
        ...

    def lost(self) -> Sequence[Refused]:
        """Failed steps whose mining failed itself."""
        ...


Finder = Callable[[Desk, Sequence[Source]], Found]
"""Called with the desk and the sources that are asked first."""


class Here:
    """The sources, asked in this process."""

    def __init__(self, desk: Desk, sources: Sequence[Source]) -> None:
        self._desk = desk
        self._sources = sources

    def first(self) -> Iterator[Drafted]:
        """Every candidate of the sources that are asked first."""
        return _held(_told(self._desk, entries(self._desk, self._sources), len(self._sources)))

    def last(self, source: Source, left: Sequence[Prompt]) -> Iterator[Drafted]:
        """Candidates of a fallback source about these failures."""
        return _held(entries(self._desk.narrowed(left), [source]))

    def logged(self, prompt: Prompt) -> Unpaired | None:
        """The failure of the log at this prompt."""
        return loose.logged(self._desk, prompt)

    def sampled(self) -> Iterator[tuple[str, Load]]:
        """Failures of the model under training."""
        for _, name, found in loose.sampled(self._desk):
            yield name, partial(_itself, found)

    def lost(self) -> Sequence[Refused]:
        """Nothing: what fails here ends the run."""
        return ()


def entries(desk: Desk, sources: Sequence[Source]) -> Iterator[tuple[Entry, Judged]]:
    """The candidates of these sources, drafted, judged and held against the gate."""
    for rank, source in enumerate(sources):
        for candidate in source.find(desk):
            yield entry_of(desk, draft(desk, candidate), rank)


def _held(found: Iterable[tuple[Entry, Judged]]) -> Iterator[Drafted]:
    for entry, judged in found:
        yield entry, partial(_itself, judged)


def _itself(value: _Any) -> _Any:
    return value


def _told(
    desk: Desk, found: Iterable[tuple[Entry, Judged]], sources: int
) -> Iterator[tuple[Entry, Judged]]:
    """The same, with a word now and then on how many failures have been asked about."""
    numbers = {prompt: number for number, prompt in enumerate(desk.failed())}
    for entry, judged in found:
        number = numbers.get(Prompt(session=entry.session, step=entry.step), 0)
        watch.tell((entry.rank * len(numbers) + number) // sources, len(numbers))
        yield entry, judged
    watch.tell(len(numbers), len(numbers))
