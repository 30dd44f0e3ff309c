"""Where a loop stands that the published rule alone finds.

In: a rejected answer with its defects. Out: the defects, of which the cut carries the loop, so that
the answer is trimmed at its onset and its marks are about it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from misstep import validate
from misstep.types import Finding, Loop, Message

_CUTS = ("TRUNCATED", "JSON_TRUNCATED")


def with_place(answer: Message, defects: Sequence[Finding]) -> Sequence[Finding]:
    """The defects; of a loop that the published rule alone finds, the cut says where it stands.

    Such a loop has no finding of its own: that the text was cut is all that the codes say. Its
    place is the stretch at the end that repeats itself (`validate.published_span`), from which it
    is trimmed, and which the marks are about.
    """
    text = answer.text
    known = any(f.loop is not None for f in defects)
    if known or not validate.published_loop(text, answer.finish_reason):
        return defects
    start, end = validate.published_span(text)
    period = validate.published_period(text)
    loop = Loop(
        onset=start,
        period=period,
        count=(end - start) / period,
        share=(end - start) / len(text),
        unit=text[start : start + period][:200],
    )
    at = next((i for i, f in enumerate(defects) if f.code in _CUTS), None)
    if at is None:
        return defects
    placed = msgspec.structs.replace(
        defects[at], loop=loop, span=(start, end), channel="content", call=None
    )
    return *defects[:at], placed, *defects[at + 1 :]
