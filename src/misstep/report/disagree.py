"""Answers that one rule about loops calls a loop and the other does not: counted, and listed.

In: a `RunView`. Out: plain rows for Markdown and HTML; escaping is theirs. The list is a part of
all: as many of each model as of the others, and a sentence says how many it leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass

from misstep.report.view import Row, RunView
from misstep.report.words import many, number

_ENDED = {"length": "cut at the limit", "stop": "ended by itself"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer on which the rules disagree."""

    model: str
    kind: str
    place: str
    """Where its prompt stands in the logs, else the session."""
    said: str
    """Which rule says loop."""
    ended: str
    """Its length, and how it ended."""
    tail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreements:
    """All of them in counts, some of them one by one."""

    sentence: str
    counts: tuple[tuple[str, str, int, int], ...]
    """Model, kind of answers, loops by the published rule alone, loops by the REP codes alone."""
    answers: tuple[Answer, ...]
    left_out: str
    """How many are not listed; empty where all are."""


def disagreements(run: RunView) -> Disagreements | None:
    """What the rules disagree on; None where they agree on every answer."""
    section = (run.scores or {}).get("degeneration", {})
    count = section.get("disagreeing", 0)
    if not count:
        return None
    what = "answer is a loop" if count == 1 else "answers are loops"
    more = count - len(run.disagreements)
    return Disagreements(
        sentence=f"{number(count)} {what} by one rule and not by the other.",
        counts=tuple(
            (row["model"], row["answers"], row["published_alone"], row["codes_alone"])
            for row in section.get("disagreeing_by", ())
        ),
        answers=tuple(map(_answer, run.disagreements)),
        left_out=f"{many(more, 'more answer')} not listed; up to 200 are in scores.json, "
        "degeneration.disagreements."
        if more
        else "",
    )


def _answer(row: Row) -> Answer:
    said = "the published rule" if row["published"] else ", ".join(row["codes"])
    reason = row.get("finish_reason") or "–"
    number_of = f", no. {row['index'] + 1}" if row["answers"] == "sampled" else ""
    return Answer(
        model=row["model"],
        kind=f"{row['answers']}{number_of}",
        place=row.get("place") or f"{row['session']} step {row['step']}",
        said=said,
        ended=f"{many(row.get('characters', 0), 'character')}, {_ENDED.get(reason, reason)}",
        tail=row.get("tail", ""),
    )
