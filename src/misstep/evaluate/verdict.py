"""The verdict: ship or don't, from the paired change of the total and the guards.

In: figures. Out: a word and the reason in plain sentences. The rule stands in `compare`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from misstep.evaluate.figures import Guard, Paired

_GUARD_WORDS = {
    "no_call_rate": "answers without a demanded call",
    "call_rate": "answers that call a tool",
    "tool_agreement": "agreement with the accepted tools",
    "argument_agreement": "agreement with the accepted arguments",
    "json_agreement": "agreement with the accepted JSON",
    "judged_rate": "answers that could be judged",
}


def rule(
    total: Paired,
    guards: Sequence[Guard],
    *,
    rates: tuple[float, float],
    families: int,
    level: float,
) -> tuple[Literal["ship", "do-not-ship"], str]:
    """Decide.

    Args:
        total: the change of the total failure rate that the verdict is about.
        rates: sampled total failure rate before and after, in [0, 1].
        level: significance level, for example 0.05.
    """
    before, after = rates
    measured = (
        f"total failure rate {_percent(before)} → {_percent(after)} "
        f"from {total.before} to {total.after} "
        f"({_points(total.difference)} points, interval {_points(total.low)} to "
        f"{_points(total.high)}, {spell_p(total.p)}, {families} families)"
    )
    down = [guard for guard in guards if guard.down]
    faults = [fault for fault in (_total_fault(total, level), *map(_guard_fault, down)) if fault]
    if faults:
        return "do-not-ship", f"{measured}; {'; '.join(faults)}"
    return "ship", f"{measured}; no guard is down"


def _total_fault(total: Paired, level: float) -> str | None:
    if total.difference >= 0:
        return "failures did not fall"
    if total.high >= 0:
        return "the fall is within its interval: more held-out families would be needed to tell"
    if total.p >= level:
        return f"the permutation test does not reach p < {level:.2g}"
    return None


def _guard_fault(guard: Guard) -> str:
    words = _GUARD_WORDS.get(guard.metric, guard.metric)
    return (
        f"guard down: {words} {_percent(guard.value_before)} → "
        f"{_percent(guard.value_after)} "
        f"(interval {_points(guard.low)} to {_points(guard.high)} points)"
    )


def spell_p(p: float) -> str:
    """`p = 0.031`, or `p < 0.0001`."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
