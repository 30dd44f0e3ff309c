"""Which records are read together: strands joined to groups by their keys, groups to units.

In: the `Surveyed` of all files and stretches. Out: `Unit` values, each some groups of about equal
size in all, that any worker can read without the others. What comes out does not depend on how the
survey was spread over workers, and the results not on the size of the units.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from misstep.ingest.survey import Strand, Surveyed, numbers

UNIT = 8_000_000
"""Bytes of a unit, unless one group is larger."""


class Share(msgspec.Struct):
    """What a group has in one file."""

    file: int
    """Number of the file."""
    spans: bytes = b""
    """As in `Strand`; none where all of the file is meant."""
    kind: str | None = None
    """As in `Surveyed`; None where the reader is to recognise the file itself."""
    format: str | None = None
    wrapper: str | None = None
    plain: bool = False
    """Whether the spans are those of the file's unpacked copy."""


class Unit(msgspec.Struct):
    """Groups for one worker; each group in the order of its files, each share in that of places."""

    groups: list[list[Share]]
    size: int


class _Forest:
    """Union-find over numbers."""

    def __init__(self, size: int) -> None:
        self._up = array("L", range(size))

    def root(self, at: int) -> int:
        up = self._up
        while up[at] != at:
            up[at] = up[up[at]]
            at = up[at]
        return at

    def join(self, one: int, other: int) -> None:
        a, b = self.root(one), self.root(other)
        if a != b:
            self._up[max(a, b)] = min(a, b)


class _Piece(msgspec.Struct):
    """A strand with its place among all."""

    of: Surveyed
    strand: Strand


def units(surveyed: Iterable[Surveyed], *, size: int = UNIT) -> list[Unit]:
    """The units of all files, in the order of their first records."""
    pieces = list(_pieces(surveyed))
    forest = _Forest(len(pieces))
    for one, other in _meetings(pieces):
        forest.join(one, other)
    groups: dict[int, list[int]] = {}
    for at in range(len(pieces)):
        groups.setdefault(forest.root(at), []).append(at)
    sized = (
        (_shares([pieces[at] for at in members]), sum(pieces[at].strand.size for at in members))
        for members in groups.values()
    )
    return bundled(sized, size=size)


def bundled(groups: Iterable[tuple[list[Share], int]], *, size: int = UNIT) -> list[Unit]:
    """Groups, each with its bytes, as units of about equal size."""
    made: list[Unit] = []
    for group, bulk in groups:
        if not made or made[-1].size + bulk > size:
            made.append(Unit([], 0))
        made[-1].groups.append(group)
        made[-1].size += bulk
    return made


def _pieces(surveyed: Iterable[Surveyed]) -> Iterator[_Piece]:
    """All strands by file and place; stretches of one file are put together."""
    ordered = sorted(surveyed, key=lambda one: (one.file, one.start))
    at = 0
    while at < len(ordered):
        end = at
        while end < len(ordered) and ordered[end].file == ordered[at].file:
            end += 1
        yield from _of_file(ordered[at:end])
        at = end


def _of_file(stretches: Sequence[Surveyed]) -> Iterator[_Piece]:
    """The strands of one file: lines get their numbers, what has no key its neighbour."""
    line = 0
    pieces: list[_Piece] = []
    last: int | None = None
    opening: array[int] = array("Q")
    for stretch in stretches:
        if not stretch.cut:
            pieces.extend(_Piece(stretch, strand) for strand in stretch.strands)
            continue
        if stretch.opening:
            place = (stretch.start, stretch.start + stretch.opening, line + 1)
            if last is None:
                opening.extend(place)
            else:
                _extend(pieces[last].strand, place, stretch.opening)
        first = len(pieces)
        for strand in stretch.strands:
            spans = numbers(strand.spans)
            for i in range(2, len(spans), 3):
                spans[i] += line
            strand.spans = spans.tobytes()
            pieces.append(_Piece(stretch, strand))
        if stretch.strands:
            last = first + stretch.last
        line += stretch.lines
    if opening:
        _open(pieces, stretches[0], opening)
    yield from pieces


def _open(pieces: list[_Piece], of: Surveyed, opening: array[int]) -> None:
    """Lines before the first key go with the strand of that key, or stand alone."""
    size = sum(opening[i + 1] - opening[i] for i in range(0, len(opening), 3))
    if pieces:
        first = min(pieces, key=lambda piece: numbers(piece.strand.spans)[0])
        first.strand.spans = opening.tobytes() + first.strand.spans
        first.strand.size += size
    else:
        pieces.append(_Piece(of, Strand(spans=opening.tobytes(), size=size)))


def _extend(strand: Strand, place: tuple[int, int, int], size: int) -> None:
    strand.spans += array("Q", place).tobytes()
    strand.size += size


def _meetings(pieces: Sequence[_Piece]) -> Iterator[tuple[int, int]]:
    """Pairs of strands that share a key."""
    seen: dict[int, int] = {}
    for at, piece in enumerate(pieces):
        for key in numbers(piece.strand.keys):
            other = seen.setdefault(key, at)
            if other != at:
                yield other, at


def _shares(members: Sequence[_Piece]) -> list[Share]:
    shares: list[Share] = []
    for piece in members:
        of, spans = piece.of, piece.strand.spans
        if shares and spans and shares[-1].file == of.file:
            shares[-1].spans += spans
        else:
            share = Share(of.file, spans, kind=of.kind, format=of.format, wrapper=of.wrapper)
            share.plain = of.plain
            shares.append(share)
    for share in shares:
        share.spans = _in_order(share.spans)
    return shares


def _in_order(spans: bytes) -> bytes:
    """Spans by place, neighbours joined."""
    flat = numbers(spans)
    out: array[int] = array("Q")
    for start, end, line in sorted(zip(flat[::3], flat[1::3], flat[2::3], strict=True)):
        if out and out[-2] == start:
            out[-2] = end
        else:
            out.extend((start, end, line))
    return out.tobytes()
