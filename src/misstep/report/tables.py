"""Tables and sentences shared by the terminal, the Markdown and the HTML report.

In: a `RunView`, or the rows of `scores.json`. Out: small frozen values with ready numbers and
words; no layout.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from misstep.codes import CODES
from misstep.report.loops import loops_said
from misstep.report.view import Row, RunView
from misstep.report.words import number, percent, points, spell_p, visible

STAGES = ("base", "sft", "dpo", "kto")

GUARD_WORDS: Mapping[str, str] = {
    "no_call_rate": "demanded call not made",
    "call_rate": "answers that call a tool",
    "tool_agreement": "same tools as accepted",
    "argument_agreement": "same arguments as accepted",
    "json_agreement": "same JSON as accepted",
    "judged_rate": "answers that could be judged",
}
GOLD_WORDS: Mapping[str, str] = {
    "text_score": "text score",
    "levenshtein": "Levenshtein ratio",
    "bleu4": "BLEU-4",
    "cer": "character error rate",
    "wer": "word error rate",
    "json_valid": "valid JSON",
    "schema_valid": "valid under the schema",
    "field_accuracy": "fields right",
    "exact": "all right",
}
COLLATERAL_WORDS: Mapping[str, str] = {
    "logged-clean": "clean in the log, fails now",
    "clean-before": "clean before, fails now",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One measured share with its interval, all in [0, 1]."""

    value: float
    low: float
    high: float
    n: int
    k: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of the before/after table."""

    label: str
    """`total` or a failure code."""
    meaning: str
    before: Rate
    after: Rate
    p: float | None
    fixed: int
    broken: int
    level: float = 0.05
    """Below this p the change counts as one."""
    between: tuple[float, float] | None = None
    """Interval of the paired difference, in [-1, 1]."""
    others: tuple[Rate | None, ...] = ()
    """The rates of the arms in `arms_beside`, in that order."""

    @property
    def relative(self) -> float | None:
        """Change relative to before, -0.594 = down by 59.4 %; None from zero."""
        if not self.before.value:
            return None
        return self.after.value / self.before.value - 1

    @property
    def told(self) -> bool:
        """Whether the change can be told from chance: by its p and by its interval."""
        low, high = self.between or (-1.0, 1.0)
        return self.p is not None and self.p < self.level and not low <= 0 <= high

    @property
    def direction(self) -> Literal["better", "worse", ""]:
        """Empty where the change may be chance."""
        if not self.told or self.after.value == self.before.value:
            return ""
        return "better" if self.after.value < self.before.value else "worse"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeCount:
    """Findings of one code."""

    code: str
    meaning: str
    defect: int
    suspect: int
    info: int


def compared(scores: Row | None) -> tuple[str, str] | None:
    """Names of the arms before and after that the verdict is about."""
    if scores is None:
        return None
    before, after = scores.get("before"), scores.get("after")
    if before and after:
        return before, after
    named = [s for s in STAGES if any(r["model"] == s for r in scores.get("scores", ()))]
    return (named[-2], named[-1]) if len(named) > 1 else None


def arms_beside(scores: Row) -> tuple[str, ...]:
    """The evaluated arms that are not the two compared ones: earlier stages, then controls."""
    names = dict.fromkeys(str(row["model"]) for row in scores["scores"])
    return tuple(name for name in names if name not in (compared(scores) or ()))


def rate_of(scores: Row, model: str, code: str | None, metric: str = "failure_rate") -> Rate | None:
    """One measured rate out of the rows of scores.json."""
    for row in scores["scores"]:
        if (row["model"], row["code"], row["metric"]) == (model, code, metric):
            return Rate(**{key: row[key] for key in ("value", "low", "high", "n", "k")})
    return None


def changes(scores: Row | None) -> tuple[Change, ...]:
    """The before/after lines: the total first, then codes by how often they failed before."""
    arms = compared(scores)
    if scores is None or arms is None:
        return ()
    before, after = arms
    paired = {r["code"]: r for r in scores["paired"] if (r["from"], r["to"]) == arms}
    lines = [
        line
        for code in dict.fromkeys(row["code"] for row in scores["scores"])
        if (line := _change(scores, code, (before, after), paired.get(code))) is not None
    ]
    return tuple(sorted(lines, key=lambda c: (c.label != "total", -c.before.k, c.label)))


def _change(
    scores: Row, code: str | None, arms: tuple[str, str], paired: Row | None
) -> Change | None:
    before, after = (rate_of(scores, arm, code) for arm in arms)
    if before is None or after is None:
        return None
    return Change(
        label=code or "total",
        meaning=meaning(code) if code else "any failure that one replayed step can show",
        before=before,
        after=after,
        p=None if paired is None else paired["p"],
        fixed=0 if paired is None else paired["fixed"],
        broken=0 if paired is None else paired["broken"],
        level=1 - scores.get("confidence", 0.95),
        between=None if paired is None else (paired["low"], paired["high"]),
        others=tuple(rate_of(scores, name, code) for name in arms_beside(scores)),
    )


def meaning(code: str) -> str:
    """What a code stands for; empty for a plug-in's own."""
    return CODES[code].meaning if code in CODES else ""


def code_counts(summary: Row) -> tuple[CodeCount, ...]:
    """Codes of a scan by their defects, most frequent first."""
    rows = [
        CodeCount(code=code, meaning=meaning(code), **{k: counts[k] for k in _LEVELS})
        for code, counts in summary.get("codes", {}).items()
    ]
    return tuple(sorted(rows, key=lambda r: (-r.defect, -r.suspect, -r.info, r.code)))


