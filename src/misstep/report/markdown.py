"""report.md: the summary of a run for pull requests and model cards, in GitHub's Markdown.

In: a `RunView`. Out: one text file. Logged text stands in code spans, with `|`, back-ticks, line
breaks and control characters taken care of, so that it can neither break a table nor link out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from misstep import store
from misstep.report import effect
from misstep.report.disagree import disagreements
from misstep.report.quality import markdown_lines
from misstep.report.tables import (
    COLLATERAL_WORDS,
    GUARD_WORDS,
    Rate,
    also,
    arms_beside,
    changes,
    code_counts,
    compared,
    flat,
    funnel,
    headline,
    rows_of,
    tool_counts,
)
from misstep.report.view import RunView
from misstep.report.words import noun, number, percent, points, spell_p, visible

_TOOLS = 30

METHOD = (
    "Both models answered the same held-out prompts with the same settings, and the validators "
    "that judged the log judged the answers. Prompts come from families of sessions that were not "
    "trained on, at most a fixed number from each, picked by content hash and not by outcome; "
    "steps that could not be judged in the log are left out. "
    "Rates are over answers that could be judged. Intervals come from drawing families with "
    "replacement; p from flipping the sign of each family's change, which weighs as much as it has "
    "answers. Codes that one replayed step "
    "cannot show (a tool's own error, agent loops) are outside the total.",
    "Do not believe the number when the interval is wide, when the families are not like your "
    "future work, when many settings were tried on the same held-out families, when a guard is "
    "down or many answers are unjudged, or when the accepted answers are themselves wrong: "
    "validators see form, not truth. Rare codes are many, and their p-values are not corrected "
    "for looking at all of them.",
)
"""How the number is made, and when not to believe it."""


def write_markdown(run: RunView, path: Path) -> None:
    """Write the report.

    Raises:
        StageError: the file cannot be written.
    """
    store.write_text(path, "\n".join(_lines(run)))


def before_after(run: RunView) -> str:
    """The before/after part alone, for a model card; empty where nothing was measured."""
    lines = list(_before_after(run))[2:]  # the card has a heading of its own
    return "\n".join((*_verdict(run), *lines)) if lines else ""


def _lines(run: RunView) -> Iterator[str]:
    yield from (f"# {escape(run.title)}", "", f"**{escape(headline(run))}**", "")
    known = ((name, count) for name, count in funnel(run) if count is not None)
    yield from (" → ".join(f"{number(n)} {noun(name, n)}" for name, n in known), "")
    for note in run.notes:
        yield from (f"> {escape(note)}", "")
    yield from _verdict(run)
    yield from _effect(run)
    yield from _before_after(run)
    yield from _guards(run)
    yield from markdown_lines(run.scores, run.timing)
    yield from _disagreements(run)
    yield from _failures(run)
    yield from _mined(run)
    yield from _rounds(run)
    yield from ("## How the number is made, and when not to believe it", "")
    for paragraph in METHOD:
        yield from (paragraph, "")
    if run.config:
        yield from ("## Settings", "", *_table(("setting", "value"), _settings(run)))


def _verdict(run: RunView) -> Iterator[str]:
    if run.scores is not None:
        yield from (f"Verdict: **{run.scores['verdict']}**. {escape(run.scores['why'])}", "")


def _effect(run: RunView) -> Iterator[str]:
    answers = effect.parts(run)
    if answers:
        yield from (f"## {effect.title(run)}", "")
    for part in answers:
        yield from (f"**{part.question} {part.word}:** {escape(part.why)}", "")
        for line in part.lines:
            yield f"- {escape(line)}"
        yield ""


def _before_after(run: RunView) -> Iterator[str]:
    lines, arms = changes(run.scores), compared(run.scores)
    if run.scores is None or not lines or arms is None:
        return
    beside = arms_beside(run.scores)
    yield from ("## Before and after", "")
    head = ("failure", *arms, "change", "points", "better / worse", "p", *beside)
    rows = (
        (
            f"**{line.label}**" if line.label == "total" else code(line.label),
            _rate(line.before),
            _rate(line.after),
            "–" if line.relative is None else f"{points(line.relative)} %",
            points(line.after.value - line.before.value),
            f"{line.fixed} / {line.broken}",
            spell_p(line.p),
            *(_rate(rate) for rate in line.others),
        )
        for line in lines
    )
    yield from _table(head, rows)
    yield from (
        f"k/n are sampled answers; better and worse count families "
        f"({number(run.scores.get('families', 0))} in all).",
        "",
    )
    for sentence in also(run.scores):
        yield f"- {escape(sentence)}"
    yield ""


def _guards(run: RunView) -> Iterator[str]:
    rows = [
        (
            GUARD_WORDS.get(row["metric"], code(row["metric"])),
            percent(row["value_before"]),
            percent(row["value_after"]),
            f"{points(row['difference'])} [{points(row['low'])}, {points(row['high'])}]",
            number(row["n"]),
            "**down**" if row["down"] else "not down",
        )
        for row in rows_of(run, "guards")
    ]
    if rows:
        head = ("guard", "before", "after", "points", "answers", "")
        yield from ("## Guards", "", *_table(head, rows))
    for row in rows_of(run, "collateral"):
        rate = Rate(**{key: row[key] for key in ("value", "low", "high", "n", "k")})
        words = COLLATERAL_WORDS.get(row["kind"], row["kind"])
        yield from (f"Collateral, {words}: {_rate(rate)} over {row['prompts']} prompts.", "")


def _disagreements(run: RunView) -> Iterator[str]:
    found = disagreements(run)
    if found is None:
        return
    yield from ("## Where the two rules about loops disagree", "", found.sentence, "")
    head = ("model", "answers", "published rule alone", "REP codes alone")
    if found.counts:
        yield from _table(head, ((code(m), kind, str(a), str(b)) for m, kind, a, b in found.counts))
    rows = (
        (
            code(each.place),
            f"{code(each.model)} {each.kind}",
            each.said,
            each.ended,
            code(each.tail),
        )
        for each in found.answers
    )
    yield from _table(("prompt", "answer", "a loop by", "length", "its end"), rows)
    if found.left_out:
        yield from (found.left_out, "")


def _failures(run: RunView) -> Iterator[str]:
    codes = code_counts(run.summary)
    if codes:
        rows = [
            (code(c.code), *map(number, (c.defect, c.suspect, c.info)), c.meaning) for c in codes
        ]
        head = ("code", "defect", "suspect", "info", "meaning")
        yield from ("## Failures in the logs", "", *_table(head, rows))
    tools = [row for row in tool_counts(run.summary) if row[2]]
    if tools:
        cells = (
            (code(name), number(calls), number(failed), percent(failed / calls))
            for name, calls, failed in tools[:_TOOLS]
        )
        yield from _table(("tool", "calls", "failed", "rate"), cells)


def _mined(run: RunView) -> Iterator[str]:
    parts: tuple[tuple[str, Mapping[str, int]], ...] = (
        ("pairs by source", run.sources),
        ("pairs refused", run.refused),
        ("records set aside", run.summary.get("set_aside", {})),
        ("records ignored", run.summary.get("ignored", {})),
        *((f"{t.stage} rows set aside", t.set_aside) for t in run.training),
    )
    if any(counts for _, counts in parts):
        yield from ("## What was used and what was not", "")
    for title, counts in parts:
        if counts:
            rows = ((code(name), number(n)) for name, n in sorted(counts.items()))
            yield from _table((title, "count"), rows)


_ROUND = ("prompts", "answers", "pairs", "unpaired", "rows", "steps")


def _rounds(run: RunView) -> Iterator[str]:
    if run.rounds:
        cells = (
            (str(row["round"]), *(_count(row.get(name)) for name in _ROUND)) for row in run.rounds
        )
        yield from ("## Rounds", "", *_table(("round", *_ROUND), cells))


def _count(value: int | None) -> str:
    return "–" if value is None else number(value)


def _settings(run: RunView) -> Iterator[tuple[str, str]]:
    return ((code(key), code(value)) for key, value in flat(run.config))


def _rate(rate: Rate | None) -> str:
    if rate is None:
        return "–"
    between = f"{100 * rate.low:.1f}–{100 * rate.high:.1f}"
    return f"{percent(rate.value)} ({rate.k}/{rate.n}; {between})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join([' --- ', *([' ---: '] * (len(head) - 1))])}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def code(text: str) -> str:
    """Text as a code span that holds in a table cell."""
    flat_text = " ".join(visible(text).split()) or " "
    fence = "`" * (1 + max((len(run) for run in _ticks(flat_text)), default=0))
    pad = " " if flat_text.startswith("`") or flat_text.endswith("`") else ""
    return f"{fence}{pad}{flat_text}{pad}{fence}".replace("|", "\\|")


def _ticks(text: str) -> Iterator[str]:
    run = ""
    for c in text:
        run = run + c if c == "`" else ""
        if run:
            yield run


def escape(text: str) -> str:
    """Text as prose: no Markdown or HTML of its own, one line."""
    line = " ".join(visible(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{c}" if c in "\\`*_[]|!#~" else c for c in line)
