"""How far a sampled answer agrees with what the log accepted for the same prompt.

In: an answer and the accepted ones. Out: a share in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import orjson

from misstep.mine.source import distance, respelled
from misstep.types import Message, ToolCall

if TYPE_CHECKING:
    from misstep.mine.desk import Accepted

_Leaf = tuple[str, str | None, str]
"""Tool, argument, value."""


def agreement(answer: Message, accepted: Sequence[Accepted]) -> float:
    """How much of an accepted answer this answer gives alike at best, in [0, 1]; 0 without any.

    Of an answer that calls tools the share of equal arguments (a call without any counts as one),
    of a text 1 minus the Levenshtein distance over the longer length.
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


def _leaves(answer: Message) -> frozenset[_Leaf]:
    return frozenset(leaf for call in answer.calls for leaf in _of_call(call))


def _of_call(call: ToolCall) -> list[_Leaf]:
    """One for each argument; one for the call itself where there is no object with any."""
    bare = call.arguments.strip()
    try:
        given = orjson.loads(bare or "{}")
    except orjson.JSONDecodeError:
        return [(call.name, None, bare)]
    if isinstance(given, dict):
        return [(call.name, k, respelled(v, bare)) for k, v in given.items()] or [
            (call.name, None, "")
        ]
    return [(call.name, None, respelled(given, bare))]