_LEVELS = ("defect", "suspect", "info")


def tool_counts(summary: Row) -> tuple[tuple[str, int, int], ...]:
    """(tool, calls, failed), most failures first."""
    tools = summary.get("tools", {})
    rows = [(name, counts["calls"], counts["failed"]) for name, counts in tools.items()]
    return tuple(sorted(rows, key=lambda r: (-r[2], -r[1], r[0])))


def funnel(run: RunView) -> tuple[tuple[str, int | None], ...]:
    """Files → sessions → steps → failed → pairs → trained; None for what was not reached."""
    counts = run.summary
    pairs = len(run.pairs) if run.pairs_total is None else run.pairs_total
    mined = bool(pairs or run.refused or run.unpaired or run.scores or run.trained is not None)
    return (
        ("files", counts.get("files")),
        ("sessions", counts.get("sessions")),
        ("steps", counts.get("steps")),
        ("failed", counts.get("failed_steps")),
        ("pairs", pairs if mined else None),
        ("trained", run.trained),
    )


def headline(run: RunView) -> str:
    """The one sentence that a hurried reader takes away."""
    lines, arms = changes(run.scores), compared(run.scores)
    if run.scores is None:
        return scan_headline(run.summary)
    if run.scores["verdict"] != "nothing-to-train" and run.scores.get("after") and not lines:
        return f"Do not ship it: {visible(run.scores['why'])}."
    if run.scores["verdict"] == "nothing-to-train" or not lines or arms is None:
        return f"Nothing to train: {visible(run.scores['why'])}."
    total, loops = lines[0], loops_said(run.scores)
    what = "failures of any kind" if loops else "failures"
    said = f"{what} did not change on held-out tasks"
    if total.after.value != total.before.value and not total.told:
        said = f"no change of {what} on held-out tasks can be told from chance"
    elif total.after.value != total.before.value:
        by = "" if total.relative is None else f" by {abs(100 * total.relative):.0f} %"
        moved = "fell" if total.after.value < total.before.value else "rose"
        said = f"{what} {moved}{by} on held-out tasks"
    said = f"{loops}; {said}" if loops else f"{said[0].upper()}{said[1:]}"
    end = "Ship it." if run.scores["verdict"] == "ship" else "Do not ship it."
    return (
        f"{said}, {percent(total.before.value)} → "
        f"{percent(total.after.value)} ({arms[0]} → {arms[1]}). {end}"
    )


def scan_headline(summary: Row) -> str:
    """The one sentence of a scan."""
    steps, failed = summary.get("steps", 0), summary.get("failed_steps", 0)
    if not steps:
        return "No agent steps were found."
    judged = steps - summary.get("unjudged_steps", 0)
    if not failed:
        return f"None of {number(steps)} steps failed ({number(judged)} could be judged)."
    worst = visible(code_counts(summary)[0].code)
    rate = f"{'at least ' if judged < steps else ''}{percent(failed / steps)}"
    return f"{number(failed)} of {number(steps)} steps failed ({rate}); most often {worst}."


def also(scores: Row | None) -> tuple[str, ...]:
    """Sentences beside the before/after table: other arms, greedy answers, what was left out."""
    arms = compared(scores)
    if scores is None or arms is None:
        return ()
    totals = [row for row in scores["paired"] if row["code"] is None]
    sentences = [
        f"{arms[1]} against {visible(row['from'])}: {points(row['difference'])} points "
        f"[{points(row['low'])}, {points(row['high'])}], p {_with_sign(row['p'])}"
        for row in totals
        if row["to"] == arms[1] and row["from"] != arms[0] and "difference" in row
    ]
    sentences.extend(_greedy(scores, arms, totals))
    if scores.get("unanswered"):
        count = number(scores["unanswered"])
        sentences.append(f"{count} held-out prompts have no answer and are left out")
    return tuple(sentences)


def _greedy(scores: Row, arms: tuple[str, str], totals: Sequence[Row]) -> Iterator[str]:
    before, after = (rate_of(scores, arm, None, "failure_rate_greedy") for arm in arms)
    for row in totals:
        if (row["from"], row["to"]) == arms and before and after and "greedy_p" in row:
            yield (
                f"{_greedy_of(scores)}: {percent(before.value)} → {percent(after.value)}, "
                f"{row['greedy_fixed']} fixed, {row['greedy_broken']} broken, "
                f"{'sign-flip' if several(scores) else 'McNemar'} p {_with_sign(row['greedy_p'])}"
            )


def several(scores: Row) -> bool:
    """Whether families have several held-out prompts, as the pages of a document are."""
    return int(scores.get("prompts", 0)) > int(scores.get("families", 0)) > 0


def _greedy_of(scores: Row) -> str:
    return "all greedy answers, by family" if several(scores) else "greedy, one answer a family"


def _with_sign(p: float) -> str:
    spelled = spell_p(p)
    return spelled if spelled.startswith("<") else f"= {spelled}"


def rows_of(run: RunView, kind: str) -> Sequence[Row]:
    """`guards` or `collateral` of scores.json; none where there are no scores."""
    return () if run.scores is None else run.scores.get(kind, ())


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted keys and plain words."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "–" if value is None else _word(value)


def _word(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(str(each) for each in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
