"""The order in which candidates come to the door: made of their content alone.

Which of two duplicates stays, and who still finds room under a share, depends on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from misstep.mine.entry import Drafted, Entry
from misstep.mine.resample import OWN


def in_order(drafts: Iterable[Drafted], kind: str) -> Iterator[Drafted]:
    """Drafts by source, then one pair of each prompt at a time.

    Args:
        drafts: in any order, but those of one session in the order in which they were found.
        kind: `mine.hard_negatives`, the order of the failures of one prompt.
    """
    turns: dict[tuple[int, str], list[Drafted]] = defaultdict(list)
    for each in drafts:
        turns[each[0].rank, each[0].key].append(each)
    entries = [
        (turn, each)
        for group in turns.values()
        for turn, each in enumerate(_by_turns(group, kind) if len(group) > 1 else group)
    ]
    turns.clear()
    entries.sort(key=lambda e: (e[1][0].rank, e[0], e[1][0].sides, *_place(e[1][0])))
    yield from (each for _, each in entries)


def _by_turns(group: Sequence[Drafted], kind: str) -> list[Drafted]:
    """Drafts of one prompt in the order in which they get their turn; hardest failures first.

    The model's own failures have theirs from `resample`, which `nearest` puts by content again.
    """
    own = group[0][0].drafted in OWN
    if own and kind != "nearest":
        return sorted(group, key=lambda each: _place(each[0]))
    return sorted(group, key=lambda each: (*_turn(each[0]), each[0].sides, *_place(each[0])))


def _turn(entry: Entry) -> tuple[float, float, str]:
    return entry.turn or (0.0, 0.0, "")


def _place(entry: Entry) -> tuple[str, int]:
    return entry.session, entry.step
