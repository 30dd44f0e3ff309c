"""Whether an answer that is still being written has run into a loop: a quick look at its end.

In: the text so far. Out: yes or no. Yes only for what `text_loop` calls a loop in an answer that
was cut off, and by a margin: more periods and more characters than it asks for, at the very end,
so that what is cut there is still the loop that it was (`benchmarks/stop_loops.py` measures it).
"""

from __future__ import annotations

from misstep.config import LimitsConfig
from misstep.validate.runs import runs
from misstep.validate.text_loop import is_filler

MORE_LENGTH = 2
"""Times the characters of a loop."""
MORE_COUNT = 4
"""Periods beyond those of a loop, and beyond those that the prompt asked for."""


def running_on(text: str, limits: LimitsConfig, asked: int = 0) -> bool:
    """Whether the text ends in a loop or in a flood of white space.

    Args:
        asked: how often the prompt asks for something to be said again (`excuses.asked_for`).
    """
    if len(text) - len(text.rstrip()) >= MORE_LENGTH * limits.trailing_space:
        return True
    length = MORE_LENGTH * limits.loop_length
    count = max(limits.loop_count, float(asked)) + MORE_COUNT
    return any(
        run.end >= len(text) - run.period and (run.period > 4 or not is_filler(text, run))
        for run in runs(text, length=length, count=count)
    )
