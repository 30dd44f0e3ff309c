"""The harness's own count of what it saw: what a reader of the logs must find again.

In: runs by format. Out: one JSON object by format. `rejected_steps` are the answers that the
harness did not accept, judged with jsonschema-rs alone; a validator may find a little more in them
(a duplicate key, a call beside plain text) and calls the tools' own refusals by another name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from harness import Run


def books(runs: Mapping[str, Sequence[Run]]) -> dict[str, dict[str, int]]:
    """The counts by format."""
    return {name: _page(some) for name, some in runs.items()}


def _page(runs: Sequence[Run]) -> dict[str, int]:
    attempts = [attempt for run in runs for attempt in run.attempts]
    firsts: dict[str, set[bool]] = defaultdict(set)
    for run in runs:
        firsts[run.task.user].add(run.attempts[0].good)
    return {
        "tasks": len(firsts),
        "sessions": len(runs),
        "steps": len(attempts),
        "tool_calls": sum(len(attempt.message.calls) for attempt in attempts),
        "rejected_steps": sum(not attempt.good for attempt in attempts),
        "rejected_first_steps": sum(not run.attempts[0].good for run in runs),
        "mended_sessions": sum(len(run.attempts) > 1 and run.attempts[-1].good for run in runs),
        "tasks_with_both": sum(len(states) == 2 for states in firsts.values()),
    }
