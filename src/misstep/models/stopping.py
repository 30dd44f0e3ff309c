"""Answers that have run into a loop are not written to their end.

In: the token ids of answers that are being written. Out: which of them stop. Looked at now and
then, not at every token. What is stopped counts as cut by the limit, and `running_on` sees to it
that the validators call it the loop that it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from misstep.config import LimitsConfig
from misstep.validate import running_on

LOOK = 64
"""Tokens between two looks: a loop costs that many at most beyond where it could be stopped."""
_TAIL = 2048
"""Tokens at the end that are looked at, so that a look at a long answer costs no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopLoops:
    """Cut loops off while they are written."""

    asked: Sequence[int]
    """By prompt: how often it asks for something to be said again (`validate.asked_times`)."""
    limits: LimitsConfig = field(default_factory=LimitsConfig)


@dataclass(frozen=True, slots=True)
class Watch:
    """The answers of one batch, rows prompt by prompt."""

    how: StopLoops
    """About the prompts of the batch."""
    tokenizer: Any
    answers: int
    """To each prompt."""

    def loops(self, row: int, ids: Sequence[int]) -> bool:
        """Whether an answer is to be stopped; looks only where a look is due."""
        if len(ids) % LOOK:
            return False
        text = self.tokenizer.decode(ids[-_TAIL:], clean_up_tokenization_spaces=False)
        asked = self.how.asked[row // self.answers]
        return running_on(str(text), self.how.limits, asked)
