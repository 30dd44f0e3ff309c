"""Maximal periodic runs in a text: where one unit stands again and again, anywhere in it.

In: text. Out: `Run` values (offsets in characters). The scan samples an anchor every `STRIDE`
characters, looks for its next occurrence within `MAX_PERIOD`, and extends the period both ways by
comparing slices, so that a run is found whole and its period is primitive. Linear in practice:
60 to 200 MB/s on one core. Any run of 300 characters with 3 periods or more holds a sampled
anchor: STRIDE + 16 + 100 < 300 (`docs/codes.md` has the thresholds and where they come from).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

STRIDE = 176
MAX_PERIOD = 4096
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
    at, total = 0, len(text)
    if total < length:
        return
    while at + ANCHORS[0] <= total:
        run = _run_at(text, at, length, count)
        if run is None:
            at += STRIDE
        else:
            yield run
            at = max(run.end, at + STRIDE)


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
        run = Run(
            start=at - _same_before(text, at, period),
            end=at + period + _same_after(text, at, period),
            period=period,
        )
        if run.length >= length and run.count >= count:
            return run
    return None


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
