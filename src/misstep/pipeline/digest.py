"""What the failure page needs of one session: small counters, a strip of its steps, examples.

In: a session and what was found in it. Out: a `Digest` of a few hundred bytes (an example of each
code found comes on top), so that a page over any number of sessions holds none of them.

A step counts for a code where a validator that can find the code judged it, or could have found it
without judging (`_TELLERS`), or found it; where its validators judge no step of all, every step
with an answer counts. For tools, models and days it counts where it was judged
or where what its calls came to is known: else only failures of such steps would count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

import msgspec

from misstep.pipeline.excerpt import example_row, named, place_row
from misstep.pipeline.tally import LEVELS
from misstep.types import Finding, Message, Origin, Session, Verdict
from misstep.validate import VALIDATORS, Judged
from misstep.validate.transcript import Transcript
from misstep.validate.verdict import is_defect

CELLS = 400
"""Cells of a strip; a longer session shares a cell among neighbouring steps, the worst one seen."""
_LATEST = 7_258_118_400.0  # the year 2200; a later time is no time
_WORST = "upsf"


_TELLERS: Mapping[str, Literal["answer", "call", "result"]] = {
    "silent": "answer",
    "text_loop": "answer",
    "code": "answer",
    "limit": "answer",
    "monologue": "answer",
    "effects": "call",
    "provenance": "call",
    "contract": "call",
    "agent_loop": "result",
    "agent_cycle": "result",
    "agent_near": "result",
    "same_error": "result",
    "tool_error": "result",
}
"""Validators that find more than they judge, and what a step must hold for that."""


class Digest(msgspec.Struct, array_like=True):
    """One session."""

    id: str
    place: dict[str, Any]
    steps: int
    judged: int
    failed: int
    answered: int
    """Steps with an answer, not an error in its place."""
    bases: list[int]
    """Steps that count for each of `signatures()`."""
    codes: dict[str, list[int]]
    """By code: steps with a defect, a suspect, an info, and steps found outside the base."""
    tools: dict[str, list[int]]
    """By tool: calls, those that count, failed ones."""
    models: dict[str, list[int]]
    """By model, empty where none is logged: steps, those that count, failed ones."""
    days: dict[str, list[int]]
    """By UTC day, empty where no time is logged: steps, those that count, failed ones."""
    unknown: dict[str, int]
    """Unjudged steps by each tool that they call."""
    strip: str = ""
    """For a session with failures, one letter a cell: p pass, f fail, s suspect, u unjudged."""
    share: int = 1
    """Steps of one cell."""
    examples: list[dict[str, Any]] = []


@cache
def signatures() -> dict[tuple[str, ...], tuple[str, ...]]:
    """Validators that share codes, and these codes."""
    by_code: dict[str, tuple[str, ...]] = {}
    for validator in VALIDATORS:
        for code in validator.codes:
            by_code[code] = (*by_code.get(code, ()), validator.name)
    made: dict[tuple[str, ...], tuple[str, ...]] = {}
    for code, names in by_code.items():
        made[names] = (*made.get(names, ()), code)
    return made


def digest_of(session: Session, judged: Judged) -> Digest:
    """What the page needs of one session."""
    origin = _first_origin(session)
    made = Digest(
        id=session.id,
        place=place_row(origin),
        steps=len(judged.verdicts),
        judged=sum(v.state != "unjudged" for v in judged.verdicts),
        failed=sum(v.state == "fail" for v in judged.verdicts),
        answered=sum(session.messages[v.step].error is None for v in judged.verdicts),
        bases=[0] * len(signatures()),
        codes={},
        tools={},
        models={},
        days={},
        unknown={},
    )
    found: dict[int, list[Finding]] = {}
    for finding in judged.findings:
        found.setdefault(finding.step, []).append(finding)
    exchanges = Transcript(session).exchanges
    for verdict in judged.verdicts:
        came = any(each.result is not None for each in exchanges.get(verdict.step, ()))
        message = session.messages[verdict.step]
        _count_codes(made, _seen(message, verdict, came), found.get(verdict.step, ()))
        _count(made, message, verdict, came)
        bad = {f.call for f in found.get(verdict.step, ()) if is_defect(f) and f.call is not None}
        for call in message.calls:
            counts = came or verdict.state != "unjudged"
            _plus(made.tools, call.name, (1, counts, call.index in bad))
    if made.failed:
        made.strip, made.share = _strip(judged.verdicts, found)
    made.tools, made.models = named(made.tools), named(made.models)
    unknown = named({name: [count] for name, count in made.unknown.items()})
    made.unknown = {name: counts[0] for name, counts in unknown.items()}
    made.examples = [example_row(finding, session) for finding in _picked(judged.findings)]
    return made


def _first_origin(session: Session) -> Origin:
    for message in session.messages[session.prefix :]:
        if message.origins:
            return message.origins[0]
    return Origin(file="", format=session.format)


def _seen(message: Message, verdict: Verdict, came: bool) -> set[str]:
    """The validators that could have found something in a step."""
    holds = {"answer": message.error is None, "call": bool(message.calls), "result": came}
    return {*verdict.judges, *(name for name, what in _TELLERS.items() if holds[what])}


def _count_codes(made: Digest, seen: set[str], found: Iterable[Finding]) -> None:
    based: set[str] = set()
    for at, (names, codes) in enumerate(signatures().items()):
        if not seen.isdisjoint(names):
            made.bases[at] += 1
            based.update(codes)
    for code, levels in _levels(found).items():
        counts = made.codes.setdefault(code, [0, 0, 0, 0])
        for level in levels:
            counts[LEVELS.index(level)] += 1
        counts[3] += code not in based


def _count(made: Digest, message: Message, verdict: Verdict, came: bool) -> None:
    judged = verdict.state != "unjudged"
    one = (1, judged or came, verdict.state == "fail")
    _plus(made.models, message.model or "", one)
    _plus(made.days, day_of(message.time), one)
    if not judged:
        for name in {call.name for call in message.calls}:
            made.unknown[name] = made.unknown.get(name, 0) + 1


def _levels(found: Iterable[Finding]) -> dict[str, set[str]]:
    levels: dict[str, set[str]] = {}
    for finding in found:
        levels.setdefault(finding.code, set()).add(finding.level)
    return levels


def _plus(into: dict[str, list[int]], name: str, counts: tuple[int, ...]) -> None:
    known = into.setdefault(name, [0] * len(counts))
    for at, count in enumerate(counts):
        known[at] += count


def day_of(time: float | None) -> str:
    """The UTC day of a time in Unix seconds, `2025-03-01`; empty where it is none."""
    if time is None or not 0 < time < _LATEST:
        return ""
    return datetime.fromtimestamp(time, UTC).date().isoformat()


def _strip(verdicts: Iterable[Verdict], found: Mapping[int, list[Finding]]) -> tuple[str, int]:
    letters = [_letter(v, found.get(v.step, ())) for v in verdicts]
    share = -(-len(letters) // CELLS)
    cells = (letters[at : at + share] for at in range(0, len(letters), share))
    return "".join(max(cell, key=_WORST.index) for cell in cells), share


def _letter(verdict: Verdict, found: Iterable[Finding]) -> str:
    if verdict.state == "fail":
        return "f"
    if any(finding.level == "suspect" for finding in found):
        return "s"
    return "p" if verdict.state == "pass" else "u"


def _picked(findings: Iterable[Finding]) -> list[Finding]:
    """One finding a code: the first of the gravest level."""
    best: dict[str, Finding] = {}
    for finding in findings:
        known = best.get(finding.code)
        if known is None or LEVELS.index(finding.level) < LEVELS.index(known.level):
            best[finding.code] = finding
    return list(best.values())
