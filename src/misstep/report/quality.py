"""Loops and worth of the answers as tables: one row a measure, one column an arm.

In: `scores.json` and the rows of `timing.json`. Out: plain texts for Markdown and HTML. Loops are
shown where any answer looped or gold is known; a run of tool calls without loops shows nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from misstep.report.tables import GOLD_WORDS, several
from misstep.report.words import NO_INTERVAL, percent, spell_p

Row = Mapping[str, Any]
_WORDS = {
    "degenerate_published": "loops, published rule",
    "degenerate_codes": "loops, REP codes",
    "tokens": "tokens an answer",
    "healthy_tokens": "tokens an answer that does not loop",
    "loop_tokens": "tokens in answers that loop",
    **GOLD_WORDS,
    "text_score": "text score, (Levenshtein + BLEU-4) / 2",
}
_SAID = (_WORDS["degenerate_published"], _WORDS["degenerate_codes"], _WORDS["text_score"])
_LENGTHS = ("tokens", "healthy_tokens")
_UNVALUED = ("healthy_tokens",)
"""Neither more nor less is better."""
_SCORES = ("text_score", "levenshtein", "bleu4")
_KINDS = {"greedy": "One greedy answer a family", "sampled": "Sampled answers"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One figure of one arm."""

    value: str
    range: str = ""
    """Its interval."""
    counts: str = ""
    """k of n, or n."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One measure."""

    label: str
    cells: tuple[Cell | None, ...]
    better: str = ""
    """Families better and worse, from the arm before to the arm after."""
    p: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All measures of one kind of answers."""

    title: str
    arms: tuple[str, ...]
    lines: tuple[Line, ...]
    compared: str = ""
    """Which arms `better` and `p` are about; empty where they are not shown."""


def quality_tables(scores: Row | None, timing: Sequence[Row] = ()) -> tuple[Table, ...]:
    """The tables of a run; none where nobody looped and no gold is known."""
    if scores is None or "degeneration" not in scores:
        return ()
    figures = [*scores["degeneration"]["scores"], *scores.get("gold", {}).get("scores", ())]
    looped = any(row["k"] for row in figures if row["metric"].startswith("degenerate"))
    if not looped and "gold" not in scores:
        return ()
    return tuple(_table(kind, scores, figures, timing) for kind in _kinds(figures))


def sentences(scores: Row | None) -> Iterator[str]:
    """What became of loops and of the text score, in a line each.

    Nothing where nobody looped; without gold also nothing where only other arms did.
    """
    for table in quality_tables(scores)[:1]:
        ends = (scores or {}).get("before"), (scores or {}).get("after")
        if not set(ends) <= set(table.arms):
            return
        for line in table.lines:
            was, now = (line.cells[table.arms.index(end)] for end in ends)
            if line.label in _SAID and was is not None and now is not None:
                if "gold" not in (scores or {}) and _none(was) and _none(now):
                    continue
                told = f"{was.value} → {now.value} ({was.counts} → {now.counts})"
                yield f"{line.label}: {told}, {line.better} better / worse, p {line.p}"


def _none(cell: Cell) -> bool:
    return cell.counts.startswith("0 of ")


def _kinds(figures: Sequence[Row]) -> Iterator[str]:
    seen = {row["answers"] for row in figures}
    yield from (kind for kind in _KINDS if kind in seen)


def _table(kind: str, scores: Row, figures: Sequence[Row], timing: Sequence[Row]) -> Table:
    own = [row for row in figures if row["answers"] == kind]
    arms = tuple(dict.fromkeys(row["model"] for row in own))
    moves = _moves(scores) if kind == next(_kinds(figures)) else {}
    known = {(row["metric"], row["model"]): row for row in own}
    lines = [
        Line(
            label=_WORDS[metric],
            cells=tuple(_cell(known.get((metric, arm))) for arm in arms),
            **moves.get(metric, {}),
        )
        for metric in _WORDS
        if any((metric, arm) in known for arm in arms)
    ]
    compared = f"{scores.get('before')} → {scores.get('after')}" if moves else ""
    lines += _seconds(kind, arms, timing)
    title = "All greedy answers" if kind == "greedy" and several(scores) else _KINDS[kind]
    return Table(title=title, arms=arms, lines=tuple(lines), compared=compared)


def _moves(scores: Row) -> dict[str, dict[str, str]]:
    """By metric: what became of the families from the arm before to the arm after."""
    ends = scores.get("before"), scores.get("after")
    rows = [*scores["degeneration"]["paired"], *scores.get("gold", {}).get("paired", ())]
    return {
        row["metric"]: {"better": f"{row['better']} / {row['worse']}", "p": spell_p(row["p"])}
        for row in rows
        if (row["from"], row["to"]) == ends and row["metric"] not in _UNVALUED
    }


def _cell(row: Row | None) -> Cell | None:
    if row is None:
        return None
    spell = _spelling(row["metric"])
    of = f"{row['k']} of {row['n']}" if row["k"] is not None else f"n = {row['n']}"
    between = f"{spell(row['low'])}–{spell(row['high'])}"
    if row["low"] == row["high"]:
        between = NO_INTERVAL
    return Cell(value=spell(row["value"]), range=between, counts=of)


def _spelling(metric: str) -> Any:
    if metric in _LENGTHS:
        return _whole
    return _score if metric in _SCORES else percent


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _score(value: float) -> str:
    return f"{value:.3f}"


def _seconds(kind: str, arms: Sequence[str], timing: Sequence[Row]) -> Iterator[Line]:
    rows = {row["model"]: row for row in timing if row["kind"] == kind}
    if not rows:
        return
    for label, name, spell in (
        ("seconds an answer", "seconds_per_answer", _seconds_of),
        ("seconds in answers that loop", "loop_share", percent),
    ):
        cells = (Cell(value=spell(rows[arm][name])) if arm in rows else None for arm in arms)
        yield Line(label=label, cells=tuple(cells))


def _seconds_of(value: float) -> str:
    return f"{value:.2f}"


def markdown_lines(scores: Row | None, timing: Sequence[Row] = ()) -> Iterator[str]:
    """The tables as Markdown; nothing where there are none."""
    tables = quality_tables(scores, timing)
    if not tables:
        return
    yield from ("## Loops and worth of the answers", "")
    for table in tables:
        head = ["measure", *table.arms, *(("better / worse", "p") if table.compared else ())]
        yield from (f"{table.title}{_about(table)}:", "", _row(head), _row(["---"] * len(head)))
        for line in table.lines:
            beside = (line.better or "–", line.p or "–") if table.compared else ()
            yield _row([line.label, *map(_spelled, line.cells), *beside])
        yield ""


def _about(table: Table) -> str:
    return f" (better, worse and p: {table.compared})" if table.compared else ""


def _spelled(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    beside = f" ({cell.range}; {cell.counts})" if cell.range else ""
    return f"{cell.value}{beside}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
