"""Chosen-source `sibling`: another sample of the same prompt that came out clean.

In: a failed step. Out: at most one candidate: of the steps with the same prompt (equal content
key: messages, tools, demanded output) in any session of the same part, one that passed. The best
score wins, then the one that differs least from the failure, so that the pair teaches what went
wrong. Both sides were written to this very prompt: nothing is edited.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from misstep.mine.source import Candidate, Source, canonical, distance, offline
from misstep.types import Prompt

if TYPE_CHECKING:
    from misstep.mine.desk import Desk


def find(desk: Desk) -> Iterator[Candidate]:
    """One candidate per failed step that has a clean sibling."""
    for prompt in desk.failed():
        clean = _clean(desk, prompt) if offline(desk.corpus.verdict(prompt).codes) else ()
        if clean:
            best = min(clean, key=lambda other: _rank(desk, prompt, other))
            yield Candidate(
                prompt=prompt,
                chosen=desk.corpus.answer(best),
                rejected=desk.corpus.answer(prompt),
                source="sibling",
                logged=desk.corpus.verdict(best),
            )


SIBLING = Source(
    name="sibling",
    about="a clean answer to the same prompt, in another sample or session",
    find=find,
)


def _clean(desk: Desk, prompt: Prompt) -> tuple[Prompt, ...]:
    """Steps with the same prompt that passed."""
    verdict = desk.corpus.verdict
    return tuple(p for p in desk.same_prompt(prompt) if verdict(p).state == "pass")


def _rank(desk: Desk, prompt: Prompt, other: Prompt) -> tuple[float, float, str]:
    """Best score first, then nearest to the failure; the content settles ties."""
    failed, clean = desk.corpus.answer(prompt), desk.corpus.answer(other)
    score = desk.corpus.verdict(other).score or 0.0
    return (-score, distance(clean, failed), canonical(clean))
