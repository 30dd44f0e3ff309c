"""Which tokens of a pair count in the preference.

In: the token ids of a pair, and which tokens its marks are about (`places`). Out: a number for each
token of each side, by which its log-ratio counts. Chosen and rejected usually agree in most of
their tokens (braces, key names, end-of-turn, whatever both got right), and a preference that counts
those moves them as well. Llama 3 leaves formatting tokens out of DPO for that reason
(arXiv 2407.21783, 4.1.4). Pure: no torch, no files.

- `all`: every token counts, as in TRL.
- `differing`: tokens in which the sides differ, by a diff of their ids.
- `failing`: of those, tokens at the place of a failure, and the first token of each stretch of
  difference there, which is where the sides part. Without a place: as `differing`.
- `onset`: all of the chosen side; of a rejected text loop only a window around the token with which
  it begins to repeat itself, which is what Liquid AI's Antidoom rejects. Other pairs: as `all`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from misstep.train.places import Places, Renderer, Tokens, places
from misstep.train.rows import Counts, Ids, Row

Kind = Literal["all", "differing", "failing", "onset"]
_Marks = tuple[tuple[bool, ...], tuple[bool, ...]]
_INSTEAD: dict[Kind, Kind] = {"failing": "differing", "onset": "all"}
"""What is taken for a pair whose place is not known."""
_LOOP = "REP_"
"""What the codes of text loops begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Focus:
    """Pairs with what their tokens count, and how it came to that."""

    ids: tuple[Ids, ...]
    kind: Kind
    placed: int = 0
    """Pairs in which the place of the failure, or the onset of the loop, is known."""
    unplaced: int = 0
    """Pairs (for `onset`: pairs with a loop) in which it is not."""
    spans_set_aside: int = 0
    """Marks of the rows that could not be used."""

    def facts(self) -> dict[str, int | float | str]:
        """For the record of the stage; `share` is of all tokens, how many count."""
        each = [count for row in self.ids for side in of(row, self.kind) for count in side]
        return {
            "tokens": self.kind,
            "placed": self.placed,
            "unplaced": self.unplaced,
            "spans_set_aside": self.spans_set_aside,
            "share": round(sum(each) / max(len(each), 1), 4),
        }

    @property
    def said(self) -> str:
        """What a user should know; empty where there is nothing."""
        if not self.unplaced:
            return ""
        onset = self.kind == "onset"
        return (
            f"dpo.preference_tokens: {self.kind}: {self.unplaced} of {self.placed + self.unplaced} "
            f"{'loops' if onset else 'pairs'} have no known place; "
            f"{'all tokens' if onset else 'all tokens that differ'} of these count"
        )


def focused(
    ids: Sequence[Ids], rows: Iterable[Row], template: Renderer, *, kind: Kind, window: int
) -> Focus:
    """The pairs with what their tokens count; `window` is `onset_tokens` of the settings.

    What the ids alone decide is left to `of`.
    """
    if kind in ("all", "differing"):
        return Focus(ids=tuple(ids), kind=kind)
    by_id = {row.id: row for row in rows}
    made: list[Ids] = []
    placed = unplaced = aside = 0
    for each in ids:
        row = by_id[each.id]
        found = counts(each, kind, _places(row, each, template), window)
        made.append(replace(each, counts=found or counts(each, _INSTEAD[kind])))
        placed += found is not None
        unplaced += found is None and (kind == "failing" or _loops(row))
        aside += len(row.unplaced)
    return Focus(
        ids=tuple(made), kind=kind, placed=placed, unplaced=unplaced, spans_set_aside=aside
    )


def of(ids: Ids, kind: Kind) -> Counts:
    """What the tokens of a pair count; without a place what is taken in its stead."""
    found = ids.counts or counts(ids, kind) or counts(ids, _INSTEAD[kind])
    return found if found is not None else ((), ())


