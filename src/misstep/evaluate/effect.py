"""Did the preference stage do it, what did it cost: sections `effect` and `cost` of scores.json.

In: the other sections of scores.json. Out: plain rows and one word for each measure; no figure is
made here that does not stand there. What took part: the arm before, the arm after, and the control,
SFT continued on the same chosen sides for the same number of steps. A difference counts as one if
its p is below the level and its interval excludes zero.

The word of a measure, the first that holds:
  `worse`       the control is below the arm after: the simpler stage does better
  `rose`        the measure rose from the arm before to the arm after
  `no-change`   it did not fall by more than chance
  `no-control`  it fell, and no control was trained: nobody knows why
  `preference`  it fell, the arm after is below the control, which brings less than half of the fall
  `adds`        the same, and the control brings half of the fall or more
  `as-much`     it fell, the control cannot be told from the arm after, and at the end of the
                interval that is kindest to the preference it still brings half of the fall
  `too-few`     it fell, and the interval leaves room for either
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from misstep.evaluate.held import CorpusLike, Held
from misstep.evaluate.metrics import holm

Row = Mapping[str, Any]
Word = Literal[
    "worse", "rose", "no-change", "no-control", "preference", "adds", "as-much", "too-few"
]
CONTROL = "control"
"""The arm whose SFT went on instead."""
PREFERENCE = ("dpo", "kto")
LOOPS = ("degenerate_published", "degenerate_codes")
LENGTHS = ("tokens", "healthy_tokens")
_HALF = 0.5
"""Part of the fall from which on it is said to be the control's: ours, for lack of a better one."""


def with_effect(scores: Row, corpus: CorpusLike, held: Iterable[Held]) -> dict[str, Any]:
    """The sections with `effect` and `cost` beside them, where there is an arm before and after."""
    if not scores.get("before") or not scores.get("after"):
        return dict(scores)
    made = {**scores, "cost": cost(scores)}
    if scores["after"] in PREFERENCE:
        made["effect"] = effect(scores, pages=_pages(corpus, held))
    return made


def _pages(corpus: CorpusLike, held: Iterable[Held]) -> bool:
    """Whether any held-out prompt shows an image."""
    return any(
        part.kind == "image"
        for each in held
        for message in corpus.sessions[each.prompt.session].messages[: each.prompt.step]
        for part in message.parts
    )


def effect(scores: Row, *, pages: bool) -> dict[str, Any]:
    """What became of failures and loops in each arm, and whose doing it is.

    Args:
        pages: of documents, loops are what is asked about, if there were any; of all else, the
            total failure rate.
    """
    rows = [found for found in _measures(scores) if found is not None]
    control = any(CONTROL in row["values"] for row in rows)
    return {
        "stage": scores["after"],
        "control": CONTROL if control else None,
        "lead": _lead(scores, rows, pages),
        "measures": rows,
    }


def _measures(scores: Row) -> Iterator[dict[str, Any] | None]:
    yield _failures(scores)
    section = scores.get("degeneration", {"scores": (), "paired": ()})
    arms = (scores["before"], scores["after"], CONTROL)
    for metric in LOOPS:
        row = _row(scores, section, metric)
        if row is not None and any(row["values"].get(arm) for arm in arms):
            yield _worded(scores, row)


def _lead(scores: Row, rows: Iterable[Row], pages: bool) -> str:
    """The loop rule that caught more before, the published one if equal; else the failures."""
    loops = [row for row in rows if row["metric"] in LOOPS]
    before = str(scores["before"])
    if not pages or not loops:
        return "failure_rate"
    return str(max(loops, key=lambda row: row["values"].get(before, 0.0))["metric"])


def _failures(scores: Row) -> dict[str, Any] | None:
    kind = _kind(scores)
    section = {
        "scores": [{**row, "answers": kind} for row in scores["scores"] if row["code"] is None],
        "paired": [
            {**row, "metric": "failure_rate", "better": row["fixed"], "worse": row["broken"]}
            for row in scores["paired"]
            if row["code"] is None
        ],
    }
    row = _row(scores, section, "failure_rate")
    return None if row is None else _worded(scores, row)


