"""Gate rules that hold a pair against the log: contradicting verdicts, kept faults, torn families.

In: the desk and a draft. Out of each rule: a sentence that says what is wrong, or None.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from misstep.dialects import parse_answer
from misstep.mine.desk import Desk
from misstep.mine.draft import Draft
from misstep.mine.source import blamable, canonical
from misstep.mine.split import Split
from misstep.redact import clean, clean_pointer, clip
from misstep.types import Finding, Message, Prompt, ToolCall

_KEPT = ("TOOL_AS_TEXT", "TOKEN_LEAK")
"""Faults of a text that stay faults wherever their words stand."""
_PHRASE = 10
"""Characters of a looped phrase at least, for its return to be more than chance."""


def torn_family(desk: Desk, d: Draft) -> str | None:
    """A family that stands on both sides of the split: its held-out figure would be worthless."""
    if "torn" not in desk.memo:
        desk.memo["torn"] = torn(desk.split)
    family = desk.family(d.candidate.prompt)
    if family in desk.memo["torn"]:
        return f"sessions of its family {family} stand in the held-out part and outside of it"
    return None


def torn(split: Split) -> frozenset[str]:
    """The families that stand on both sides of the split."""
    sides: dict[str, set[bool]] = {}
    for name, family in split.family.items():
        sides.setdefault(family, set()).add(split.part[name] == "heldout")
    return frozenset(family for family, found in sides.items() if len(found) > 1)


def ambiguous(desk: Desk, d: Draft) -> str | None:
    """The log judged an equal answer to an equal prompt the other way round."""
    passed, failed = told(desk, d.candidate.prompt)
    if canonical(d.candidate.chosen) in failed:
        return "an answer equal to the chosen side failed on an equal prompt"
    if not d.candidate.wrong and canonical(d.candidate.rejected) in passed:
        return "an answer equal to the rejected side passed on an equal prompt"
    return None


def told(desk: Desk, prompt: Prompt) -> tuple[frozenset[str], frozenset[str]]:
    """Contents that passed and that failed on the same prompt, in the log."""
    key = ("told", desk.part(prompt), desk.key(prompt) if prompt.step else prompt.session)
    if key not in desk.memo:
        passed: set[str] = set()
        failed: set[str] = set()
        for same in desk.same_prompt(prompt):
            state = desk.corpus.verdict(same).state
            if state == "pass":
                passed.add(canonical(desk.corpus.answer(same)))
            elif state == "fail" and blamable(f.code for f in desk.corpus.defects(same)):
                failed.add(canonical(desk.corpus.answer(same)))
        desk.memo[key] = frozenset(passed), frozenset(failed)
    found: tuple[frozenset[str], frozenset[str]] = desk.memo[key]
    return found


def keeps_fault(desk: Desk, d: Draft) -> str | None:
    """The chosen side contains what the rejected side is refused for."""
    for finding in d.rejected_findings:
        kept = _kept_call(finding, d.candidate.rejected, d.candidate.chosen)
        kept = kept or _kept_text(finding, d.candidate.rejected.text, d.candidate.chosen.text)
        if kept is not None:
            return f"the chosen side still holds {kept}, which failed as {finding.code}"
    if d.candidate.chosen.calls:
        said = _calls_said(d.candidate.rejected.text) & _calls_said(d.candidate.chosen.text)
        if said:
            return f"the chosen side still writes a call of {clip(min(said)[0], 60)!r} as text"
    return None


def _calls_said(text: str) -> set[tuple[str, str]]:
    """Names and arguments of the calls that a text spells out."""
    if "<" not in text and "{" not in text and "[" not in text:
        return set()
    found = (part.call for part in parse_answer(text))
    return {(call.name, call.arguments) for call in found if call is not None}


def _kept_call(finding: Finding, rejected: Message, chosen: Message) -> str | None:
    failed = next((c for c in rejected.calls if c.index == finding.call), None)
    if failed is None:
        return None
    for call in (c for c in chosen.calls if c.name == failed.name):
        if finding.code == "TOOL_UNKNOWN":
            return f"a call of {clip(call.name, 60)!r}"
        if call.arguments.strip() == failed.arguments.strip():
            return f"the same call of {clip(call.name, 60)!r}"
        given = list(_values_at(finding.where, failed, call))
        if len(given) == 2 and given[0] == given[1]:
            return f"the same value at {clean_pointer(finding.where)}"
    return None


def _values_at(where: str, *calls: ToolCall) -> Iterator[Any]:
    """What each call gives at a JSON pointer; nothing for a call that has no such place."""
    if not where:
        return
    for call in calls:
        try:
            value = orjson.loads(call.arguments)
            for step in where.strip("/").split("/"):
                value = value[int(step) if isinstance(value, list) else step]
        except (ValueError, KeyError, IndexError, TypeError):
            continue
        yield value


def _kept_text(finding: Finding, rejected: str, chosen: str) -> str | None:
    if finding.channel != "content":
        return None
    unit = "" if finding.loop is None else finding.loop.unit
    where = clean(chosen) if "[REDACTED:" in unit else chosen  # a unit is redacted when it is found
    if len(unit.strip()) >= _PHRASE and where.count(unit) > 1:
        return f"the phrase {clip(unit, 60)!r} more than once"
    if finding.code in _KEPT and finding.span is not None:
        said = rejected[slice(*finding.span)].strip()
        if said and said in chosen:
            return f"the words {clip(said, 60)!r}"
    return None
