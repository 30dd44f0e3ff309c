"""Answers of SWE-agent that were turned down: where its trajectory has them.

In: the steps of a trajectory. Out: the tries, by the number of accepted answers before them. A step
was turned down if the next request repeats it with the harness's word after it, or if the harness
gave up right after it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from misstep.chat import content_text
from misstep.ingest.harnesses.harness import items, mapping

EXIT = re.compile(r"Exit(?:ing|ed)? (?:due to|\()")
"""What SWE-agent writes in the place of an answer when it ends a run by itself."""


class Refused(msgspec.Struct, frozen=True):
    """An answer that could not be used."""

    text: str
    action: Any
    fault: str
    retried: bool
    pointer: str


Tries = Mapping[int, list[Refused]]
"""By the number of accepted answers before them."""


def turned_down(
    steps: Sequence[Any], info: Mapping[str, Any], pointer: str
) -> dict[int, list[Refused]]:
    """The tries that were turned down, by the number of accepted answers before them."""
    found: dict[int, list[Refused]] = {}
    accepted = 0
    gave_up = "exit_format" in str(info.get("exit_status"))
    for index, step in enumerate(steps):
        said = content_text(mapping(step).get("response"))
        follows = mapping(steps[index + 1]) if index + 1 < len(steps) else {}
        fault, retried = _requery(follows, said), True
        last = content_text(follows.get("response"))
        ended = gave_up and EXIT.match(last) and not follows.get("action")
        if fault is None and ended and not mapping(step).get("observation"):
            fault, retried = last, False
        if fault is None:
            accepted += 1
        else:
            action = mapping(step).get("action")
            refused = Refused(said, action, fault, retried, f"{pointer}/{index}")
            found.setdefault(accepted, []).append(refused)
    return found


def _requery(follows: Mapping[str, Any], said: str) -> str | None:
    """What the harness said about the answer before, where this step asks again because of it."""
    asked = items(follows.get("query")) or items(follows.get("messages"))
    if len(asked) < 2:
        return None
    answer, word = mapping(asked[-2]), mapping(asked[-1])
    again = answer.get("message_type") == "assistant" and word.get("message_type") == "user"
    return content_text(word.get("content")) if again else None
