"""How far a sampled answer agrees with what the log accepted for the same prompt.

In: an answer and the accepted ones. Out: a share in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import orjson

from misstep.mine.source import distance
from misstep.types import Message

if TYPE_CHECKING:
    from misstep.mine.desk import Accepted


def agreement(answer: Message, accepted: Sequence[Accepted]) -> float:
    """How much of an accepted answer this answer gives alike at best, in [0, 1]; 0 without any.

    Of an answer that calls tools the share of equal arguments, of a text 1 minus the Levenshtein
    distance over the longer length.
    """
    mine = _leaves(answer)
    shares = []
    for each in accepted:
        wanted = _leaves(each.answer)
        if wanted:
            shares.append(len(mine & wanted) / len(mine | wanted))
        elif not each.answer.calls and each.answer.text.strip():
            shares.append(1 - distance(answer, each.answer))
    return max(shares, default=0.0)


def _leaves(answer: Message) -> frozenset[tuple[str, str, bytes]]:
    """(tool, argument, value) of every call with an object as arguments."""
    leaves: set[tuple[str, str, bytes]] = set()
    for call in answer.calls:
        try:
            given = orjson.loads(call.arguments)
        except orjson.JSONDecodeError:
            continue
        if isinstance(given, dict):
            leaves |= {
                (call.name, k, orjson.dumps(v, option=orjson.OPT_SORT_KEYS))
                for k, v in given.items()
            }
    return frozenset(leaves)
