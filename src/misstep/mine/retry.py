"""Chosen-source `retry`: the call that the same agent got right after failing.

In: a failed step. Out: at most one `Retry`: the next steps are walked as long as each is another
failed try at the same thing, and the first that did not fail is taken. The walk ends when a user
speaks after a result (the wish may have changed), when the agent turns to another tool, or after
`REACH` steps. What only a later message told, the gate refuses (`LEARNED_LATER`).

What is taken is put back on the original prompt, where nothing has gone wrong yet. So only what
was wrong is exchanged: failed calls are replaced one for one by their corrected calls and the
message around them stays (`splice`); where the message itself was at fault, the corrected calls
stand alone (`calls-only`), without the apology that goes with them. A text answer that failed
(structured output) is replaced by the next text answer if both say much the same, without the
reasoning that led to it (`text-only`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rapidfuzz import fuzz

from misstep.mine.feedback import used, vetoing
from misstep.mine.source import Candidate, Corpus, Source, blamable, canonical, tools_of, values_of
from misstep.types import Finding, Message, Part, Prompt, Session, ToolCall, Verdict

if TYPE_CHECKING:
    from misstep.mine.desk import Desk

REACH = 4
"""Later steps that are looked at; the fourth try at one call is rarely the same wish."""
_ALIKE = 60.0
"""Least `fuzz.ratio`, of 100, between a failed text and the text taken as its correction."""
_COMPARED = 8_000
_ALONE = {"call": "calls-only", "text": "text-only"}
_NO_CALL = frozenset({"NO_CALL", "TOOL_AS_TEXT", "EMPTY_OUTPUT"})
"""Faults of an answer without a call that a call puts right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A later answer, put in the place of the failed one."""

    chosen: Message
    edits: tuple[str, ...]
    step: int
    """Index of the step that it comes from."""
    verdict: Verdict
    """The log's verdict on that step."""


def find(desk: Desk) -> Iterator[Candidate]:
    """One candidate per failed step that has a retry."""
    for prompt in desk.failed():
        retry = desk.retry(prompt)
        if retry is not None:
            told = desk.standing(Prompt(session=prompt.session, step=retry.step))
            yield Candidate(
                prompt=prompt,
                chosen=retry.chosen,
                rejected=desk.corpus.answer(prompt),
                source="retry",
                edits=retry.edits,
                logged=retry.verdict,
                retried=(prompt, retry.step),
                feedback=used(told, desk.standing(prompt)),
                vetoed=vetoing(told),
            )


RETRY = Source(
    name="retry", about="the call that the same session got right after failing", find=find
)


def retry_of(corpus: Corpus, prompt: Prompt) -> Retry | None:
    """The retry of a failed step, None where there is none."""
    failed = corpus.answer(prompt)
    defects = [f for f in corpus.defects(prompt) if blamable([f.code])]
    if not defects:
        return None
    session = corpus.sessions[prompt.session]
    for step in _next_steps(session, prompt.step):
        later = session.messages[step]
        verdict = corpus.verdict(Prompt(session=session.id, step=step))
        if verdict.state == "fail" and not failed.calls:
            continue
        fixed = _corrected(failed, later, defects)
        if fixed is None:
            return None
        if verdict.state != "fail" and canonical(fixed[0]) != canonical(failed):
            if not _same_wish(failed, fixed[0], defects):
                return None
            return Retry(chosen=fixed[0], edits=fixed[1], step=step, verdict=verdict)
    return None


def _same_wish(failed: Message, fixed: Message, defects: Sequence[Finding]) -> bool:
    """Whether the correction asks for the same thing.

    Arguments that broke their schema had to change. Arguments that only the tool turned down may
    have been given up for others: then the values of both must be much alike.
    """
    if any(f.code != "TOOL_ERROR" for f in defects):
        return True
    texts = ("\n".join(sorted(values_of(side)))[:_COMPARED] for side in (failed, fixed))
    return fuzz.ratio(*texts) >= _ALIKE


def _next_steps(session: Session, step: int) -> Iterator[int]:
    """Steps after `step`, up to where a user speaks of something new.

    A failed call is answered by a result; what a user says after it is a new wish. What had no
    result (text, or a call that a harness turned down in the user's name) a user message answers.
    """
    after = session.messages[step + 1 : step + 2]
    asked_again = bool(after) and after[0].role == "user"
    left = REACH
    for at in range(step + 1, len(session.messages)):
        message = session.messages[at]
        if message.role == "user" and message.actor != "harness" and not asked_again:
            return
        if message.role == "assistant":
            yield at
            left -= 1
            if left == 0:
                return


def _corrected(
    failed: Message, later: Message, defects: Sequence[Finding]
) -> tuple[Message, tuple[str, ...]] | None:
    """`later` as a correction of `failed`, with the edits that made it one; None if it is not."""
    if failed.calls and later.calls:
        wrong = {f.call for f in defects}
        if None not in wrong:
            return spliced(failed, later, {i for i in wrong if i is not None})
        same = Counter(c.name for c in later.calls) == Counter(c.name for c in failed.calls)
        return _calls_only(later) if same else None
    if later.calls:
        named = failed.text and all(name in failed.text for name in tools_of(later))
        return _calls_only(later) if named or any(f.code in _NO_CALL for f in defects) else None
    if failed.calls or not failed.text.strip() or not later.text.strip():
        return None
    alike = fuzz.ratio(failed.text[:_COMPARED], later.text[:_COMPARED])
    return _only(later, "text") if alike >= _ALIKE else None


def _calls_only(later: Message) -> tuple[Message, tuple[str, ...]]:
    return _only(later, "call")


def _only(later: Message, kind: str) -> tuple[Message, tuple[str, ...]]:
    """The parts of one kind: what was thought and said beside them had the error in view."""
    parts = tuple(part for part in later.parts if part.kind == kind)
    edits = () if parts == later.parts else (_ALONE[kind],)
    return replace(later, parts=parts), edits


def spliced(
    failed: Message, later: Message, wrong: set[int]
) -> tuple[Message, tuple[str, ...]] | None:
    """The failed message with each wrong call replaced by its correction."""
    left = list(later.calls)
    parts: list[Part] = []
    for part in failed.parts:
        if part.call is None or part.call.index not in wrong:
            parts.append(part)
            continue
        fixed = _match(part.call, left, alone=len(wrong) == 1 and len(left) == 1)
        if fixed is None:
            return None
        left.remove(fixed)
        placed = replace(fixed, id=part.call.id, index=part.call.index)
        parts.append(replace(part, call=placed))
    if len(later.parts) == len(later.calls) == len(parts):
        return replace(later, parts=tuple(parts)), ()
    taken = replace(
        failed,
        parts=tuple(parts),
        finish_reason=later.finish_reason,
        end=later.end,
        error=None,
        usage=None,
        origins=(*failed.origins, *later.origins),
    )
    return taken, ("splice",)


def _match(call: ToolCall, left: Sequence[ToolCall], *, alone: bool) -> ToolCall | None:
    """The call that corrects `call`: the likest of the same name, or a lone one much like it."""
    named = [other for other in left if other.name == call.name]
    if named:
        return max(named, key=lambda other: fuzz.ratio(call.arguments, other.arguments))
    if not alone:
        return None
    only = left[0]
    alike = max(fuzz.ratio(call.name, only.name), fuzz.ratio(call.arguments, only.arguments))
    return only if alike >= _ALIKE else None
