"""Sessions dealt out in parcels: which go together, and what goes with them.

In: a desk, and what packs its sessions. Out: parcels of whole families, in the order of their ids,
which are content hashes; a parcel as a piece of work, with the sessions that share a prompt. How
sessions are dealt changes nothing in what is found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec

from misstep import mine
from misstep.pipeline.boxes import Packer
from misstep.pipeline.spreadwork import Look
from misstep.types import Prompt

PARCEL = 250_000
"""Bytes of packed sessions in a parcel, about; a family is not divided."""


class Deal:
    """Sessions dealt out in parcels."""

    def __init__(self, desk: mine.Desk, packer: Packer) -> None:
        self._packer = packer
        self._failed: dict[str, list[Prompt]] = defaultdict(list)
        for prompt in desk.failed():
            self._failed[prompt.session].append(prompt)
        self._answers: dict[str, list[Prompt]] = defaultdict(list)
        for prompt in desk.answers:
            self._answers[prompt.session].append(prompt)
        self._desk = desk

    def weight(self, names: Iterable[str]) -> int:
        """Failed steps in these sessions."""
        return sum(len(self._failed.get(name, ())) for name in names)

    def failures(self, names: Iterable[str]) -> Iterator[Prompt]:
        """The failed steps in these sessions; a session without any has its first step told."""
        for name in names:
            yield from self._failed.get(name, ()) or [self._first(name)]

    def _first(self, name: str) -> Prompt:
        index = self._packer.index
        return index.prompt(index.rows(name)[0])

    def parcels(self, without: Collection[str]) -> Iterator[list[str]]:
        """Sessions in which something may be paired, in groups that stay together."""
        part, known = self._desk.split.part, self._desk.corpus.sessions
        answered = (name for name in self._answers if name in known)
        names = {*self._failed, *answered, *self._desk.voiced()} - set(without)
        groups = self._together(sorted(name for name in names if part[name] != "heldout"))
        return by_size(groups, self._packer)

    def _together(self, names: Sequence[str]) -> list[list[str]]:
        """Sessions by family; families that have a prompt in common are one.

        Otherwise a prompt such as "hi", which thousands of families may share, would travel with
        each of them.
        """
        family, above = self._desk.split.family, dict[str, str]()

        def root(name: str) -> str:
            while (up := above.setdefault(name, name)) != name:
                above[name] = name = above[up]
            return name

        first: dict[int, str] = {}
        for name in names:
            for key in self._packer.index.keys(name):
                one, other = sorted((root(first.setdefault(key, family[name])), root(family[name])))
                above[other] = one
        groups: dict[str, list[str]] = defaultdict(list)
        for name in names:
            groups[root(family[name])].append(name)
        return [groups[name] for name in sorted(groups)]

    def piece(self, own: Sequence[str]) -> bytes:
        """These sessions and those that have a prompt in common with them, packed."""
        index, met = self._packer.index, set[int]()
        names = dict.fromkeys(own)
        for name in own:
            names |= dict.fromkeys(index.alike(name, met))
        given = self._desk.answers
        asked = (prompt for name in names for prompt in self._answers.get(name, ()))
        answers = [(prompt, list(given[prompt])) for prompt in asked]
        look = Look(parcel=self._packer.pack(names), own=list(own), answers=answers)
        return msgspec.msgpack.encode(look)


def by_size(groups: Iterable[Sequence[str]], packer: Packer) -> Iterator[list[str]]:
    """Groups of sessions in parcels; none is divided."""
    parcel: list[str] = []
    size = 0
    for group in groups:
        parcel += group
        size += sum(map(packer.size, group))
        if size >= PARCEL:
            yield parcel
            parcel, size = [], 0
    if parcel:
        yield parcel
