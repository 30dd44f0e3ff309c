"""Did the preference stage do it, and what did it cost: both answered in plain sentences.

In: the sections `effect` and `cost` of scores.json, the rows of timing.json. Out: a `Part` for each
question, with figures in it; what was not measured is named, with what to do about it. Texts are
plain; layout and escaping are the reports'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from misstep.report.spending import spending
from misstep.report.tables import GOLD_WORDS, GUARD_WORDS, several
from misstep.report.view import RunView
from misstep.report.words import NO_INTERVAL, number, percent, points, spell_p

Row = Mapping[str, Any]
_MEASURES = {
    "failure_rate": "failures of any kind",
    "degenerate_published": "loops by the published rule",
    "degenerate_codes": "loops by the REP codes",
}
_ANSWERS = {
    "preference": ("Yes", "the preference made the difference to {what}; SFT alone does not."),
    "adds": (
        "In part",
        "SFT continued for the same steps brings most of the fall in {what}; "
        "the preference adds the rest.",
    ),
    "as-much": (
        "No",
        "SFT continued on the same chosen sides for the same steps does as much against {what}.",
    ),
    "too-few": (
        "Too few to tell",
        "{what} fell; these held-out families cannot say whether continued SFT would do as much.",
    ),
    "worse": ("No", "{stage} leaves more {what} than SFT continued for the same steps."),
    "no-change": ("Not shown", "{what} did not fall by more than chance."),
    "rose": ("No", "{what} rose."),
    "no-control": (
        "Not known",
        "{what} fell, and no control was trained. misstep run with --control keeps what is done, "
        "continues SFT on the same chosen sides for the same steps, and measures that beside it.",
    ),
}
"""By the word of the measure that is asked about: the answer, and why."""
_SHORT = {
    "preference": "the preference made the difference",
    "adds": "continued SFT brings most of the fall, the preference the rest",
    "as-much": "continued SFT does as much",
    "too-few": "too few to tell from continued SFT",
    "worse": "worse than continued SFT",
    "no-change": "no change that can be told from chance",
    "rose": "it rose",
    "no-control": "it fell, and only a control can tell whose doing that is (--control)",
}
_ALONE = ("no-change", "rose", "no-control")
"""What is said without the control: the test is that of the change itself."""
_SCORES = ("text_score", "levenshtein", "bleu4")
_LEAD = ("text_score", "cer", "field_accuracy", "schema_valid")
"""Told in any case; the others only where they got worse."""
_CODES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One question with its answer."""

    question: str
    word: str
    """The answer in a word or two."""
    why: str
    lines: tuple[str, ...]
    """The figures."""
    short: str
    """Question and answer in one sentence, for the terminal."""


def parts(run: RunView) -> tuple[Part, ...]:
    """Both answers; none where nothing was measured, and no first one without that stage."""
    scores = run.scores
    if scores is None or "cost" not in scores:
        return ()
    made = [_doing(scores)] if "effect" in scores else []
    return (*made, _price(run, scores))


def title(run: RunView) -> str:
    """The heading of the section."""
    stage = (run.scores or {}).get("effect", {}).get("stage")
    return f"Did {stage.upper()} do it, and what did it cost?" if stage else "What did it cost?"


def _doing(scores: Row) -> Part:
    effect = scores["effect"]
    stage = effect["stage"].upper()
    rows = sorted(effect["measures"], key=lambda row: row["metric"] != effect["lead"])
    if not rows:
        nothing = "there is nothing to compare"
        return Part(
            question=f"Did {stage} do it?", word="Not known", why=nothing, lines=(), short=""
        )
    lead = rows[0]
    answer, why = _ANSWERS[lead["word"]]
    what, figures = _MEASURES[lead["metric"]], _values(scores, lead, named=False)
    return Part(
        question=f"Did {stage} do it?",
        word=answer,
        why=why.format(stage=stage, what=what),
        lines=tuple(_measure(scores, row) for row in rows),
        short=f"did {stage} do it? {answer}: {_SHORT[lead['word']]} ({what} {figures})",
    )


def _measure(scores: Row, row: Row) -> str:
    """One measure in all arms, the test against the control, and what follows."""
    what = _MEASURES[row["metric"]]
    said = f"{what[0].upper()}{what[1:]}, {_of(scores, row)}: {_values(scores, row)}"
    alone = row["word"] in _ALONE
    against = row["change"] if alone else row["against_control"]
    than = scores["before"] if alone else "the control"
    test = (
        f"{scores['after']} against {than} {points(against['difference'])} points "
        f"[{points(against['low'])}, {points(against['high'])}], {number(against['better'])} "
        f"families better, {number(against['worse'])} worse, {_test(scores, row)} p "
        f"{_signed(against['p'])}"
    )
    return f"{said}; {test}: {_SHORT[row['word']]}."


def _of(scores: Row, row: Row) -> str:
    if row["answers"] != "greedy":
        return "sampled answers"
    return "all greedy answers" if several(scores) else "one greedy answer a family"


def _test(scores: Row, row: Row) -> str:
    exact = row["answers"] == "greedy" and row["metric"] != "failure_rate" and not several(scores)
    return "McNemar" if exact else "sign-flip"


def _signed(p: float) -> str:
    spelled = spell_p(p)
    return spelled if spelled.startswith("<") else f"= {spelled}"


