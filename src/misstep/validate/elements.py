"""Repeated elements: the same list item, or the same parallel call, again and again.

In: a parsed JSON value, or the calls of one message. Out: REP_ELEMENT findings, whose `loop` counts
in elements. A prompt that asks for a number of things ("four pizzas", digits only) excuses that
many. Lists of numbers, booleans and short strings are data, not loops, and are never flagged.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from misstep.redact import clip
from misstep.types import Channel, Finding, Level, Loop
from misstep.validate.strict_json import lists
from misstep.validate.validator import Step

MASKED = 8
"""Neighbours that are equal once numbers and ids are masked."""
TWIN_CALLS = 2
"""Equal parallel calls that are suspect; `limits.equal_elements` of them are a defect."""
MIN_LETTERS = 8
MIN_STRING = 20
"""Characters of a repeated string element."""

_NUMBER = re.compile(r"\b[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]{4,}){0,4}\b|\d+")
_ASKED = re.compile(r"(?<![\w.,-])\d{1,4}(?![\w-]|[.,]\d)")


def asked_count(step: Step) -> int | None:
    """The largest number up to 9999 in the last message of the user; None where there is none."""
    for message in reversed(step.session.messages[: step.index]):
        if message.role == "user" and message.text:
            numbers = [int(found) for found in _ASKED.findall(message.text)]
            return max(numbers, default=None)
    return None


def repeated_elements(
    step: Step, channel: Channel, value: Any, *, call: int | None
) -> Iterator[Finding]:
    """The longest repeated stretch of each list inside `value`."""
    enough = step.settings.limits.equal_elements
    for where, items in lists(value):
        if len(items) >= enough:
            found = _plain(items, enough) or _masked(items)
            if found is None:
                continue
            start, count, masked = found
            asked = asked_count(step)
            if asked is not None and count <= asked:
                continue
            sure = not masked or step.finish == "length" or (asked and count >= 3 * asked)
            yield step.find(
                "REP_ELEMENT",
                channel,
                level="defect" if sure else "suspect",
                call=call,
                where=f"{where}/{start}",
                evidence=_said(items[start], count, masked),
                tags=("masked",) if masked else (),
                loop=_loop(start, count, len(items), items[start]),
            )


def repeated_calls(step: Step) -> Iterator[Finding]:
    """Exact duplicates among the calls of one message."""
    calls = step.calls
    if len(calls) < TWIN_CALLS:
        return
    keys = [
        (c.name, _key(p.value if p is not None and p.ok else c.arguments))
        for c, p in zip(calls, step.arguments, strict=True)
    ]
    for key, count in Counter(keys).items():
        asked = asked_count(step) if count >= TWIN_CALLS else None
        if count < TWIN_CALLS or (asked is not None and count <= asked):
            continue
        level: Level = "defect" if count >= step.settings.limits.equal_elements else "suspect"
        second = keys.index(key, keys.index(key) + 1)
        yield step.find(
            "REP_ELEMENT",
            "arguments",
            level=level,
            call=second,
            evidence=f"the same call {count} times in one message: {key[0]}({clip(key[1], 120)})",
            tags=("parallel",),
            loop=_loop(keys.index(key), count, len(calls), f"{key[0]} {key[1]}"),
        )


def _loop(start: int, count: int, total: int, unit: Any) -> Loop:
    text = unit if isinstance(unit, str) else _key(unit)
    return Loop(
        onset=start, period=1, count=count, share=round(count / total, 4), unit=clip(text, 200)
    )


def _said(item: Any, count: int, masked: bool) -> str:
    how = "equal but for numbers" if masked else "equal"
    return f"{count} {how} elements in a row: {clip(_key(item), 160)}"


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _plain(items: list[Any], enough: int) -> tuple[int, int, bool] | None:
    start, count = _longest(items)
    if count < enough or not _tells(items[start]):
        return None
    return start, count, False


def _masked(items: list[Any]) -> tuple[int, int, bool] | None:
    """The first stretch of `MASKED` objects or more that are equal once numbers are masked.

    Such a stretch holds two neighbours at a multiple of `MASKED - 1`: only those are compared.
    """
    if len(items) < MASKED or not isinstance(items[0], dict):
        return None
    end = 0
    for at in range(0, len(items) - 1, MASKED - 1):
        if at < end or not _alike(items, at, at + 1):
            continue  # inside a stretch that was looked at, or outside of any
        start, end = at, at + 1
        while start > 0 and _alike(items, start - 1, at):
            start -= 1
        while end + 1 < len(items) and _alike(items, end + 1, at):
            end += 1
        if end - start + 1 >= MASKED and _tells(items[start]):
            return start, end - start + 1, True
    return None


def _alike(items: list[Any], one: int, other: int) -> bool:
    left, right = items[one], items[other]
    if not isinstance(left, dict) or not isinstance(right, dict) or left.keys() != right.keys():
        return False
    return _NUMBER.sub("#", _key(left)) == _NUMBER.sub("#", _key(right))


def _longest(items: list[Any]) -> tuple[int, int]:
    """Start and size of the longest stretch of equal neighbours."""
    best = (0, 1)
    start = 0
    for at in range(1, len(items) + 1):
        if at == len(items) or items[at] != items[start]:
            if at - start > best[1]:
                best = (start, at - start)
            start = at
    return best


def _tells(item: Any) -> bool:
    """True for an element with enough words in it that repeating it says nothing new."""
    if isinstance(item, str):
        return len(item) >= MIN_STRING
    if not isinstance(item, dict | list):
        return False
    return sum(c.isalpha() for c in _key(item)) >= MIN_LETTERS
