"""Mining, spread over an engine: pairs and rows made by workers, let in and written here.

In: a desk or a list of rows, and an engine. Out: what `mine.Here` and `mine.Maker` give, made
elsewhere. Families are dealt out by their ids, which are content hashes, a parcel at a time; with
each go the sessions that have a prompt in common with it. What needs all pairs (duplicates, shares,
order) stays with the door. A parcel on which a worker dies twice is dealt out again session by
session; a session that fails then too is told apart, with how it ended, and counted.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from misstep import mine
from misstep.engine import Crash, Job, Works
from misstep.pipeline.boxes import Packer
from misstep.pipeline.dealt import Deal, by_size
from misstep.pipeline.shelf import Shelf
from misstep.pipeline.spreadwork import (
    Looked,
    Made,
    Make,
    order_of,
)
from misstep.types import Prompt, Refused

_LOOKED = msgspec.msgpack.Decoder(Looked)
_MADE = msgspec.msgpack.Decoder(Made)
_JUDGED = msgspec.msgpack.Decoder(mine.Judged)
_UNPAIRED = msgspec.msgpack.Decoder(mine.Unpaired)
_ROW = msgspec.msgpack.Decoder(dict[str, Any])
Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Spread:
    """An engine that mines, and where this process keeps what comes back."""

    engine: Works
    job: Job
    folder: Path
    told: Told
    deadly: dict[str, str] = field(default_factory=dict)
    """Sessions on which workers died time and again, and how."""

    def mined(
        self, desk: mine.Desk, want: Callable[[mine.Mined], list[mine.Wanted]]
    ) -> tuple[mine.Mined, list[mine.Wanted], Rows]:
        """What is mined, the rows that `want` says to write of it, and these rows.

        A session whose rows cannot be made is as lost as one that cannot be mined: then everything
        is mined once more without it.
        """
        packer = Packer(desk.corpus, desk.split, mine.index_of(desk.corpus), desk.heldout.prompts)
        while True:
            found = mine.paired(desk, lambda desk, _: Away.gathered(desk, self, packer))
            wanted = want(found)
            rows, lost = Rows.made(self, packer, wanted)
            if not lost:
                return found, wanted, rows
            self.deadly.update(lost)

    def run(self, pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes | Crash]]:
        """The answers of the workers."""
        return self.engine.run(self.job, pieces)


@dataclass
class Away:
    """What workers found; a `mine.Found`."""

    desk: mine.Desk
    shelf: Shelf
    _first: list[tuple[mine.Entry, int]] = field(default_factory=list)
    _last: dict[str, list[tuple[mine.Entry, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _asked: set[Prompt] = field(default_factory=set)
    _logged: dict[Prompt, int | None] = field(default_factory=dict)
    _sampled: list[tuple[Prompt, str, int | None]] = field(default_factory=list)
    _lost: list[Refused] = field(default_factory=list)

    def first(self) -> Iterator[mine.Drafted]:
        """Every candidate of the sources that are asked first."""
        return ((entry, partial(self._judged, at)) for entry, at in self._first)

    def last(self, source: mine.Source, left: Sequence[Prompt]) -> Iterator[mine.Drafted]:
        """Candidates of a fallback source: those that were found in advance, then the rest."""
        wanted = set(left)
        for entry, at in self._last[source.name]:
            if Prompt(session=entry.session, step=entry.step) in wanted:
                yield entry, partial(self._judged, at)
        lost = {each.prompt for each in self._lost}
        rest = [p for p in left if p not in self._asked and p not in lost]
        for entry, judged in mine.entries(self.desk.narrowed(rest), [source]):
            yield entry, partial(_itself, judged)

    def logged(self, prompt: Prompt) -> mine.Unpaired | None:
        """The failure of the log at this prompt."""
        if prompt not in self._logged:
            return mine.loose_logged(self.desk, prompt)
        return self._unpaired(self._logged[prompt])

    def sampled(self) -> Iterator[tuple[str, mine.Load]]:
        """Failures of the model under training."""
        self._sampled.sort(key=lambda each: (each[0].session, each[0].step))
        return ((name, partial(self._unpaired, at)) for _, name, at in self._sampled)

    def lost(self) -> Sequence[Refused]:
        """Failed steps on whose sessions workers died."""
        return self._lost

    @classmethod
    def gathered(cls, desk: mine.Desk, spread: Spread, packer: Packer) -> Away:
        """Let the workers look."""
        found, deal = cls(desk, Shelf(spread.folder)), Deal(desk, packer)
        dealt = list(deal.parcels(without=spread.deadly))
        for name, said in spread.deadly.items():
            found._crashed(deal.failures([name]), said)
        done, total = 0, sum(map(deal.weight, dealt))
        for names, result in _answers(spread, deal.piece, dealt):
            if isinstance(result, Crash):
                found._crashed(deal.failures(names), result.said)
            else:
                found._take(_LOOKED.decode(result))
            done += deal.weight(names)
            spread.told(done, total)
        found.shelf.done()
        return found

    def _take(self, looked: Looked) -> None:
        put = self.shelf.put
        self._first += [(entry, put(data)) for entry, data in looked.first]
        for name, entry, data in looked.last:
            self._last[name].append((entry, put(data)))
        self._asked.update(looked.asked)
        self._logged.update(
            (prompt, None if data is None else put(data)) for prompt, data in looked.logged
        )
        self._sampled += [
            (prompt, name, None if data is None else put(data))
            for prompt, name, data in looked.sampled
        ]

    def _crashed(self, prompts: Iterable[Prompt], said: str) -> None:
        for prompt in prompts:
            lost = Refused(
                prompt=prompt,
                source="",
                reason=mine.CRASHED,
                said=f"its session could not be mined: {said}",
                codes=self.desk.corpus.verdict(prompt).codes,
            )
            self._lost.append(lost)

    def _judged(self, at: int) -> mine.Judged:
        return _JUDGED.decode(self.shelf.get(at))

    def _unpaired(self, at: int | None) -> mine.Unpaired | None:
        return None if at is None else _UNPAIRED.decode(self.shelf.get(at))


def _itself(judged: mine.Judged) -> mine.Judged:
    return judged


class Rows:
    """Rows that workers made; a `mine.Making`."""

    def __init__(self, shelf: Shelf, number: int) -> None:
        self._shelf = shelf
        self._places = array("q", [-1]) * number
        self.counts: Counter[str] = Counter()

    @classmethod
    def made(
        cls, spread: Spread, packer: Packer, wanted: Sequence[mine.Wanted]
    ) -> tuple[Rows, dict[str, str]]:
        """The rows; and the sessions whose rows could not be made, with what is said of them."""
        rows, lost = cls(Shelf(spread.folder), len(wanted)), dict[str, str]()
        orders: dict[str, list[int]] = defaultdict(list)
        for at, each in enumerate(wanted):
            orders[each.session].append(at)

        def piece(names: Sequence[str]) -> bytes:
            numbers = sorted(at for name in names for at in orders[name])
            ordered = [order_of(at, wanted[at]) for at in numbers]
            return msgspec.msgpack.encode(Make(parcel=packer.pack(names), orders=ordered))

        dealt = list(by_size(([name] for name in sorted(orders)), packer))
        for names, result in _answers(spread, piece, dealt):
            if isinstance(result, Crash):
                lost.update(dict.fromkeys(names, result.said))
            else:
                rows._take(_MADE.decode(result))
        rows._shelf.done()
        return rows, lost

    def _take(self, made: Made) -> None:
        self.counts.update(made.redacted)
        for at, data in made.rows:
            self._places[at] = self._shelf.put(data)

    def rows(self, wanted: Sequence[mine.Wanted]) -> Iterator[dict[str, Any]]:
        """The rows in their order, which is that of what was wanted."""
        for place in self._places[: len(wanted)]:
            yield _ROW.decode(self._shelf.get(place))
        self._shelf.close()


def _answers(
    spread: Spread, piece: Callable[[Sequence[str]], bytes], dealt: Sequence[Sequence[str]]
) -> Iterator[tuple[Sequence[str], bytes | Crash]]:
    """Parcels with what came of them; sessions of a parcel that failed come one by one."""
    again: list[Sequence[str]] = []
    for number, result in spread.run(map(piece, dealt)):
        if isinstance(result, Crash):
            again += [[name] for name in dealt[number]]
        else:
            yield dealt[number], result
    for number, result in spread.run(map(piece, again)):
        yield again[number], result
