"""What prompts begin with alike: which are answered together, and what is read once for several.

In: prompts as token ids. Out: their order (`order`), and for one batch a plan of reads (`reads`) in
which a stretch that several prompts begin with is read once for all of them: the system turn and
the tools, and behind them the turns that the steps of one session share. Plain Python: equal
prompts give equal plans.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

_ALIKE = 0.5
"""Prompts that agree in more than this share of the shorter one stay together."""
_SAVED = 64
"""Tokens that a read of its own has to save: below that it costs more than it saves."""
_PADDED = 1.125
"""Prompts are read together while padding adds no more than an eighth."""
_SMALL = 512
"""Tokens up to which a read may be padded as it likes: smaller products are slow."""

Prompt = Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Rows that go through the model together, all behind the same number of tokens."""

    start: int
    """Tokens before them, read earlier."""
    ends: tuple[int, ...]
    """Where each row ends, counted from the beginning of the prompt."""
    rows: tuple[tuple[int, ...], ...]
    """Places of the prompts that begin with each row; the row is read from the first of them."""


def order(prompts: Sequence[Prompt]) -> list[int]:
    """Places of the prompts, those with much in common beside each other, short ones first."""
    known = [tuple(prompt) for prompt in prompts]
    by_text = sorted(range(len(known)), key=lambda i: (known[i], i))
    families: list[list[int]] = []
    for at, i in enumerate(by_text):
        before = known[by_text[at - 1]] if at else ()
        if at and _agree(before, known[i]) > _ALIKE * min(len(before), len(known[i])):
            families[-1].append(i)
        else:
            families.append([i])
    families.sort(key=lambda some: (max(len(known[i]) for i in some), some))
    return [i for some in families for i in some]


def reads(prompts: Sequence[Prompt]) -> Iterator[Read]:
    """Reads after which every prompt has gone through the model, each behind what it builds on.

    The last token of a prompt is always read for itself, so its logits come from its own row.
    """
    known = [tuple(prompt) for prompt in prompts]
    by_text = sorted(range(len(known)), key=lambda i: (known[i], i))
    shared = [
        min(_agree(known[i], known[j]), len(known[i]) - 1, len(known[j]) - 1)
        for i, j in pairwise(by_text)
    ]
    left: dict[int, list[int]] = {}
    todo = [(0, len(by_text), 0)]
    while todo:
        first, last, done = todo.pop()
        if last - first == 1:
            left.setdefault(done, []).append(by_text[first])
            continue
        inside = shared[first : last - 1]
        common = min(inside)
        if (last - first - 1) * (common - done) >= _SAVED:
            yield Read(start=done, ends=(common,), rows=(tuple(by_text[first:last]),))
            done = common
        cuts = [first, *(first + 1 + at for at, n in enumerate(inside) if n == common), last]
        todo.extend((a, b, done) for a, b in pairwise(cuts))
    for start in sorted(left):
        yield from _together(sorted(left[start], key=lambda i: (len(known[i]), i)), known, start)


def _together(places: Sequence[int], prompts: Sequence[Prompt], start: int) -> Iterator[Read]:
    """Reads of what is left of prompts, shortest first, with little padding."""
    some: list[int] = []
    tokens = 0
    for i in places:
        own = len(prompts[i]) - start
        padded = (len(some) + 1) * own
        if some and padded > max(_SMALL, _PADDED * (tokens + own)):
            yield _read(some, prompts, start)
            some, tokens = [], 0
        some.append(i)
        tokens += own
    yield _read(some, prompts, start)


def _read(places: Sequence[int], prompts: Sequence[Prompt], start: int) -> Read:
    ends = tuple(len(prompts[i]) for i in places)
    return Read(start=start, ends=ends, rows=tuple((i,) for i in places))


def _agree(one: Prompt, other: Prompt) -> int:
    """How many tokens both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
