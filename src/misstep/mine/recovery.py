"""Chosen-source `recovery`: what the same session did once it had seen that something was wrong.

In: a failed step. Out: pairs whose prompt keeps the error, so that they teach what to do about it
and not how to avoid it (that is `retry`):

- The step that got it right, on the very prompt that it was written to, against the failed call
  made once more (`repeat`). Where a second try failed too, that failed try also stands on its own
  prompt, against what came out right.
- An agent loop: the first step at which the loop was knowable, against the step that left it. What
  stands between them repeats what was known, so the later step could have come at once. The calls
  before that step were legal and are no rejected side; those after it teach nothing new.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from rapidfuzz import fuzz

from misstep.codes import CODES
from misstep.mine.feedback import used, vetoing
from misstep.mine.retry import Retry
from misstep.mine.source import Candidate, Corpus, Source, blamable, tools_of
from misstep.mine.supported import heard, unsupported
from misstep.mine.voices import speaks
from misstep.types import Finding, Message, Prompt, ToolCall
from misstep.validate.strict_json import parse

if TYPE_CHECKING:
    from misstep.mine.desk import Desk

ALIKE = 75.0
"""Least `fuzz.ratio`, of 100, between the name of no tool and the one taken for it."""


def find(desk: Desk) -> Iterator[Candidate]:
    """Candidates of every failed step that the session recovered from."""
    done: set[Prompt] = set()
    for prompt in desk.failed():
        if blamable(desk.corpus.verdict(prompt).codes):
            retry = desk.retry(prompt)
            found = _tries(desk, prompt, retry, done) if retry is not None else iter(())
        else:
            found = _left(desk, prompt)
        yield from (candidate for candidate in found if _sound(desk, candidate))


RECOVERY = Source(
    name="recovery",
    about="what the same session did after it had seen the error or the loop",
    find=find,
)


def _tries(desk: Desk, prompt: Prompt, retry: Retry, done: set[Prompt]) -> Iterator[Candidate]:
    """The step that got it right against its last failed try, on the prompt with the error."""
    right = Prompt(session=prompt.session, step=retry.step)
    told = desk.standing(right)
    between = (p for p in _steps_between(desk.corpus, prompt, right))
    failed = [p for p in between if desk.corpus.verdict(p).state == "fail"]
    if failed:
        last = failed[-1]
        again = desk.retry(last)
        if again is not None and last not in done:
            done.add(last)
            yield Candidate(
                prompt=last,
                chosen=again.chosen,
                rejected=desk.corpus.answer(last),
                source=RECOVERY.name,
                edits=again.edits,
                logged=again.verdict,
                retried=(last, again.step),
                feedback=used(told, desk.standing(prompt)),
                vetoed=vetoing(told),
            )
    elif right not in done:
        done.add(right)
        yield Candidate(
            prompt=right,
            chosen=desk.corpus.answer(right),
            rejected=_repeated(desk.corpus.answer(prompt)),
            source=RECOVERY.name,
            edits=("repeat",),
            logged=retry.verdict,
            wrong=tuple(replace(f, step=right.step) for f in desk.corpus.defects(prompt)),
            feedback=used(told, desk.standing(prompt)),
            vetoed=vetoing(told),
        )


def _steps_between(corpus: Corpus, first: Prompt, last: Prompt) -> Iterator[Prompt]:
    messages = corpus.sessions[first.session].messages
    for step in range(first.step + 1, last.step):
        if messages[step].role == "assistant":
            yield Prompt(session=first.session, step=step)


def _repeated(answer: Message) -> Message:
    """The failed answer, made once more: its calls, or its text where it has none."""
    calls = tuple(part for part in answer.parts if part.kind == "call")
    return replace(answer, parts=calls or answer.parts)


def _left(desk: Desk, prompt: Prompt) -> Iterator[Candidate]:
    """The step that left an agent loop against the first one at which the loop was knowable."""
    loops = loop_defects(desk.corpus, prompt)
    session = desk.corpus.sessions[prompt.session]
    before = _previous(desk.corpus, prompt)
    if not loops or (before is not None and loop_defects(desk.corpus, before)):
        return
    looped = list(session.messages[prompt.step].calls)
    for step in range(prompt.step + 1, len(session.messages)):
        message = session.messages[step]
        if speaks(message):
            return
        if message.role != "assistant":
            continue
        later = Prompt(session=prompt.session, step=step)
        if loop_defects(desk.corpus, later):
            looped += message.calls
            continue
        verdict = desk.corpus.verdict(later)
        if verdict.state != "fail" and not _again(message, looped):
            told = desk.standing(later)
            yield Candidate(
                prompt=prompt,
                chosen=message,
                rejected=session.messages[prompt.step],
                source=RECOVERY.name,
                logged=verdict,
                retried=(prompt, step),
                wrong=loops,
                feedback=used(told, desk.standing(prompt)),
                vetoed=vetoing(told),
            )
        return


def loop_defects(corpus: Corpus, prompt: Prompt) -> tuple[Finding, ...]:
    """The agent loops that a step is blamed for."""
    return tuple(
        f
        for f in corpus.defects(prompt)
        if f.code in CODES and CODES[f.code].group == "agent-loop" and f.code != "LOOP_MONOLOGUE"
    )


def _previous(corpus: Corpus, prompt: Prompt) -> Prompt | None:
    """The step before in the same turn."""
    messages = corpus.sessions[prompt.session].messages
    for step in range(prompt.step - 1, -1, -1):
        if speaks(messages[step]):
            return None
        if messages[step].role == "assistant":
            return Prompt(session=prompt.session, step=step)
    return None


def _sound(desk: Desk, candidate: Candidate) -> bool:
    """Whether the later step is no guess: the tool it was about, and values that were heard.

    Out of a loop any other tool leads; else a tool that was on offer stays, one that was not is
    exchanged for one of much the same name, and a call that was written as text names its tool.
    """
    context = desk.corpus.context(candidate.prompt)
    tools = {tool.name: tool for tool in context.tools}
    if "repeat" in candidate.edits and not _same_tools(candidate, tools):
        return False
    known, failed = heard(desk.corpus.messages(candidate.prompt)), candidate.rejected
    calls = candidate.chosen.calls
    return not any(unsupported(call, tools.get(call.name), known, failed) for call in calls)


def _same_tools(candidate: Candidate, offered: Collection[str]) -> bool:
    chosen, rejected = tools_of(candidate.chosen), tools_of(candidate.rejected)
    if rejected <= set(offered) and rejected:
        return chosen == rejected
    if rejected:
        near = all(any(fuzz.ratio(name, r) >= ALIKE for r in rejected) for name in chosen)
        return near and len(candidate.chosen.calls) == len(candidate.rejected.calls)
    return bool(chosen) and all(name in candidate.rejected.text for name in chosen)


def _again(answer: Message, looped: list[ToolCall]) -> bool:
    """Whether an answer makes one of the looping calls."""
    known = {_same(call) for call in looped}
    return any(_same(call) in known for call in answer.calls)


def _same(call: ToolCall) -> tuple[str, str]:
    value = parse(call.arguments)
    return call.name, json.dumps(value.value, sort_keys=True) if value.ok else call.arguments