def _values(scores: Row, row: Row, *, named: bool = True) -> str:
    """`31.0 % (sft) → 1.6 % (dpo), control 8.0 %`."""
    spell = _spelling(row["metric"])
    values = row["values"]
    ends = [
        f"{spell(values[scores[end]])}{f' ({scores[end]})' if named else ''}"
        for end in ("before", "after")
    ]
    beside = [
        f"{arm} {spell(values[arm])}"
        for arm in ("rft", "control")
        if arm in values and arm not in (scores["before"], scores["after"])
    ]
    return ", ".join([" → ".join(ends), *beside])


def _spelling(metric: str) -> Any:
    if metric in ("tokens", "healthy_tokens"):
        return lambda value: f"{value:,.0f}"
    return (lambda value: f"{value:.3f}") if metric in _SCORES else percent


def _price(run: RunView, scores: Row) -> Part:
    cost = scores["cost"]
    faults = list(_faults(cost))
    told = spending(run)
    if faults:
        word, why = "Something got worse", f"{', '.join(faults)}, by more than chance"
    else:
        word, why = "Nothing beyond chance", "no figure got worse by more than chance"
    lines = (
        *_gold(scores, cost),
        *_guards(scores),
        *_risen(cost),
        *_lengths(scores, cost),
        *told.lines,
    )
    got = f"worse: {', '.join(faults)}" if faults else f"{word[0].lower()}{word[1:]}"
    short = "; ".join([got, *_shortly(scores, cost), *told.short])
    return Part(
        question="What did it cost?",
        word=word,
        why=f"{'; '.join([why, *told.short])}.",
        lines=lines,
        short=f"what did it cost? {short}",
    )


def _faults(cost: Row) -> Iterator[str]:
    """Whatever got worse by more than chance."""
    yield from (GOLD_WORDS[row["metric"]] for row in cost["gold"] or () if row["moved"] == "worse")
    yield from (row["code"] for row in cost["codes"] if row["told"])
    yield from (GUARD_WORDS.get(name, name) for name in cost["guards_down"])


def _gold(scores: Row, cost: Row) -> Iterator[str]:
    if not cost["gold"]:
        yield (
            "Against gold: not measured, for no held-out prompt has any. Pages come with their "
            "transcriptions, other prompts with --references FILE."
        )
        return
    shown = [row for row in cost["gold"] if row["metric"] in _LEAD or row["moved"] == "worse"]
    told = [
        f"{GOLD_WORDS[row['metric']]} {_values(scores, row)}{_moved(row)}"
        for row in sorted(shown, key=lambda row: list(GOLD_WORDS).index(row["metric"]))
    ]
    yield f"Against gold, {_of(scores, cost['gold'][0])}: {'; '.join(told)}."


def _moved(row: Row) -> str:
    words = {"better": "better", "worse": "worse", "": "may be chance"}
    return f" ({words[row['moved']]}, p {_signed(row['change']['p'])})"


def _guards(scores: Row) -> Iterator[str]:
    """How often the answer is the accepted one, and which guards are down."""
    rows = scores.get("guards", ())
    told = [
        f"{GUARD_WORDS.get(row['metric'], row['metric'])} {percent(row['value_before'])} → "
        f"{percent(row['value_after'])}{' (down)' if row['down'] else ''}"
        for row in rows
        if row["down"] or row["metric"].endswith("agreement")
    ]
    if told:
        state = "" if any(row["down"] for row in rows) else "; no guard is down"
        yield f"Against the accepted steps: {'; '.join(told)}{state}."


def _risen(cost: Row) -> Iterator[str]:
    rows = cost["codes"]
    if not rows:
        yield "No failure code got more frequent."
        return
    told = [
        f"{row['code']} {percent(row['value_before'])} → {percent(row['value_after'])} "
        f"({'' if row['told'] else 'may be chance, '}p {_signed(row['p'])})"
        for row in rows[:_CODES]
    ]
    more = [f"{number(len(rows) - _CODES)} more"] if len(rows) > _CODES else []
    yield f"Failure codes that got more frequent: {'; '.join([*told, *more])}."


def _lengths(scores: Row, cost: Row) -> Iterator[str]:
    for row in cost["lengths"]:
        if row["metric"] == "healthy_tokens":
            move = row["change"]
            yield (
                f"Tokens of an answer that does not loop: {_values(scores, row)}, change "
                f"{_count(move['difference'])} [{_between(move)}]."
            )


def _between(move: Row) -> str:
    if move["low"] == move["high"]:
        return NO_INTERVAL
    return f"{_count(move['low'])}, {_count(move['high'])}"


def _count(value: float) -> str:
    return f"{value:+,.1f}".replace("-", "\N{MINUS SIGN}")


def _shortly(scores: Row, cost: Row) -> Iterator[str]:
    """Score and length, in a few words."""
    for row in (*(cost["gold"] or ()), *cost["lengths"]):
        if row["metric"] in ("text_score", "tokens"):
            name = GOLD_WORDS.get(row["metric"], "tokens an answer")
            spell = _spelling(row["metric"])
            was, now = (row["values"][scores[end]] for end in ("before", "after"))
            yield f"{name} {spell(was)} → {spell(now)}"
