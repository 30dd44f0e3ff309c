"""What a run took, and what its adapter saves in return: tokens and seconds.

In: a `RunView` with the rows of timing.json. Out: sentences. What nobody noted is said to be
missing; seconds are those of the machine that the run was made on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from misstep.report.view import RunView
from misstep.report.words import many, number, percent

Row = Mapping[str, Any]
_UNKNOWN = (
    "Spent: not known. Another adapter than the run's own was measured, or nobody noted what "
    "sampling and training took; a run that is made anew notes it."
)
_MINUTES = 120
_HOURS = 3 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Sentences, in full and in short."""

    lines: tuple[str, ...]
    short: tuple[str, ...]


def spending(run: RunView) -> Spending:
    """What sampling and training took, what answering saves, after how many answers they meet."""
    scores = run.scores or {}
    if scores.get("after") == "control":
        return Spending(lines=(_UNKNOWN, *_saved(run, None)), short=())
    sft = scores.get("after") == "sft"
    drawn = [] if sft else _rows(run, "sample", scores)
    taught = _rows(run, "sft" if sft else "train", scores)
    if not taught:
        return Spending(lines=(_UNKNOWN, *_saved(run, None)), short=())
    whole = _sum([*drawn, *taught], "seconds")
    lines = (_said(drawn, taught, _control(run)), *_saved(run, whole))
    short = "" if whole is None else f"{clock(whole)} of sampling and training"
    return Spending(lines=lines, short=(short,) if short else ())


def _rows(run: RunView, stage: str, scores: Row) -> list[Row]:
    """Of all rounds that lie between the two measured arms."""
    rows = [row for row in run.spent if row["stage"] == stage]
    if scores.get("after") == "rft":
        return [row for row in rows if row["round"] == "rft"]
    return [row for row in rows if row["round"] != "rft" or scores.get("before") != "rft"]


def _control(run: RunView) -> Row | None:
    return next((row for row in run.spent if row["stage"] == "control"), None)


def _said(drawn: Sequence[Row], taught: Sequence[Row], control: Row | None) -> str:
    told = []
    if drawn:
        answers = many(sum(row["answers"] for row in drawn), "sampled answer")
        told.append(f"{answers} ({_taken(drawn)})")
    steps = many(sum(row["steps"] for row in taught), "step")
    told.append(f"{steps} of training ({_taken(taught)})")
    if control is not None:
        told.append(
            f"for comparison, the control's {many(control['steps'], 'step')} ({_taken([control])})"
        )
    return f"Spent: {'; '.join(told)}."


def _taken(rows: Sequence[Row]) -> str:
    tokens, seconds = _sum(rows, "tokens"), _sum(rows, "seconds")
    return (
        f"{'tokens not counted' if tokens is None else many(int(tokens), 'token')}, "
        f"{'time not noted' if seconds is None else clock(seconds)}"
    )


def _sum(rows: Iterable[Row], name: str) -> float | None:
    values = [row[name] for row in rows]
    return None if None in values else float(sum(values))


def _saved(run: RunView, whole: float | None) -> Iterator[str]:
    """Tokens and time of an answer before and after, and when the effort is earned back."""
    told = [*_tokens(run), *_time(run)]
    if not told:
        yield "Saved in answering: not known, for nobody counted the tokens and timed the answers."
        return
    yield f"In answering: {'; '.join(told)}.{_earned(run, whole)}"


def _tokens(run: RunView) -> Iterator[str]:
    row = _length(run)
    if row is not None:
        was, now = (row["values"][arm] for arm in _ends(run))
        change = f", {100 * (now / was - 1):+.0f} %".replace("-", "\N{MINUS SIGN}") if was else ""
        yield f"tokens an answer {was:,.0f} → {now:,.0f}{change}"


def _length(run: RunView) -> Row | None:
    rows = (run.scores or {}).get("cost", {}).get("lengths", ())
    return next((row for row in rows if row["metric"] == "tokens"), None)


def _ends(run: RunView) -> tuple[str, str]:
    scores = run.scores or {}
    return scores["before"], scores["after"]


def _time(run: RunView) -> Iterator[str]:
    pair = _timed(run)
    if pair is not None:
        was, now = pair
        each = (f"{row['seconds_per_answer']:.2f}" for row in pair)
        yield f"seconds an answer {' → '.join(each)}"
        if was["loop_share"] or now["loop_share"]:
            shares = (percent(row["loop_share"]) for row in pair)
            yield f"share of the time in answers that loop {' → '.join(shares)}"


def _timed(run: RunView) -> tuple[Row, Row] | None:
    """Timings of both arms, of greedy answers where there are any."""
    for kind in ("greedy", "sampled"):
        rows = {row["model"]: row for row in run.timing if row["kind"] == kind}
        if set(_ends(run)) <= set(rows):
            was, now = _ends(run)
            return rows[was], rows[now]
    return None


def _earned(run: RunView, whole: float | None) -> str:
    """After how many answers the time is earned back; only where answers got shorter for sure."""
    pair, length = _timed(run), _length(run)
    if whole is None or pair is None or length is None or length["change"]["high"] >= 0:
        return ""
    saved = pair[0]["seconds_per_answer"] - pair[1]["seconds_per_answer"]
    if saved <= 0:
        return ""
    count = number(max(1, int(float(f"{whole / saved:.2g}"))))
    return f" At this rate sampling and training are earned back after about {count} answers."


def clock(seconds: float) -> str:
    """`41 s`, `6 min`, `3.2 h`."""
    if seconds < _MINUTES:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < _HOURS else f"{seconds / 3600:.1f} h"