def _row(scores: Row, section: Row, metric: str) -> dict[str, Any] | None:
    """One measure in every arm, and its change from the arms before and of the control."""
    moves = {
        row["from"]: _move(row)
        for row in section["paired"]
        if row["metric"] == metric and row["to"] == scores["after"]
    }
    found = [row for row in section["scores"] if row["metric"] == metric]
    kind = "greedy" if any(row["answers"] == "greedy" for row in found) else "sampled"
    values = {row["model"]: row["value"] for row in found if row["answers"] == kind}
    if not {scores["before"], scores["after"]} <= set(values) or scores["before"] not in moves:
        return None
    against = moves.get(CONTROL)
    return {
        "metric": metric,
        "answers": kind,
        "values": values,
        "change": moves[scores["before"]],
        "against_control": against if CONTROL in values else None,
    }


def _kind(scores: Row) -> str:
    """Of which answers the failure rate is: of the sampled ones where any were drawn."""
    rows = scores.get("degeneration", {}).get("scores", ())
    return "sampled" if not rows or any(r["answers"] == "sampled" for r in rows) else "greedy"


def _move(row: Row) -> dict[str, Any]:
    return {key: row[key] for key in ("better", "worse", "p", "difference", "low", "high")}


def _worded(scores: Row, row: dict[str, Any]) -> dict[str, Any]:
    level = 1 - scores["confidence"]
    return {**row, "word": word(row["change"], row["against_control"], level)}


def word(change: Row, against: Row | None, level: float) -> Word:
    """Whose doing a change is, as the head of this file says.

    Args:
        change: from the arm before to the arm after.
        against: from the control to the arm after; None without a control.
        level: significance level, for example 0.05.
    """
    if against is not None and _direction(against, level) > 0:
        return "worse"
    moved = _direction(change, level)
    if moved >= 0:
        return "rose" if moved else "no-change"
    if against is None:
        return "no-control"
    fall = -change["difference"]
    if _direction(against, level) < 0:
        return "adds" if fall + against["difference"] >= _HALF * fall else "preference"
    return "as-much" if fall + against["low"] >= _HALF * fall else "too-few"


def _direction(move: Row, level: float) -> int:
    """-1 down, 1 up, 0 where it cannot be told from chance."""
    if move["p"] >= level or move["low"] <= 0 <= move["high"]:
        return 0
    return 1 if move["difference"] > 0 else -1


def cost(scores: Row) -> dict[str, Any]:
    """What got worse, and how long answers are: gold, codes, guards, tokens."""
    gold, section = scores.get("gold"), scores.get("degeneration")
    lengths = {metric: _row(scores, section, metric) for metric in LENGTHS} if section else {}
    return {
        "gold": None if gold is None else list(_against_gold(scores, gold)),
        "codes": list(_codes(scores)),
        "guards_down": [row["metric"] for row in scores.get("guards", ()) if row["down"]],
        "lengths": [row for row in lengths.values() if row is not None],
    }


_LOWER = ("cer", "wer")


def _against_gold(scores: Row, gold: Row) -> Iterator[dict[str, Any]]:
    level = 1 - scores["confidence"]
    for metric in dict.fromkeys(row["metric"] for row in gold["scores"]):
        row = _row(scores, gold, metric)
        if row is not None:
            up = _direction(row["change"], level) * (-1 if metric in _LOWER else 1)
            yield {**row, "moved": ("worse", "", "better")[up + 1]}


def _codes(scores: Row) -> Iterator[dict[str, Any]]:
    """Codes that got more frequent, those beyond chance first.

    p is that of the code alone; `told` asks for it corrected for all codes that were tested.
    """
    ends, level = (scores["before"], scores["after"]), 1 - scores["confidence"]
    tested = [r for r in scores["paired"] if r["code"] and (r["from"], r["to"]) == ends]
    tested = [r for r in tested if r["fixed"] or r["broken"]]
    corrected = holm([r["p"] for r in tested])
    held = {r["code"]: {**r, "p": p} for r, p in zip(tested, corrected, strict=True)}
    rates = {(r["model"], r["code"]): r["value"] for r in scores["scores"] if _of_code(r)}
    rows = [
        {
            "code": row["code"],
            **{name: rates[arm, row["code"]] for name, arm in zip(_ENDS, ends, strict=True)},
            **{key: row[key] for key in ("difference", "low", "high", "p")},
            "told": _direction(held.get(row["code"], row), level) > 0,
        }
        for row in scores["paired"]
        if row["code"] and (row["from"], row["to"]) == ends and row["difference"] > 0
    ]
    yield from sorted(rows, key=lambda row: (not row["told"], -row["difference"], row["code"]))


_ENDS = ("value_before", "value_after")


def _of_code(row: Row) -> bool:
    return row["metric"] == "failure_rate" and row["code"] is not None
