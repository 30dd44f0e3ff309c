"""The exchanges of one turn with what loop rules compare: keys of calls, prints of results.

In: a session's transcript. Out: one `Turn` for each stretch of calls since a message by a human, in
order. Keys and prints are small whole numbers that are equal where the texts are; None is a result
that is not there, or that also holds an image that its text does not show: never equal to another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from misstep.validate.agent_loop import call_key, fingerprint
from misstep.validate.excuses import NOT_A_LOOP, polls
from misstep.validate.once import once
from misstep.validate.transcript import Exchange, Transcript

LEAST = 3
"""A turn with fewer calls repeats nothing."""


@dataclass(frozen=True)
class Turn:
    """The exchanges between one message by a human and the next."""

    transcript: Transcript
    exchanges: Sequence[Exchange]
    _numbers: dict[object, int] = field(default_factory=dict)

    @once
    def keys(self) -> list[tuple[str, str]]:
        """Tool and canonical arguments of each exchange."""
        return [call_key(exchange) for exchange in self.exchanges]

    @once
    def prints(self) -> list[int | None]:
        """A number for each call with its result; equal numbers, equal call and result.

        Results are read only of calls that are made `LEAST` times or more: reading is dear.
        """
        often = Counter(self.keys)
        return [
            None
            if exchange.result is None or exchange.blind
            else self.number((key, fingerprint(exchange.result.text)))
            if often[key] >= LEAST
            else self.number(at)
            for at, (key, exchange) in enumerate(zip(self.keys, self.exchanges, strict=True))
        ]

    def number(self, value: object) -> int:
        """A small number that stands for a value within this turn."""
        return self._numbers.setdefault(value, len(self._numbers))

    def moved_on(self, at: int) -> bool:
        """True where a polling call got another result later in the turn than at place `at`."""
        key = self.keys[at]
        return polls(*key) and any(
            self.keys[later] == key and self.prints[later] != self.prints[at]
            for later in range(at + 1, len(self.exchanges))
        )

    def excused(self, at: int) -> bool:
        """True where the result is a failure that was not the model's."""
        fault = self.transcript.fault(self.exchanges[at])
        return fault is not None and fault.cause in NOT_A_LOOP


def turns(transcript: Transcript, least: int = LEAST) -> Iterator[Turn]:
    """The turns with at least so many calls."""
    return (turn for turn in transcript.once(_turns) if len(turn.exchanges) >= least)


def _turns(transcript: Transcript) -> tuple[Turn, ...]:
    groups = groupby(transcript.every, key=attrgetter("turn"))
    return tuple(Turn(transcript, tuple(turn)) for _, turn in groups)
