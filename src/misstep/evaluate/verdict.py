"""The verdict: ship or don't, from the paired change of the total and the guards.

In: figures. Out: a word and the reason in plain sentences. The rule stands in `compare`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from misstep.evaluate.figures import Guard, Paired
from misstep.evaluate.metrics import holm

_GUARD_WORDS = {
    "no_call_rate": "answers without a demanded call",
    "call_rate": "answers that call a tool",
    "tool_agreement": "agreement with the accepted tools",
    "argument_agreement": "agreement with the accepted arguments",
    "json_agreement": "agreement with the accepted JSON",
    "judged_rate": "answers that could be judged",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """What became of the arm that the run began with, where a stage lies in between."""

    total: Paired
    rates: tuple[float, float]
    guards: tuple[Guard, ...]


def rule(
    total: Paired,
    guards: Sequence[Guard],
    *,
    rates: tuple[float, float],
    families: tuple[int, int],
    level: float,
    since: Since | None = None,
) -> tuple[Literal["ship", "do-not-ship"], str]:
    """Decide.

    Args:
        total: the change of the total failure rate that the verdict is about.
        rates: sampled total failure rate before and after, in [0, 1].
        families: with judged answers of both arms, and all that were asked.
        level: significance level, for example 0.05.
    """
    judged, asked = families
    counted = f"{asked} {'family' if asked == 1 else 'families'}"
    if judged < asked:
        counted = f"{judged} of {counted} judged"
    measured = f"total failure rate {_moved(total, rates, f'{spell_p(total.p)}, {counted}')}"
    down = [guard for guard in guards if guard.down]
    faults = [fault for fault in (_total_fault(total, level), *map(_guard_fault, down)) if fault]
    faults += _since_faults(since)
    if faults:
        return "do-not-ship", f"{measured}; {'; '.join(faults)}"
    return "ship", f"{measured}; no guard is down"


def beside(total: Paired, codes: Sequence[Paired], *, level: float) -> str:
    """What rose while the total fell, to be read after the reason: it decides nothing.

    One failure may take the place of another (a call with a wrong type where there was no call), so
    a code that rose is named and does not forbid to ship. Its p is corrected for all codes tested.
    """
    tested = [code for code in codes if code.fixed or code.broken]
    many = f"{len(tested)} {'code' if len(tested) == 1 else 'codes'}"
    rose = [
        f"{code.code} rose {_points(code.difference)} points (interval {_points(code.low)} to "
        f"{_points(code.high)}, {spell_p(p)} corrected for {many})"
        for code, p in zip(tested, holm([code.p for code in tested]), strict=True)
        if code.low > 0 and p < level
    ]
    worse = total.greedy_broken > total.greedy_fixed and total.greedy_p < level
    if total.difference < 0 and worse:
        rose.append(
            f"greedy answers fail more often in {total.greedy_broken} families and less often in "
            f"{total.greedy_fixed} ({spell_p(total.greedy_p)})"
        )
    return "".join(f"; {each}" for each in rose)


def blind(before: str, after: str, judged: tuple[int, int]) -> str:
    """Why nothing ships whose answers, or those of the arm before, could not be judged."""
    each = zip((before, after), judged, strict=True)
    told = " and ".join(f"{count} of {arm}" for arm, count in each)
    return f"no failure rate can be compared: {told} held-out answers could be judged"


def _moved(total: Paired, rates: tuple[float, float], more: str) -> str:
    before, after = rates
    return (
        f"{_percent(before)} → {_percent(after)} from {total.before} to {total.after} "
        f"({_points(total.difference)} points, interval {_points(total.low)} to "
        f"{_points(total.high)}, {more})"
    )


def _since_faults(since: Since | None) -> Iterator[str]:
    """Worse than what one has without any training, by the whole interval."""
    if since is None:
        return
    first = since.total.before
    if since.total.low > 0:
        yield f"worse than {first}: {_moved(since.total, since.rates, spell_p(since.total.p))}"
    down = (guard for guard in since.guards if guard.down)
    yield from (_guard_fault(guard, f" since {first}") for guard in down)


def _total_fault(total: Paired, level: float) -> str | None:
    if total.difference >= 0:
        return "failures did not fall"
    if total.high >= 0:
        return "the fall is within its interval: more held-out families would be needed to tell"
    if total.p >= level:
        return f"the permutation test does not reach p < {level:.2g}"
    return None


def _guard_fault(guard: Guard, since: str = "") -> str:
    words = _GUARD_WORDS.get(guard.metric, guard.metric)
    return (
        f"guard down{since}: {words} {_percent(guard.value_before)} → "
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
