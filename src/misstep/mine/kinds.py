"""Kinds of rejected sides: which of them `mine.rejected` asks for, and by how much they lose.

In: an answer with its defects, or a draft. Out: its kind, or a sentence that says why it is not
taken. An answer loops by either rule of docs/ocr.md: a code of the loops, or the published one.
Every other defect that the model caused is a failure. A low score is no defect: a clean answer of
the model under training that agrees less with what was accepted than the chosen side does.
"""

from __future__ import annotations

from collections.abc import Iterable

from misstep import validate
from misstep.codes import CODES
from misstep.config import Rejected
from misstep.mine import hard
from misstep.mine.desk import Desk
from misstep.mine.draft import Draft
from misstep.types import Finding, Message, Prompt

_DEFECTS: frozenset[Rejected] = frozenset({"loops", "failures"})


def kind_of(answer: Message, defects: Iterable[Finding]) -> Rejected:
    """The kind of an answer that failed."""
    if any(f.code in CODES and "loop" in CODES[f.code].group for f in defects):
        return "loops"
    if validate.published_loop(answer.text, answer.finish_reason):
        return "loops"
    return "failures"


def all_asked(desk: Desk) -> bool:
    """Whether `mine.rejected` leaves no failure out."""
    return _DEFECTS.issubset(desk.config.rejected)


def unasked(desk: Desk, answer: Message, defects: Iterable[Finding]) -> bool:
    """Whether `mine.rejected` leaves this failure out."""
    return not all_asked(desk) and kind_of(answer, defects) not in desk.config.rejected


def unasked_sample(desk: Desk, prompt: Prompt, answer: Message) -> bool:
    """The same of a failed answer of the model under training."""
    return unasked(desk, answer, hard.defects_of(desk, prompt, answer))


def loop_unasked(desk: Desk, d: Draft) -> str | None:
    """A loop, where others are asked for."""
    return _unasked(desk, d, "loops")


def failure_unasked(desk: Desk, d: Draft) -> str | None:
    """A failure that is no loop, where others are asked for."""
    return _unasked(desk, d, "failures")


def _unasked(desk: Desk, d: Draft, kind: Rejected) -> str | None:
    asked, rejected = desk.config.rejected, d.candidate.rejected
    if d.candidate.behind is not None or kind in asked:
        return None
    if kind_of(rejected, d.rejected_findings) != kind:
        return None
    codes = ", ".join(sorted({f.code for f in d.rejected_findings}))
    return f"the rejected side fails by {codes}; mine.rejected is {', '.join(asked)}"


def score_margin(desk: Desk, d: Draft) -> str | None:
    """A clean rejected side that is nearly as good as the chosen one."""
    behind, wanted = d.candidate.behind, desk.config.score_margin
    if behind is None or behind >= wanted:
        return None
    return f"the rejected side agrees {behind:.2f} less; mine.score_margin is {wanted:g}"