def _places(row: Row, ids: Ids, template: Renderer) -> Places:
    """Places of a pair, none that lies behind the end of its side."""
    if row.rejected is None:
        return Places()
    found = places((row.chosen, row.rejected), row.marks, template, cut=row.cut)
    sizes = len(ids.chosen), len(ids.rejected or ())
    return Places(
        chosen=_within(found.chosen, sizes[0]),
        rejected=_within(found.rejected, sizes[1]),
        again=_within(found.again, sizes[1]),
    )


def _within(tokens: Tokens, size: int) -> Tokens:
    return tuple(at for at in tokens if at < size)


def _loops(row: Row) -> bool:
    return any(code.startswith(_LOOP) for code in row.codes)


def counts(ids: Ids, kind: Kind, where: Places | None = None, window: int = 0) -> Counts | None:
    """What each token of the two sides counts; None where that needs a place and there is none."""
    chosen, rejected = ids.chosen, ids.rejected or ()
    if kind == "all":
        return (1.0,) * len(chosen), (1.0,) * len(rejected)
    if kind == "differing":
        return _numbers(differing(chosen, rejected))
    if kind == "failing":
        marked = failing(chosen, rejected, where or Places())
        return _numbers(marked) if marked is not None else None
    counted = onset(len(rejected), (where or Places()).again, window)
    return None if counted is None else ((1.0,) * len(chosen), tuple(map(float, counted)))


def _numbers(marks: _Marks) -> Counts:
    left, right = marks
    return tuple(map(float, left)), tuple(map(float, right))


def differing(chosen: Sequence[int], rejected: Sequence[int]) -> _Marks:
    """Which tokens of each side the sides differ in, by a diff of their ids.

    A stretch that only one side has also marks the token that stands in its place on the other
    side: between `{"a": 1}` and `{"a": 1` the choice is `}` or end-of-turn, so both are marked.
    """
    stretches = _stretches(chosen, rejected)
    left = {at for mine, _ in stretches for at in mine}
    right = {at for _, other in stretches for at in other}
    return _marked(left, len(chosen)), _marked(right, len(rejected))


def failing(chosen: Sequence[int], rejected: Sequence[int], where: Places) -> _Marks | None:
    """Which tokens of each side differ at the place of the failure; None where none does.

    Counted are stretches of difference that meet the place on either side. Where none does, it is
    the last one before the place (a fault may show only later, as with a quote that was never
    closed) or right behind it (where a text was cut). Of a stretch, its first token and those at
    the place count; all of it on a side whose place is not known.
    """
    stretches = _stretches(chosen, rejected)
    mine, other = frozenset(where.chosen), frozenset(where.rejected)
    met = [s for s in stretches if mine.intersection(s[0]) or other.intersection(s[1])]
    if not met and other:
        met = [s for s in stretches if s[1].start <= max(other) + 1][-1:]
    if not met:
        return None
    left = {at for s, _ in met for at in s if not mine or at in mine or at == s.start}
    right = {at for _, s in met for at in s if not other or at in other or at == s.start}
    return _marked(left, len(chosen)), _marked(right, len(rejected))


def onset(size: int, again: Tokens, window: int) -> tuple[bool, ...] | None:
    """Which of the `size` tokens of a loop count; None without the place of its first repeat.

    From `window` tokens before the first repeated period to its end, or to `window` tokens behind
    its beginning, whichever is later.
    """
    if not again:
        return None
    start, end = again[0] - window, max(again[-1] + 1, again[0] + window)
    return tuple(start <= at < end for at in range(size))


def _stretches(chosen: Sequence[int], rejected: Sequence[int]) -> list[tuple[range, range]]:
    """Where the sides differ; beside a stretch of one side stands a token of the other at least."""
    matcher = difflib.SequenceMatcher(None, chosen, rejected, autojunk=False)
    return [
        (_stretch(i1, i2, len(chosen)), _stretch(j1, j2, len(rejected)))
        for tag, i1, i2, j1, j2 in matcher.get_opcodes()
        if tag != "equal"
    ]


def _stretch(start: int, stop: int, size: int) -> range:
    return range(start, min(max(stop, start + 1), size))


def _marked(at: Iterable[int], size: int) -> tuple[bool, ...]:
    wanted = frozenset(at)
    return tuple(each in wanted for each in range(size))
