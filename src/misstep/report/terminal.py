"""What the terminal shows at the end of a run or of a scan, in plain text or in colour.

In: a `RunView`, or the counts of a scan. Out: text of at most 40 lines and 80 columns that starts
with one headline sentence. Logged text (tool names) is shown with its control characters spelled.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from typing import TextIO

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from misstep.report import effect
from misstep.report.advice import advice_for
from misstep.report.quality import sentences
from misstep.report.tables import (
    COLLATERAL_WORDS,
    GUARD_WORDS,
    Change,
    CodeCount,
    also,
    changes,
    code_counts,
    compared,
    funnel,
    headline,
    rows_of,
    scan_headline,
    tool_counts,
)
from misstep.report.view import Row, RunView
from misstep.report.words import many, noun, number, percent, points, spell_p, visible

WIDTH = 80
LINES = 40
_CODES = 14
"""Failure codes in the summary of a run at most; the rest is in the report."""
_NOTES = 3
_WANTS = 3
"""Checks without data in the summary of a scan at most; the rest is in `--json`."""
_SHARE = "of the logged steps"
"""What a note says that tells the share itself."""
_ROWS = 10
"""Rows of a table in the summary of a scan at most."""
_NEXT = "See why: misstep scan --explain FILE. What can be read: misstep formats."
_KINDS = 6
_KIND = 40
"""Kinds of set-aside records in the summary of a scan, and characters of one."""
_REMEDY = {"needs-extra": " (pip install 'misstep[ocr]')"}
"""What to do about a kind; pages are all that is read with an extra."""


def wants_colour(stream: TextIO, environ: Mapping[str, str] | None = None) -> bool:
    """Whether to colour: a terminal, and neither NO_COLOR nor TERM=dumb."""
    env = os.environ if environ is None else environ
    return stream.isatty() and not env.get("NO_COLOR") and env.get("TERM") != "dumb"


def terminal_summary(run: RunView, *, colour: bool = False, width: int = WIDTH) -> str:
    """The summary of a run: headline, funnel, before/after, guards, collateral, verdict.

    As many failure codes as fit into 40 lines; the rest is counted.
    """
    for codes in range(_CODES, 0, -1):
        text = rendered(_run_parts(run, codes), colour=colour, width=width)
        if text.count("\n") <= LINES:
            break
    return text


def _run_parts(run: RunView, codes: int) -> Iterator[RenderableType]:
    yield Text(headline(run), style="bold")
    yield _funnel_line(run)
    if run.on_policy_share is not None and not any(_SHARE in note for note in run.notes):
        share = percent(run.on_policy_share)
        yield f"{share} {_SHARE} were written by the trained model"
    yield from (visible(note) for note in run.notes[:_NOTES])
    lines = changes(run.scores)
    if run.scores is not None and lines:
        yield ""
        yield _change_table(run.scores, lines[: codes + 1])
        if len(lines) > codes + 1:
            yield f"… and {len(lines) - codes - 1} rarer codes, see the report"
        yield from also(run.scores)
        yield from sentences(run.scores)
        yield from (visible(part.short) for part in effect.parts(run) if part.short)
        yield from _guard_tables(run)
    if run.scores is not None:
        yield ""
        yield from _verdict(run.scores)
    if run.adapter:
        yield f"adapter: {visible(run.adapter)}"
    if run.report:
        yield f"report:  {visible(run.report)}"


def _funnel_line(run: RunView) -> str:
    known = ((name, count) for name, count in funnel(run) if count is not None)
    return " → ".join(f"{number(count)} {noun(name, count)}" for name, count in known)


def _change_table(scores: Row, lines: Sequence[Change]) -> Table:
    before, after = compared(scores) or ("", "")
    total = lines[0]
    table = new_table(
        f"of {number(scores.get('families', 0))} families",
        f"{before}, n={total.before.n}",
        f"{after}, n={total.after.n}",
        "change",
        "better/worse",
        "p",
    )
    for line in lines:
        rates = (_interval(rate.value, rate.low, rate.high) for rate in (line.before, line.after))
        table.add_row(
            line.label,
            *rates,
            "–" if line.relative is None else f"{points(line.relative, 0)}\N{NO-BREAK SPACE}%",
            f"{line.fixed}/{line.broken}",
            spell_p(line.p),
            style=None if line.label != "total" else "bold",
        )
    return table


def _guard_tables(run: RunView) -> Iterator[RenderableType]:
    guards, clean = rows_of(run, "guards"), rows_of(run, "collateral")
    if guards:
        table = new_table("guards", "before", "after", "change, points", "")
        for row in guards:
            moved = f"{points(row['difference'])} [{points(row['low'])}, {points(row['high'])}]"
            table.add_row(
                GUARD_WORDS.get(row["metric"], row["metric"]),
                percent(row["value_before"]),
                percent(row["value_after"]),
                moved,
                Text("DOWN", style="bold red") if row["down"] else Text("ok", style="green"),
            )
        yield ""
        yield table
    for row in clean:
        words = COLLATERAL_WORDS.get(row["kind"], row["kind"])
        interval = _interval(row["value"], row["low"], row["high"])
        yield f"collateral, {words}: {row['k']} of {row['n']} answers ({interval})"


def _verdict(scores: Row) -> Iterator[RenderableType]:
    style = {"ship": "bold green", "do-not-ship": "bold red"}.get(scores["verdict"], "bold")
    yield Text.assemble(("verdict: " + scores["verdict"], style), ": ", visible(scores["why"]))


def scan_summary(summary: Row, *, colour: bool = False, width: int = WIDTH) -> str:
    """The summary of a scan (schemas/summary.json): headline, counts, codes, tools, formats.

    As many rows of each table as fit into 40 lines; the rest is counted.
    """
    for rows in range(_ROWS, 2, -1):
        text = rendered(_scan_parts(summary, width, rows), colour=colour, width=width)
        if text.count("\n") <= LINES:
            break
    return text


def _scan_parts(summary: Row, width: int, rows: int) -> Iterator[RenderableType]:
    yield Text(scan_headline(summary), style="bold")
    if not summary.get("steps"):
        yield _NEXT
    yield _scan_counts(summary)
    yield from _listed("set aside", summary.get("set_aside", {}))
    yield from _unjudged(summary.get("unjudged", {}))
    yield from _not_judged(summary.get("not_judged", {}))
    yield from _by_url(summary.get("images", {}))
    codes, formats = code_counts(summary), summary.get("formats", {})
    failing = [row for row in tool_counts(summary) if row[2]]
    if codes:
        yield from _code_table(codes, width, min(_ROWS, rows + 2))
    if failing:
        table = new_table("tool", "calls", "failed", "rate")
        for name, calls, failed in failing[:rows]:
            cells = (number(calls), number(failed), percent(failed / calls))
            table.add_row(Text(visible(name)), *cells)
        yield from _with_rest("", table, len(failing) - rows)
    if len(formats) > 1:
        yield ""
        yield _format_table(formats, rows)


def _code_table(codes: Sequence[CodeCount], width: int, rows: int) -> Iterator[RenderableType]:
    table = new_table("code", "defect", "suspect", "info", "meaning", left=4)
    room = max(0, width - 29 - max(len(row.code) for row in codes[:rows]))
    for row in codes[:rows]:
        counts = (number(n) if n else "·" for n in (row.defect, row.suspect, row.info))
        said = row.meaning if len(row.meaning) <= room else row.meaning[: room - 1] + "…"
        table.add_row(visible(row.code), *counts, said)
    yield from _with_rest("", table, len(codes) - rows)


def _listed(title: str, counts: Mapping[str, int]) -> Iterator[str]:
    """Kinds with their counts, the commonest first."""
    kinds = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if kinds:
        told = [
            f"{visible(kind)[:_KIND]} {number(n)}{_REMEDY.get(kind, '')}"
            for kind, n in kinds[:_KINDS]
        ]
        more = [many(len(kinds) - _KINDS, "more kind")] * (len(kinds) > _KINDS)
        yield f"{title}: {', '.join([*told, *more])}"


def _unjudged(reasons: Mapping[str, int]) -> Iterator[str]:
    """Why steps were not judged, and what to add, a line each."""
    found = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    for at, (reason, count) in enumerate(found[:_WANTS]):
        start = f"{'unjudged:' if not at else '':10}{number(count)} {visible(reason)}"
        advice = advice_for(reason, WIDTH - len(start) - 3)
        yield f"{start} ({advice})" if advice else start
    if len(found) > _WANTS:
        yield f"{'':10}{number(sum(n for _, n in found[_WANTS:]))} for other reasons"


def _not_judged(wants: Mapping[str, Row]) -> Iterator[str]:
    """What could not be checked, the commonest first, and what to add to light it up."""
    rows = sorted(wants.values(), key=lambda row: -row["count"])
    told = [f"{number(row['count'])} {row['what']} ({row['add']})" for row in rows[:_WANTS]]
    if told:
        more = [f"{len(rows) - _WANTS} more in --json"] * (len(rows) > _WANTS)
        yield f"unchecked: {', '.join([*told, *more])}"


def _by_url(images: Mapping[str, int]) -> Iterator[str]:
    """Images that the log does not hold, and the steps that no model can be asked again."""
    if images.get("unseen_steps"):
        steps = many(images["unseen_steps"], "step")
        yield (
            f"images:    {number(images['url'])} by URL, never fetched: no model sees the prompts "
            f"of {steps}"
        )


def _scan_counts(summary: Row) -> str:
    ignored = sum(summary.get("ignored", {}).values())
    aside = sum(summary.get("set_aside", {}).values())
    keys = ("files", "records", "sessions", "steps", "tool_calls")
    words = ((key, key.replace("_", " ").removesuffix("s")) for key in keys)
    counts = [many(summary.get(key, 0), word) for key, word in words]
    more = [
        many(count, *word)
        for count, word in (
            (ignored, ("record ignored", "records ignored")),
            (aside, ("set aside", "set aside")),
            (summary.get("suspect_steps", 0), ("suspect step",)),
            (summary.get("unjudged_steps", 0), ("unjudged", "unjudged")),
        )
        if count
    ]
    return " · ".join([*counts, *more, f"{summary.get('seconds', 0.0):.1f} s"])


def _format_table(formats: Mapping[str, Row], rows: int) -> Table:
    """Formats by their steps; what does not fit is one row."""
    keys = ("files", "records", "sessions", "steps", "tool_calls", "failed_steps")
    table = new_table("format", *(key.replace("_", " ") for key in keys))
    ordered = sorted(formats.items(), key=lambda item: (-item[1].get("steps", 0), item[0]))
    shown = len(ordered) if len(ordered) <= rows + 1 else rows
    for name, row in ordered[:shown]:
        table.add_row(visible(name), *(number(row.get(key, 0)) for key in keys))
    rest = [row for _, row in ordered[shown:]]
    if rest:
        sums = (number(sum(row.get(key, 0) for row in rest)) for key in keys)
        table.add_row(f"… {number(len(rest))} more", *sums)
    return table


def _with_rest(title: str, table: Table, rest: int) -> Iterator[RenderableType]:
    yield title
    yield table
    if rest > 0:
        yield f"… and {number(rest)} more"


def new_table(first: str, *columns: str, left: int | None = None) -> Table:
    """A borderless table; the first column and column number `left` are left-aligned."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(first, overflow="ellipsis", no_wrap=True, max_width=34)
    for i, column in enumerate(columns, start=1):
        if i == left:
            table.add_column(column, overflow="ellipsis", no_wrap=True)
        else:
            table.add_column(column, justify="right", no_wrap=True)
    return table


def _interval(value: float, low: float, high: float) -> str:
    return f"{percent(value)} [{100 * low:.0f}–{100 * high:.0f}]"


def rendered(parts: Iterable[RenderableType], *, colour: bool, width: int) -> str:
    """Text of these parts, one below the other, without trailing space."""
    out = StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=colour,
        no_color=not colour,
        color_system="standard" if colour else None,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for part in parts:
        console.print(part)
    text = out.getvalue().replace("\N{NO-BREAK SPACE}", " ")
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
