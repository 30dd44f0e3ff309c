"""A candidate on its way to the door: judged, held against every rule about it alone.

In: drafts. Out: an `Entry`, the little that orders candidates and counts them, and a `Judged`, what
becomes of the candidate: its pair, or why the gate refuses it. Both are made of the prompt's own
session and of those with the same prompt, so they are the same wherever they are made.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from misstep.mine import hard
from misstep.mine.desk import Desk
from misstep.mine.draft import Draft, margin, pair_id
from misstep.mine.gate import objection
from misstep.mine.home import home_of
from misstep.mine.marks import marks_of
from misstep.mine.near import Texts, texts_of_pair
from misstep.mine.resample import OWN
from misstep.mine.reviewed import reviewed
from misstep.mine.source import answer_id, origins_of
from misstep.types import Pair, Refused, content_id


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a candidate has its turn."""

    rank: int
    """Of its source among those that are asked together."""
    key: str
    """Content key of its prompt."""
    sides: str
    """Content id of the prompt and both sides, as the source gave them."""
    session: str
    step: int
    drafted: str
    """The source that gave it."""
    source: str
    """The source of its pair: another one where a person edited it."""
    passes: bool
    """Whether no rule of the gate objects."""
    rejected: str
    """`answer_id` of its rejected answer, as it stood before trimming."""
    turn: tuple[float, float, str] | None
    """`hard.key_of`; None for the model's own failures, which have an order of their own."""


class Judged(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What becomes of a candidate; one of `pair` and `refused` is None."""

    pair: Pair | None = None
    refused: Refused | None = None
    texts: Texts | None = None
    """Of a pair, where near-duplicates are looked for."""
    home: str | None = None
    """Of a pair: `home_of`."""


Drafted = tuple[Entry, Callable[[], Judged]]
"""An entry, and how to come by the rest."""


def entry_of(desk: Desk, drafted: Draft, rank: int = 0) -> tuple[Entry, Judged]:
    """The entry of a draft, after the gate and after what a person decided about it."""
    first = drafted.candidate
    now, said = reviewed(desk, drafted, objection(desk, drafted))
    last = now.candidate
    key = desk.key(first.prompt)
    entry = Entry(
        rank=rank,
        key=key,
        sides=content_id(answer_id(key, first.chosen), answer_id(key, first.rejected)),
        session=first.prompt.session,
        step=first.prompt.step,
        drafted=first.source,
        source=last.source,
        passes=said is None,
        rejected=answer_id(key, last.rejected),
        turn=None if first.source in OWN else _turn(desk, drafted),
    )
    return entry, _let_in(desk, now) if said is None else Judged(refused=_refused(now, *said))


def _turn(desk: Desk, d: Draft) -> hard.Key:
    c, found = d.candidate, d.rejected_findings
    return hard.key_of(desk, c.prompt, chosen=c.chosen, failed=c.rejected, defects=found)


def _let_in(desk: Desk, d: Draft) -> Judged:
    c, t = d.candidate, d.trimmed
    pair = Pair(
        id=pair_id(desk, c.prompt, chosen=c.chosen, rejected=t.answer),
        prompt=c.prompt,
        chosen=c.chosen,
        rejected=t.answer,
        source=c.source,
        margin=round(margin(d), 6),
        codes=tuple(sorted({f.code for f in d.rejected_findings})),
        marks=marks_of(c.chosen, t.answer, d.rejected_findings),
        edits=(*c.edits, *t.edits),
        feedback=c.feedback,
        cut=t.cut,
        family=desk.family(c.prompt),
        origin_chosen=origins_of(c.chosen),
        origin_rejected=origins_of(c.rejected),
    )
    texts = None
    if desk.config.near_duplicate < 1:
        before = desk.corpus.messages(c.prompt)
        texts = texts_of_pair(pair.id, before, pair.chosen, pair.rejected)
    return Judged(pair=pair, texts=texts, home=home_of(pair, desk.corpus))


def _refused(d: Draft, code: str, said: str) -> Refused:
    return Refused(
        prompt=d.candidate.prompt,
        source=d.candidate.source,
        reason=code,
        said=said,
        codes=tuple(sorted({f.code for f in d.rejected_findings})),
    )
