"""What all units came to, put in one order and counted once, whatever worker read them.

In: the `Part` of each unit. Out: the sessions in the order of their first records, each once; their
figures; and what was kept of them, read back from the parts one by one. A session costs about 300
bytes here, however long it is.
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from misstep.ingest import Book, Place
from misstep.pipeline.tally import Tally
from misstep.pipeline.unit import Part, Row, spool_name

_ROW = msgspec.msgpack.Decoder(Row)


class Ledger:
    """Rows of sessions and places of set-aside records."""

    def __init__(self, folder: Path, wants: tuple[str, ...]) -> None:
        self._folder = folder
        self._wants = wants
        self._rows: list[bytes] = []
        self._part = array("L")
        self._places = _Places()
        self._asides: list[tuple[Place, int, int, int]] = []
        self._once: list[tuple[int, int]] | None = None
        self.books: dict[str, Book] = {}

    def add(self, number: int, part: Part) -> None:
        """Take in what a unit came to; `number` is the unit's."""
        for row in part.rows:
            self._rows.append(msgspec.msgpack.encode(row))
            self._part.append(number)
            self._places.add(row.place)
        self._asides.extend((a.place, number, a.at, a.size) for a in part.asides)
        for name, book in part.books.items():
            self.books.setdefault(name, Book()).add(book)
        self._once = None

    def _order(self) -> list[tuple[int, int]]:
        """Each session's row and its copies, in the order of first records."""
        if self._once is None:
            places, parts = self._places, self._part
            ordered = sorted(range(len(self._rows)), key=lambda at: (places.of(at), parts[at], at))
            copies: dict[int, int] = {}
            first: dict[int, int] = {}
            for at in ordered:
                row = _ROW.decode(self._rows[at])
                identity = int(row.id, 16)
                kept = first.setdefault(identity, at)
                copies[kept] = copies.get(kept, 0) + row.copies
            self._once = list(copies.items())
        return self._once

    def tallies(self) -> Iterator[tuple[str, Tally]]:
        """Format and figures of each session."""
        for at, _ in self._order():
            row = _ROW.decode(self._rows[at])
            yield row.format, row.tally

    def kept(self, want: str, parts: Container[int] | None = None) -> Iterator[tuple[bytes, int]]:
        """One kind of what was kept, session by session, with the session's copies.

        `parts`: numbers of the parts whose sessions are meant; None for all.
        """
        which = self._wants.index(want)
        with _Files(self._folder) as files:
            for at, copies in self._order():
                if parts is not None and self._part[at] not in parts:
                    continue
                row = _ROW.decode(self._rows[at])
                start = row.at + sum(row.sizes[:which])
                yield files.read(self._part[at], start, row.sizes[which]), copies

    def parts(self) -> set[int]:
        """Numbers of the parts that hold sessions."""
        return set(self._part)

    def repeated(self) -> Iterator[tuple[int, dict[str, int]]]:
        """By part, sessions that stand elsewhere as well: in all how often; 0 but for the first."""
        once = dict(self._order())
        found: dict[int, dict[str, int]] = {}
        for at, packed in enumerate(self._rows):
            row = _ROW.decode(packed)
            if once.get(at) != row.copies:
                told = found.setdefault(self._part[at], {})
                told[row.id] = max(told.get(row.id, 0), once.get(at, 0))
        yield from found.items()

    def asides(self) -> Iterator[bytes]:
        """The lines of the set-aside records, in order."""
        with _Files(self._folder) as files:
            for _, number, at, size in sorted(self._asides):
                yield files.read(number, at, size)


class _Places:
    """Places in arrays; pointers are rare."""

    def __init__(self) -> None:
        self._numbers = array("Q")
        self._pointers: dict[int, str] = {}
        self._size = 0

    def add(self, place: Place) -> None:
        self._numbers.extend(place[:3])
        if place[3]:
            self._pointers[self._size] = place[3]
        self._size += 1

    def of(self, at: int) -> Place:
        file, offset, line = self._numbers[3 * at : 3 * at + 3]
        return file, offset, line, self._pointers.get(at, "")


class _Files:
    """The spools, few open at a time."""

    _MOST = 32

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[int, BinaryIO] = {}

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()

    def read(self, number: int, at: int, size: int) -> bytes:
        if not size:
            return b""
        if number not in self._open:
            if len(self._open) >= self._MOST:
                self._open.pop(next(iter(self._open))).close()
            self._open[number] = (self._folder / spool_name(number)).open("rb")
        file = self._open[number]
        file.seek(at)
        return file.read(size)
