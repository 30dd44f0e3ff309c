"""Gate rules about the values of a sampled chosen side: who gave them, and what was given up.

An answer that passes the validators is not yet right: a model that failed a prompt often fills in
what nobody said when it does not fail. Of 40 pairs of a small model's own samples, read one by one,
16 had such a value in the chosen side and 4 had lost one that the rejected side had right
(design/ablation.md). What both sides have alike is nobody's business here: it cancels in a
preference. And of answers that were given once alone fewer are right than of those given twice:
self-consistency (arXiv 2203.11171), here a count of votes. Asked of calls in `sibling` and
`resample` pairs, by `mine.supported_values` and `mine.min_votes`: texts seldom agree word for word.
A retry may well bring in values that stand nowhere, what a file is to hold for example; it may only
not trade what the prompt says for what nobody gave, in places that were right (design/retries.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from misstep.mine.agreement import agreement
from misstep.mine.desk import Desk
from misstep.mine.draft import Draft
from misstep.mine.json_mend import mended
from misstep.mine.schema_paths import schema_at
from misstep.mine.source import Candidate
from misstep.mine.supported import Heard, heard
from misstep.types import Message, Prompt, ToolCall
from misstep.validate.schema import compiled
from misstep.validate.strict_json import parse, walk

_WORD = re.compile(r"[^\W_]+")
_SAMPLED = frozenset({"sibling", "resample"})
_OF_A_VALUE = frozenset({"ENUM", "WRONG_TYPE", "FORMAT", "RANGE", "SCHEMA_COMBO"})
Spot = tuple[str, str]
"""Tool and JSON pointer."""


def lone(desk: Desk, d: Draft) -> str | None:
    """Fewer equal clean answers to the prompt than `mine.min_votes` asks for."""
    wanted, votes = _wanted(desk, d.candidate), d.candidate.votes
    if d.candidate.source not in _SAMPLED or votes is None or votes >= wanted:
        return None
    return f"{votes} of the clean answers to this prompt say this; mine.min_votes is {wanted}"


def agrees(desk: Desk, prompt: Prompt, answer: Message) -> bool:
    """Whether an answer agrees with what was accepted as far as `mine.min_agreement` asks."""
    least, accepted = desk.config.min_agreement, desk.accepted(prompt)
    return not (least and accepted) or agreement(answer, accepted) >= least


def disagrees(desk: Desk, d: Draft) -> str | None:
    """A sampled chosen side that agrees less with what was accepted than is asked for."""
    asked = d.candidate.source in _SAMPLED and desk.config.min_agreement > 0
    if not asked or agrees(desk, d.candidate.prompt, d.candidate.chosen):
        return None
    found = agreement(d.candidate.chosen, desk.accepted(d.candidate.prompt))
    return f"agreement {found:.2f}; mine.min_agreement is {desk.config.min_agreement:g}"


def unsupported(desk: Desk, d: Draft) -> str | None:
    """A value of the chosen side that neither the prompt nor the rejected side holds.

    Nothing is said where the prompt shows an image: that may be where the value stands.
    """
    return _unsupported(desk, d.candidate) if _asked(desk, d.candidate) else None


def gives_up(desk: Desk, d: Draft) -> str | None:
    """An argument that the chosen side lacks, and that the rejected side gave with support or in
    a way that its schema refuses: there the fault is to be mended, not left out. In a retry: an
    argument, not at fault, that the failed call gave as the prompt says it and the chosen otherwise
    or not at all."""
    if d.candidate.source == "retry" and desk.config.supported_values:
        return _trades(desk, d)
    return _gives_up(desk, d.candidate) if _asked(desk, d.candidate) else None


def doubts(desk: Desk, candidate: Candidate) -> tuple[int, int]:
    """How many of these rules object, then the votes: lower is better; (0, 0) where none is on."""
    wanted, votes = _wanted(desk, candidate), candidate.votes or 0
    few = wanted > 1 and votes < wanted
    values = _asked(desk, candidate) and bool(
        _unsupported(desk, candidate) or _gives_up(desk, candidate)
    )
    return few + values, -votes if wanted > 1 else 0


def _wanted(desk: Desk, candidate: Candidate) -> int:
    """Votes that a chosen side needs."""
    return desk.config.min_votes if candidate.chosen.calls else 1


def _unsupported(desk: Desk, candidate: Candidate) -> str | None:
    known, before = _known(desk, candidate.prompt), dict(_leaves(candidate.rejected))
    if known.pictured:
        return None
    for (tool, where), value in _leaves(candidate.chosen):
        if _plain(before.get((tool, where), _NOTHING)) == _plain(value):
            continue
        schema = _schema(desk, candidate.prompt, tool, where)
        if value == schema.get("default", _NOTHING):
            continue
        named = isinstance(value, str) and value in _tools(desk, candidate.prompt)
        if named or not _supported(value, schema, known):
            told = json.dumps(value, ensure_ascii=False)[:60]
            return f"nobody gave the value {told} of {tool}{where}"
    return None


def _gives_up(desk: Desk, candidate: Candidate) -> str | None:
    known = _known(desk, candidate.prompt)
    failed = set(_failing(desk, candidate))
    there = {(tool, _first(where)) for (tool, where), _ in _leaves(candidate.chosen)}
    tools = {tool for tool, _ in there}
    for (tool, where), value in _leaves(candidate.rejected):
        if tool not in tools or (tool, _first(where)) in there:
            continue
        schema = _schema(desk, candidate.prompt, tool, where)
        if schema and (tool, _first(where)) in failed:
            return f"the chosen side mends {tool}{where} by leaving it out"
        if isinstance(value, bool):
            backed = value and _named(where, known)
        else:
            backed = _supported(value, schema, known)
        if schema and backed:
            return f"the rejected side gives {tool}{where} as the prompt says it, the chosen none"
    return None


def _trades(desk: Desk, d: Draft) -> str | None:
    """Nothing is said of what the tool alone turned down: nobody knows which value that was."""
    candidate = d.candidate
    known = _known(desk, candidate.prompt)
    at_fault = {f.code for f in d.rejected_findings if f.level == "defect"} - {"TOOL_ERROR"}
    failed, corrected = candidate.rejected.calls, candidate.chosen.calls
    if known.pictured or not at_fault or len(failed) != len(corrected):
        return None
    spots = set(_failing(desk, candidate))
    for old, new in zip(failed, corrected, strict=True):
        after = dict(_scalars(new))
        for where, value in _scalars(old):
            schema = _schema(desk, candidate.prompt, new.name, where)
            kept = after.get(where, _NOTHING)
            if not schema or (old.name, _first(where)) in spots or isinstance(value, bool | None):
                continue
            if _plain(kept) == _plain(value) or not _supported(value, schema, known):
                continue
            if kept is _NOTHING:
                return f"the failed call gives {new.name}{where} as the prompt says it, this none"
            if not _supported(kept, schema, known):
                told = json.dumps(kept, ensure_ascii=False)[:60]
                return f"{told} stands for {new.name}{where}, which the failed call had right"
    return None


def _failing(desk: Desk, candidate: Candidate) -> Iterator[Spot]:
    """Tool and argument of every value of the rejected side that breaks its schema."""
    prompt, calls = candidate.prompt, candidate.rejected.calls
    demand = desk.demands_call(prompt)
    for finding in desk.judge(prompt, candidate.rejected, demand_call=demand)[0]:
        if finding.code in _OF_A_VALUE and finding.where and finding.call is not None:
            yield calls[finding.call].name, _first(finding.where)


def _named(where: str, known: Heard) -> bool:
    """Whether the prompt holds every word of an argument's name, as `free entry` does."""
    words = [word.casefold() for word in _WORD.findall(_first(where))]
    return bool(words) and all(word in known.words for word in words)


