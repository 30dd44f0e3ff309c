"""Maximal periodic runs in a text: where one unit stands again and again, anywhere in it.

In: text. Out: `Run` values (offsets in characters). The scan samples an anchor every `stride`
characters, looks for its next occurrence within `MAX_PERIOD`, and extends the period both ways by
comparing slices, so that a run is found whole and its period is primitive. Linear in practice:
60 to 200 MB/s on one core at the usual length. Any run of `length` characters with 3 periods or
more holds a sampled anchor: stride + 16 + length / 3 < length (`docs/codes.md` has the thresholds
and where they come from).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

STRIDE = 176
"""Between two anchors at most; that of runs of 300 characters, the usual length."""
MAX_PERIOD = 4096
NEAREST = 256
"""Every anchor looks so far for itself."""
ANCHORS = (16, 64, 256)
"""Growing, since a unit with repeats inside it needs an anchor longer than they are."""


@dataclass(frozen=True, slots=True)
class Run:
    """text[i] == text[i + period] for every i in [start, end - period)."""

    start: int
    end: int
    period: int

    @property
    def length(self) -> int:
        """Characters from the first period to the last, fractions included."""
        return self.end - self.start

    @property
    def count(self) -> float:
        """Number of periods."""
        return self.length / self.period


def runs(text: str, *, length: int, count: float) -> Iterator[Run]:
    """The runs of at least `length` characters and `count` periods, in order of place."""
    total, find = len(text), text.find
    if total < length:
        return
    stride = _stride(length)
    reaches = _reaches(count, stride)
    size, last, at, turn = ANCHORS[0], total - ANCHORS[0], 0, 0
    while at <= last:
        reach = reaches[turn % len(reaches)]
        turn += 1
        if find(text[at : at + size], at + 1, at + size + reach) >= 0:
            run = _run_at(text, at, length, count)
            if run is not None:
                yield run
                at, turn = max(run.end, at + stride), 0
                continue
        at += stride


def _stride(length: int) -> int:
    """How far apart anchors may lie so that each run of this length holds one."""
    return max(1, min(STRIDE, 2 * length // 3 - ANCHORS[0] - 8))


@cache
def _reaches(count: float, stride: int) -> tuple[int, ...]:
    """How far each anchor of a round looks for itself; the first looks farthest.

    A run of long periods is long itself: in (count - 1) periods less an anchor an anchor finds
    itself, so that few anchors need to look far. Twice as many as are needed do.
    """
    far, reaches = NEAREST, [NEAREST]
    while far < MAX_PERIOD:
        every = int(((count - 1) * far - ANCHORS[0]) / (2 * stride))
        far *= 2
        while 2 * len(reaches) <= every:
            reaches *= 2
        reaches[0] = far
        if len(reaches) == 1 or every <= 1:
            reaches = [max(reach, far) for reach in reaches]
    return tuple(reaches)


def _run_at(text: str, at: int, length: int, count: float) -> Run | None:
    tried = 0
    for size in ANCHORS:
        anchor = text[at : at + size]
        found = text.find(anchor, at + 1, at + size + MAX_PERIOD)
        if found < 0:
            return None  # a longer anchor begins with this one
        period = found - at
        if period == tried:
            continue
        tried = period
        if not _may_be_long(text, at, period, max(length, count * period) - period):
            continue
        run = Run(
            start=at - _same_before(text, at, period),
            end=at + period + _same_after(text, at, period),
            period=period,
        )
        if run.length >= length and run.count >= count:
            return run
    return None


def _may_be_long(text: str, at: int, period: int, need: float) -> bool:
    """A quick look: false only where fewer than `need` characters around equal those a period on.

    So many hold half of them in front of the anchor or half of them behind.
    """
    half, on = int(need) // 2, at + period
    return text[at : at + half] == text[on : on + half] or (
        at >= half and text[at - half : at] == text[on - half : on]
    )


def _same_after(text: str, at: int, period: int) -> int:
    """How many characters from `at` on equal those one period later."""

    def equal(start: int, size: int) -> bool:
        left = at + start
        return text[left : left + size] == text[left + period : left + period + size]

    return _reach(len(text) - at - period, equal)


def _same_before(text: str, at: int, period: int) -> int:
    """How many characters before `at` equal those one period later."""

    def equal(start: int, size: int) -> bool:
        right = at - start
        return text[right - size : right] == text[right - size + period : right + period]

    return _reach(at, equal)


def _reach(room: int, equal: Callable[[int, int], bool]) -> int:
    """How far `equal(start, size)` holds without a gap: doubling blocks, then halving the last."""
    same, take = 0, 64
    while True:
        take = min(take, room - same)
        if take <= 0:
            return same
        if not equal(same, take):
            break
        same += take
        take *= 2
    while take > 1:
        half = take // 2
        if equal(same, half):
            same += half
            take -= half
        else:
            take = half
    return same
