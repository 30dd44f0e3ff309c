"""Chosen-source `sibling`: another sample of the same prompt that came out clean.

In: a failed step. Out: at most one candidate: of the steps with the same prompt (equal content
key: messages, tools, demanded output) in any session of the same part, one that passed. The best
score wins, then the one that differs least from the failure, so that the pair teaches what went
wrong. Both sides were written to this very prompt: nothing is edited.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from misstep.mine.source import Candidate, Source, blamable, canonical, distance
from misstep.types import Message

if TYPE_CHECKING:
    from misstep.mine.desk import Accepted, Desk


def find(desk: Desk) -> Iterator[Candidate]:
    """One candidate per failed step that has a clean sibling."""
    for prompt in desk.failed():
        clean = desk.clean(prompt) if blamable(desk.corpus.verdict(prompt).codes) else ()
        if clean:
            failed = desk.corpus.answer(prompt)
            best = min(clean, key=lambda other: _rank(other, failed))
            yield Candidate(
                prompt=prompt,
                chosen=best.answer,
                rejected=failed,
                source="sibling",
                logged=best.verdict,
            )


SIBLING = Source(
    name="sibling",
    about="a clean answer to the same prompt, in another sample or session",
    find=find,
)


def _rank(other: Accepted, failed: Message) -> tuple[float, float, str]:
    """Best score first, then nearest to the failure; the content settles ties."""
    score = other.verdict.score if other.verdict is not None else None
    return (-(score or 0.0), distance(other.answer, failed), canonical(other.answer))
