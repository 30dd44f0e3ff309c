"""Chosen-source `sibling`: another sample of the same prompt that came out clean.

In: a failed step. Out: at most one candidate: of the steps with the same prompt (equal content
key: messages, tools, demanded output) in any session of the same part, one that passed. One that
calls the tool that failed goes before any other (`keeps_tools`); then, where `mine.min_votes` or
`mine.supported_values` ask for it, one that meets them (`worth`); then the best score wins, then
the one whose session has the best feedback, then the one that differs least from the failure, so
that the pair teaches what went wrong. A clean answer that stands in failed sessions alone is left
to the gate to refuse. Both sides were written to this very prompt: nothing is edited.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from misstep.mine import worth
from misstep.mine.feedback import used, vetoing
from misstep.mine.source import (
    Candidate,
    Source,
    blamable,
    canonical,
    distance,
    keeps_tools,
)
from misstep.types import Message, Prompt

if TYPE_CHECKING:
    from misstep.mine.desk import Accepted, Desk


def find(desk: Desk) -> Iterator[Candidate]:
    """One candidate per failed step that has a clean sibling."""
    for prompt in desk.failed():
        if blamable(desk.corpus.verdict(prompt).codes):
            known = desk.siblings(prompt)
            among = known.kept or known.vetoed
            if among:
                yield _nearest(desk, prompt, among, len(known.vetoed) if known.kept else 0)


def _nearest(desk: Desk, prompt: Prompt, among: Sequence[Accepted], passed_over: int) -> Candidate:
    failed = desk.corpus.answer(prompt)
    offered = {tool.name for tool in desk.corpus.context(prompt).tools}
    best = min(
        among,
        key=lambda other: (
            not keeps_tools(other.answer, failed, offered),
            worth.doubts(desk, _candidate(prompt, other, failed)),
            *_rank(other, failed),
        ),
    )
    return replace(
        _candidate(prompt, best, failed),
        feedback=used(best.standing, desk.standing(prompt), passed_over),
        vetoed=vetoing(best.standing),
    )


def _candidate(prompt: Prompt, other: Accepted, failed: Message) -> Candidate:
    return Candidate(
        prompt=prompt,
        chosen=other.answer,
        rejected=failed,
        source="sibling",
        logged=other.verdict,
        votes=other.votes,
    )


SIBLING = Source(
    name="sibling",
    about="a clean answer to the same prompt, in another sample or session",
    find=find,
)


def _rank(other: Accepted, failed: Message) -> tuple[float, float, float, str]:
    """Best score, then best feedback, then nearest to the failure; the content settles ties."""
    score = other.verdict.score if other.verdict is not None else None
    near = distance(other.answer, failed)
    return -(score or 0.0), -other.standing.rank, near, canonical(other.answer)
