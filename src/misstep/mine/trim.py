"""Trimming: a rejected text loop is cut a few periods after its onset.

In: a rejected answer and what the validators found in it. Out: the answer as far as it is worth
learning from, and whether it is `cut`: a cut side carries no end-of-turn, because the model never
emitted one there; else training would teach that ending after a loop is the fault.

An untrimmed loop of thousands of tokens would outweigh the rest of its pair (the loss sums log
probabilities), and a length limit could cut the loop away and leave two equal sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from misstep.types import Finding, Loop, Message, Part

_LEAST = 60
"""Characters of a loop that stay at least: the detectors' own rule asks for 60 (15 times 4)."""
_CHARACTERS = ("REP_LOOP", "REP_WHITESPACE", "REP_DRIFT", "TRUNCATED", "JSON_TRUNCATED")
"""Codes whose `Loop` counts characters; a cut has one by the published rule (`placing`)."""
CUT_REASONS = ("length", "max_tokens", "MAX_TOKENS", "max_output_tokens", "model_length")
"""Finish reasons of providers that say: stopped by the token limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trimmed:
    """A rejected side, ready to pair."""

    answer: Message
    edits: tuple[str, ...]
    cut: bool
    """True where the side ends without an end-of-turn."""


def trim(answer: Message, findings: Sequence[Finding], *, periods: int) -> Trimmed:
    """Cut the answer `periods` periods after the onset of its earliest text loop.

    Without a loop the answer stays whole; it is `cut` all the same where it ran into its limit.
    """
    unended = answer.end == "cut" or answer.finish_reason in CUT_REASONS
    places = [place for f in findings if (place := _place(answer, f, periods)) is not None]
    if not places:
        return Trimmed(answer=answer, edits=(), cut=unended)
    part, end = min(places)
    kept = (*answer.parts[:part], _shortened(answer.parts[part], end))
    if kept == answer.parts:
        return Trimmed(answer=answer, edits=(), cut=unended)
    return Trimmed(answer=replace(answer, parts=kept), edits=("trim",), cut=True)


def _place(answer: Message, finding: Finding, periods: int) -> tuple[int, int] | None:
    """Index of the part in which the loop is cut, and the length of text that stays of it."""
    loop = finding.loop
    if loop is not None and "parallel" in finding.tags:
        return _calls_place(answer, loop, periods)
    if loop is None or finding.code not in _CHARACTERS:
        return None
    end = _end(loop, periods)
    if finding.channel == "arguments":
        return next(
            (
                (i, end)
                for i, part in enumerate(answer.parts)
                if part.call is not None and part.call.index == (finding.call or 0)
            ),
            None,
        )
    kind = "reasoning" if finding.channel == "reasoning" else "text"
    for i, part in enumerate(answer.parts):
        if part.kind == kind:
            if end <= len(part.text or ""):
                return i, end
            end -= len(part.text or "")
    return None


def _calls_place(answer: Message, loop: Loop, periods: int) -> tuple[int, int] | None:
    """The end of the last of `periods` equal parallel calls, where more follow."""
    calls = [i for i, part in enumerate(answer.parts) if part.call is not None]
    last = loop.onset + periods - 1
    if last + 1 >= len(calls):
        return None
    call = answer.parts[calls[last]].call
    return calls[last], len(call.arguments) if call is not None else 0


def _end(loop: Loop, periods: int) -> int:
    """Character offset at which the loop is cut."""
    whole = round(loop.period * loop.count)
    return loop.onset + min(max(periods * loop.period, _LEAST), whole)


def _shortened(part: Part, end: int) -> Part:
    if part.call is not None:
        return replace(part, call=replace(part.call, arguments=part.call.arguments[:end]))
    return replace(part, text=(part.text or "")[:end])
