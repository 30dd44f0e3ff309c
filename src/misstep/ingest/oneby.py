"""A reader for formats in which each record stands for itself: no history to join.

In: a function from one record to its sessions. Out: all sessions. A `Misfit` that the function
raises sets the whole record aside; whatever else became of units the function tells the tally.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from misstep.ingest.format import Misfit, Record, Tally
from misstep.ingest.messages import place
from misstep.types import Session

Make = Callable[[Record, Tally], Sequence[Session]]
"""One record to its sessions; a record of several units is unfolded and accounted for there."""


class OneByOne:
    """Reads records one by one; a record that gives sessions is used, once."""

    def __init__(self, tally: Tally, make: Make, *, counts: bool = True) -> None:
        """`counts`: whether a record that did not raise is one used unit; else `make` accounts."""
        self._tally = tally
        self._make = make
        self._counts = counts
        self._sessions: list[Session] = []

    def read(self, record: Record) -> None:
        """Take one record."""
        try:
            made = self._make(record, self._tally)
        except Misfit as misfit:
            set_aside(self._tally, record, misfit)
        else:
            self._sessions.extend(made)
            if self._counts:
                self._tally.use()

    def close_file(self) -> None:
        """Records do not depend on their file."""

    def finish(self) -> tuple[Session, ...]:
        """All sessions."""
        return tuple(self._sessions)


def set_aside(tally: Tally, record: Record, misfit: Misfit) -> None:
    """One unit of `record` does not fit."""
    tally.aside(record.at(place(record, misfit.pointer)), misfit.reason, misfit.said)
