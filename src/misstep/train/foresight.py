"""Early warnings that need no training: what the rows themselves say.

In: the rows of a stage, those that are used, those that were set aside. Out: sentences for the
user, each with what to change. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from misstep.codes import CODES
from misstep.train.rows import Ids, Row
from misstep.types import SetAside

_MANY = 0.5
"""Share of the rows above which it is said."""


def foreseen(
    rows: Sequence[Row],
    ids: Sequence[Ids],
    aside: Sequence[SetAside],
    *,
    section: str,
    max_length: int,
) -> tuple[str, ...]:
    """What is said of these rows before they are trained on; mostly nothing."""
    said = (_stopped(rows, ids), _too_long(rows, aside, section=section, max_length=max_length))
    return tuple(filter(None, said))


def _stopped(rows: Sequence[Row], ids: Sequence[Ids]) -> str:
    """Failed answers that stopped at their token limit show where it is, not how they fail."""
    used = {each.id for each in ids}
    failed = [row for row in rows if row.id in used and (row.rejected or not row.label)]
    count = sum(map(_at_limit, failed))
    if count <= _MANY * len(failed):
        return ""
    return (
        f"{count} of {len(failed)} failed answers stopped at their token limit, so that most of "
        "what is unlearned is a beginning; raise sample.max_new_tokens, or the limit of the agent "
        "whose logs these are"
    )


def _at_limit(row: Row) -> bool:
    """A text loop runs into every limit and is cut at its onset besides: that is no sign."""
    loops = any(code in CODES and CODES[code].group == "text-loop" for code in row.codes)
    return not loops and (row.cut or "TRUNCATED" in row.codes)


def _too_long(
    rows: Sequence[Row], aside: Sequence[SetAside], *, section: str, max_length: int
) -> str:
    drawn = len(rows) - sum(each.reason == "over-limit" for each in aside)
    count = sum(each.reason == "too-long" for each in aside)
    if count <= _MANY * drawn:
        return ""
    return (
        f"{count} of {drawn} rows are too long and were set aside, {section}.max_length is "
        f"{max_length}; raise it, or let budget.max_prompt shorten prompts further"
    )
