"""What is written of a mined corpus, and who makes the rows of it.

In: pairs, failures and accepted steps in the order of their files. Out: their rows, in that order.
`Maker` makes them in this process; the pipeline has another `Making` that spreads the same work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from misstep.mine.accepted import Terms, accepted_steps
from misstep.mine.door import CRASHED
from misstep.mine.formats import PARTS
from misstep.mine.loose import Unpaired
from misstep.mine.miner import Mined
from misstep.mine.rows import Redactor, desirable_row, pair_row, unpaired_row
from misstep.mine.source import Corpus
from misstep.mine.split import Split
from misstep.types import Pair, Prompt

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A row to be made."""

    part: str
    kind: str
    """`pairs` or `unpaired`, the file that it stands in."""
    value: Pair | Unpaired | Prompt
    home: str | None = None
    """Of a pair: where its chosen side comes from."""

    @property
    def session(self) -> str:
        """The session of its prompt."""
        return self.value.session if isinstance(self.value, Prompt) else self.value.prompt.session


class Making(Protocol):
    """Whoever makes rows."""

    @property
    def counts(self) -> Counter[str]:
        """What was redacted, by kind, when all rows are made."""
        ...

    def rows(self, wanted: Sequence[Wanted]) -> Iterator[Row]:
        """The rows in their order."""
        ...


class Maker:
    """Makes rows one after the other."""

    def __init__(self, corpus: Corpus, split: Split, redact: bool) -> None:
        self._corpus = corpus
        self._split = split
        self._clean = Redactor(active=redact)

    @property
    def counts(self) -> Counter[str]:
        """What was redacted, by kind."""
        return self._clean.counts

    def rows(self, wanted: Sequence[Wanted]) -> Iterator[Row]:
        """The rows in their order."""
        return map(self.row, wanted)

    def row(self, wanted: Wanted) -> Row:
        """One row."""
        value, corpus, clean = wanted.value, self._corpus, self._clean
        if isinstance(value, Pair):
            return pair_row(value, corpus, clean, home=lambda: wanted.home)
        if isinstance(value, Unpaired):
            return unpaired_row(value, corpus, clean)
        return desirable_row(value, corpus, self._split, clean)


def wanted_of(
    mined: Mined, corpus: Corpus, split: Split, *, seed: int, terms: Terms
) -> list[Wanted]:
    """Everything that is written, part by part, pairs before unpaired rows.

    Nothing of a session whose mining failed.
    """
    found: list[Wanted] = []
    lost = {each.prompt.session for each in mined.refused if each.reason == CRASHED}
    if lost:
        split = replace(split, part={**split.part, **dict.fromkeys(lost, CRASHED)})
    for part in PARTS:
        of_part = (pair for pair in mined.pairs if split.part[pair.prompt.session] == part)
        found += [
            Wanted(part=part, kind="pairs", value=pair, home=mined.homes[pair.id])
            for pair in of_part
        ]
        failures = [u for u in mined.unpaired if split.part[u.prompt.session] == part]
        failures.sort(key=lambda row: row.id)
        accepted = accepted_steps(corpus, split, len(failures), seed, part=part, terms=terms)
        found += [
            Wanted(part=part, kind="unpaired", value=value)
            for value in _in_turn(failures, accepted)
        ]
    return found


def _in_turn(
    failures: Sequence[Unpaired], accepted: Sequence[Prompt]
) -> Iterator[Unpaired | Prompt]:
    """Failures and accepted steps in turn; each kind in the order of its content."""
    given = 0
    for at, failure in enumerate(failures):
        yield failure
        due = (at + 1) * len(accepted) // len(failures)
        yield from accepted[given:due]
        given = max(given, due)
