"""Scores and feedback that observability logs carry, as the outcome of a session.

In: names with their values. Out: an `Outcome`. Only names whose meaning is plain are taken (the
tables below); another score, such as `toxicity`, may be good when it is low, so it says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

from misstep.ingest.messages import number_or_none
from misstep.types import Outcome

_REWARDS = frozenset(
    ("reward", "score", "correctness", "accuracy", "quality", "overall", "helpfulness", "rating")
)
_RESOLVED = frozenset(
    (
        *("success", "resolved", "solved", "passed", "pass", "correct", "completed"),
        *("task_success", "task_completed", "task_completion", "goal_achieved", "is_resolved"),
    )
)
_THUMBS = frozenset(
    ("thumbs", "thumbs_up", "thumb", "user_feedback", "feedback", "user_score", "user_thumbs")
)
_UP = frozenset(("up", "thumbs_up", "positive", "good", "like", "true", "yes", "1"))
_DOWN = frozenset(("down", "thumbs_down", "negative", "bad", "dislike", "false", "no", "0", "-1"))


def outcome_of(scores: Iterable[tuple[Any, Any]]) -> Outcome | None:
    """The outcome that `(name, value)` pairs tell; the first of each sort wins."""
    reward: float | None = None
    resolved: bool | None = None
    thumbs: Literal["up", "down"] | None = None
    for name, value in scores:
        plain = re.sub(r"[^a-z0-9]+", "_", name.lower()) if isinstance(name, str) else ""
        if plain in _REWARDS and reward is None:
            reward = float(value) if isinstance(value, bool) else number_or_none(value)
        elif plain in _RESOLVED and resolved is None:
            sign = _sign(value)
            resolved = None if sign is None else sign > 0
        elif plain in _THUMBS and thumbs is None:
            sign = _sign(value)
            thumbs = None if sign is None else "up" if sign > 0 else "down"
    told = Outcome(reward=reward, resolved=resolved, thumbs=thumbs)
    return None if told == Outcome() else told


def _sign(value: Any) -> int | None:
    """1 for yes, -1 for no; None for anything between or unknown."""
    if isinstance(value, str):
        word = value.strip().lower()
        return 1 if word in _UP else -1 if word in _DOWN else None
    if isinstance(value, bool):
        return 1 if value else -1
    number = number_or_none(value)
    return {1.0: 1, 0.0: -1, -1.0: -1}.get(number) if number is not None else None
