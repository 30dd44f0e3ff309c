"""Feedback in the log: what it says of a session, and what follows for its answers.

In: a session's `Outcome` (reward, resolved flag, thumbs). Out: a `Standing`. A human's thumbs weigh
more than a resolved flag, and that more than a reward, whose scale is nobody's but the log's: zero
and less is failure, more is better. What came of it stands on the pair (`feedback`).

A session that failed its task is no place to take a better answer from: its clean steps may be what
led it astray. So they are no siblings, no retries and no accepted steps, and neither is a call that
a human turned down. They still are prompts, and their failures are failures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from misstep.mine.source import Candidate
from misstep.mine.voices import turned_down
from misstep.types import Outcome, Session

if TYPE_CHECKING:
    from misstep.mine.desk import Desk
    from misstep.mine.gate import Draft


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the log's feedback says of a session."""

    sign: Literal[-1, 0, 1] = 0
    """1 where the task was done, -1 where it failed, 0 where nothing or something between."""
    rank: float = 0.0
    """Higher is better; compares the sessions of one corpus."""
    said: str = ""
    """The words of the log, such as `reward 1`; empty without feedback."""


UNKNOWN = Standing()
_TURNED_DOWN = Standing(sign=-1, rank=-4.0, said="the user turned its call down")


def standing(session: Session) -> Standing:
    """The standing of a session, by the strongest word that the log has on it."""
    told = session.outcome
    if told is None:
        return UNKNOWN
    if told.thumbs is not None:
        up = told.thumbs == "up"
        return Standing(sign=1 if up else -1, rank=_rank(told, up), said=f"thumbs {told.thumbs}")
    if told.resolved is not None:
        said = "resolved" if told.resolved else "not resolved"
        return Standing(sign=1 if told.resolved else -1, rank=_rank(told, told.resolved), said=said)
    if told.reward is not None:
        reward = told.reward
        sign: Literal[-1, 0, 1] = -1 if reward <= 0 else 1 if reward >= 1 else 0
        return Standing(sign=sign, rank=reward, said=f"reward {reward:g}")
    return UNKNOWN


def of_step(session: Session, step: int) -> Standing:
    """The standing of one step: that of its session, unless a human turned down a call of it."""
    for message in session.messages[step + 1 :]:
        if message.role == "assistant":
            break
        if any(turned_down(result, result.name or "") for result in message.results):
            return _TURNED_DOWN
    return standing(session)


def _rank(told: Outcome, good: bool) -> float:
    """A word of yes or no, and the reward beside it among equals."""
    beside = told.reward if told.reward is not None else 0.0
    return (2.0 if good else -2.0) + max(-1.0, min(beside, 1.0))


def used(chosen: Standing, rejected: Standing, passed_over: int = 0) -> tuple[str, ...]:
    """How feedback was used for a pair, in words for its row."""
    notes = []
    if chosen.said:
        notes.append(f"chosen from a session with {chosen.said}")
    if rejected.said and rejected != chosen:
        notes.append(f"rejected from a session with {rejected.said}")
    if passed_over:
        notes.append(f"passed over {passed_over} clean answers of failed sessions")
    return tuple(notes)


def vetoing(of: Standing) -> str:
    """Why no chosen side may be of this standing; empty where it may."""
    return f"the log's feedback is against the chosen side: {of.said}" if of.sign < 0 else ""


def failed_task(desk: Desk, draft: Draft) -> str | None:
    """The gate's rule on what a source marked as vetoed."""
    candidate: Candidate = draft.candidate
    return candidate.vetoed or None
