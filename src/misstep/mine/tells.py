"""Tells: can one shallow feature say which side is the chosen one?

In: pairs of answers, each with the group it belongs to (its family or prompt). Out: for each
feature how many pairs it tells apart, by cross-validation over the groups: a rule is learned on
four fifths of them and asked about the rest. Preference training learns such a feature first and
may learn nothing else; a feature that is the very fault (no call was made) is one too.

A number says which side by "the larger" or "the smaller"; a word by how often either side had it.
Where a feature is equal on both sides, it has half a case right.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from misstep.mine.source import canonical
from misstep.types import Message

_FOLDS = 5
_WORD = re.compile(r"\w+|\S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """What one feature tells."""

    feature: str
    right: float
    """Pairs told apart, ties counted as a half."""
    n: int
    rule: str
    """The rule that all pairs together give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The two answers of a pair and the group that must not be split."""

    chosen: Message
    rejected: Message
    group: str


def tells(pairs: Sequence[Sides]) -> tuple[Tell, ...]:
    """Every feature with what it tells, the most telling first."""
    folds = [crc32(pair.group.encode("utf-8", "replace")) % _FOLDS for pair in pairs]
    found = [_numeric(name, of, pairs, folds=folds) for name, of in NUMBERS.items()]
    found += [_worded(name, of, pairs, folds=folds) for name, of in WORDS.items()]
    return tuple(sorted(found, key=lambda tell: (-tell.right, tell.feature)))


def _text(answer: Message) -> str:
    return canonical(answer)


NUMBERS: Mapping[str, Callable[[Message], float]] = {
    "characters": lambda a: len(_text(a)),
    "words": lambda a: len(_text(a).split()),
    "lines": lambda a: _text(a).count("\n"),
    "calls": lambda a: len(a.calls),
    "text beside calls": lambda a: len(a.text.strip()) if a.calls else 0,
}
"""Features that are numbers."""


def _spacing(answer: Message) -> str:
    """How the arguments are spaced: a habit of the writer, whether right or wrong."""
    text = "".join(call.arguments for call in answer.calls) or answer.text
    return " ".join(mark for mark in ('": ', '":"', ', "', ',"') if mark in text)


WORDS: Mapping[str, Callable[[Message], str]] = {
    "first word": lambda a: (_WORD.findall(_text(a).strip()[:80]) or [""])[0],
    "last character": lambda a: _text(a).strip()[-1:],
    "has a call": lambda a: str(bool(a.calls)),
    "tool": lambda a: " ".join(sorted(call.name for call in a.calls)),
    "spacing of JSON": _spacing,
    "has a code fence": lambda a: str("```" in _text(a)),
}
"""Features that are words."""


def _numeric(
    name: str, of: Callable[[Message], float], pairs: Sequence[Sides], *, folds: Sequence[int]
) -> Tell:
    signs = [_sign(of(pair.chosen) - of(pair.rejected)) for pair in pairs]
    totals: dict[int, int] = defaultdict(int)
    for fold, sign in zip(folds, signs, strict=True):
        totals[fold] += sign
    everything = sum(totals.values())
    right = 0.0
    for fold, sign in zip(folds, signs, strict=True):
        right += (_sign(everything - totals[fold]) * sign + 1) / 2
    rule = "the larger is chosen" if everything > 0 else "the smaller is chosen"
    return Tell(feature=name, right=right, n=len(pairs), rule=rule if everything else "none")


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _worded(
    name: str, of: Callable[[Message], str], pairs: Sequence[Sides], *, folds: Sequence[int]
) -> Tell:
    values = [(of(pair.chosen), of(pair.rejected)) for pair in pairs]
    chosen: Counter[tuple[int, str]] = Counter()
    rejected: Counter[tuple[int, str]] = Counter()
    for fold, (left, right_value) in zip(folds, values, strict=True):
        for at in (fold, -1):
            chosen[at, left] += 1
            rejected[at, right_value] += 1

    def odds(value: str, fold: int) -> float:
        """Log odds of the chosen side outside a fold; all folds have number -1."""
        c = chosen[-1, value] - (chosen[fold, value] if fold >= 0 else 0)
        r = rejected[-1, value] - (rejected[fold, value] if fold >= 0 else 0)
        return math.log((c + 1) / (r + 1))

    right = sum(
        (_sign(odds(left, fold) - odds(other, fold)) + 1) / 2
        for fold, (left, other) in zip(folds, values, strict=True)
    )
    seen = sorted({value for both in values for value in both}, key=lambda v: (odds(v, -1), v))
    rule = f"{seen[-1][:30]!r} is chosen, {seen[0][:30]!r} rejected" if len(seen) > 1 else "none"
    return Tell(feature=name, right=right, n=len(pairs), rule=rule)