_NOTHING = object()


def _asked(desk: Desk, candidate: Candidate) -> bool:
    return desk.config.supported_values and candidate.source in _SAMPLED


def _known(desk: Desk, prompt: Prompt) -> Heard:
    """What the prompt says; kept for the next candidate, which is often of the same prompt."""
    kept: tuple[Prompt, Heard] | None = desk.memo.get("heard")
    if kept is None or kept[0] != prompt:
        kept = desk.memo["heard"] = prompt, heard(desk.corpus.messages(prompt))
    return kept[1]


def _supported(value: Any, schema: dict[str, Any], known: Heard) -> bool:
    """Whether the prompt holds the value; truth values are nowhere to be found, so they are not."""
    if isinstance(value, bool):
        return False
    if isinstance(value, str) and value in schema.get("enum", ()):
        return bool({word.casefold() for word in value.split("_")} & known.words)
    return known.holds(value)


def _leaves(answer: Message) -> Iterator[tuple[Spot, Any]]:
    """Of arguments that are no JSON nothing: which values they hold is not known."""
    for call in answer.calls:
        read = parse(call.arguments)
        for where, value in walk(read.value) if read.ok else ():
            if not isinstance(value, dict | list):
                yield (call.name, where), value


def _scalars(call: ToolCall) -> Iterator[tuple[str, Any]]:
    """JSON pointers and values of a call; of one that is no JSON as far as it can be mended."""
    read = parse(call.arguments)
    if not read.ok:
        made = mended(call.arguments)
        read = parse(made.text) if made else read
    for where, value in walk(read.value):
        if not isinstance(value, dict | list):
            yield where, value


def _tools(desk: Desk, prompt: Prompt) -> set[str]:
    return {tool.name for tool in desk.corpus.context(prompt).tools}


def _schema(desk: Desk, prompt: Prompt, tool: str, where: str) -> dict[str, Any]:
    tools = desk.corpus.context(prompt).tools
    text = next((t.parameters for t in tools if t.name == tool), None)
    found = schema_at(compiled(text).schema, where) if text else None
    return found if isinstance(found, dict) else {}


def _first(where: str) -> str:
    return where.split("/", 2)[1] if "/" in where else where


def _plain(value: Any) -> str:
    """Without the spelling of its type: 3, 3.0 and "3" are alike."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).casefold()
