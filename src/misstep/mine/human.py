"""Chosen-source `human`: what a human in the log preferred over what the agent did.

In: sessions. Out: candidates that carry the human's word (`signed`), which stands in for a
validator's: the rejected side may be free of defects, the chosen side must be clean all the same.

- Two last answers to one prompt, thumbs up and thumbs down: preference datasets' own pairs, votes.
- A call that the user turned down with an instruction, and the next call of the same tool at the
  same thing, which went through and was not objected to.
- A user's "no, …" to a turn with one call, a redo with one call of the same tool at the same thing,
  and a word of thanks or a solved task behind it.

A correction is put back on the original prompt as a retry is, the call exchanged and nothing else.
It is left out where it uses a word that only the instruction told: nobody could have known it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from rapidfuzz import fuzz

from misstep.mine.feedback import standing
from misstep.mine.retry import spliced
from misstep.mine.source import Candidate, Source, canonical, distance, texts_of
from misstep.mine.voices import says_no, says_yes, speaks, turned_down
from misstep.types import Message, Prompt, Session, ToolCall, ToolResult
from misstep.validate.error_text import read_fault
from misstep.validate.strict_json import parse

if TYPE_CHECKING:
    from misstep.mine.desk import Desk

_ALIKE = 60.0
"""Least `fuzz.ratio`, of 100, between the arguments of a call and of its correction."""
_COMPARED = 8_000
_SAID = re.compile(
    r"(?:the user said|user(?:'s)? (?:provided (?:the following )?)?(?:feedback|reason|message))"
    r"[^:\n]{0,60}:\s*(?P<said>.+)",
    re.I | re.S,
)
_INTERRUPTED = re.compile(r"\[Request interrupted by user[^\]]*\]")
_TARGETS = ("file_path", "path", "filename", "notebook_path", "url", "id")
"""Arguments that say at what a call is aimed."""
_WORD = re.compile(r"\w{3,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Redo:
    """A call that a human objected to, and the one accepted in its place."""

    wrong: int
    right: int
    instruction: str
    signed: str


def find(desk: Desk) -> Iterator[Candidate]:
    """Votes first, then corrections, in an order that does not depend on that of the logs."""
    names = [n for n in sorted(desk.voiced()) if desk.split.part[n] != "heldout"]
    yield from _votes(desk, names)
    for name in filter(desk.owns, names):
        session = desk.corpus.sessions[name]
        for redo in (*_turned_down(session), *_objected(session)):
            candidate = _candidate(desk, session, redo)
            if candidate is not None:
                yield candidate


HUMAN = Source(
    name="human",
    about="what a human in the log preferred: votes, and corrections that were accepted",
    find=find,
)


# --- votes -------------------------------------------------------------------------------------


def _votes(desk: Desk, names: Sequence[str]) -> Iterator[Candidate]:
    """The nearest answer with thumbs up for each answer with thumbs down to the same prompt."""
    votes: dict[tuple[str, str], dict[str, list[Prompt]]] = defaultdict(lambda: defaultdict(list))
    for name in names:
        session = desk.corpus.sessions[name]
        thumbs = session.outcome.thumbs if session.outcome is not None else None
        step = len(session.messages) - 1
        if thumbs is not None and step > 0 and session.messages[step].role == "assistant":
            prompt = Prompt(session=name, step=step)
            if step >= session.prefix:
                votes[desk.part(prompt), desk.key(prompt)][thumbs].append(prompt)
    for given in votes.values():
        for down in (prompt for prompt in given["down"] if desk.owns(prompt.session)):
            failed = desk.corpus.answer(down)
            ups = sorted(given["up"], key=lambda up: _near(desk.corpus.answer(up), failed))
            if ups:
                yield Candidate(
                    prompt=down,
                    chosen=desk.corpus.answer(ups[0]),
                    rejected=failed,
                    source=HUMAN.name,
                    logged=desk.corpus.verdict(ups[0]),
                    feedback=("thumbs up over thumbs down",),
                    signed="a human preferred it",
                )


def _near(answer: Message, failed: Message) -> tuple[float, str]:
    return distance(answer, failed), canonical(answer)


# --- corrections -------------------------------------------------------------------------------


def _turned_down(session: Session) -> Iterator[_Redo]:
    """Calls that the user did not let through and gave an instruction for."""
    messages = session.messages
    for at in session.steps:
        call = _only_call(messages[at])
        result = _result(session, at) if call is not None else None
        if call is None or result is None or not turned_down(result, call.name):
            continue
        after = next((i for i in range(at + 1, len(messages)) if _acts(messages[i])), None)
        if after is None:
            continue
        said = _SAID.search(result.text)
        told = "\n".join(
            _INTERRUPTED.sub("", m.text).strip() for m in messages[at + 1 : after] if speaks(m)
        )
        instruction = told.strip() or (said["said"] if said else "")
        if instruction and not instruction.startswith("<") and _went_through(session, after):
            yield _Redo(
                wrong=at,
                right=after,
                instruction=instruction,
                signed="the user turned the call down and let this one through",
            )


def _objected(session: Session) -> Iterator[_Redo]:
    """A turn that a user's "no, …" answers, and the turn that sets it right."""
    messages = session.messages
    turns = [i for i, m in enumerate(messages) if speaks(m)]
    for before, at in pairwise(turns):
        if not says_no(messages[at].text):
            continue
        after = next((i for i in turns if i > at), len(messages))
        wrong, right = _one(messages, before, at), _one(messages, at, after)
        if wrong is None or right is None or wrong < session.prefix:
            continue
        if after < len(messages):
            thanked = says_yes(messages[after].text)
        else:
            thanked = standing(session).sign > 0
        result = _result(session, wrong)
        good = result is not None and read_fault(result) is None
        if thanked and good and _went_through(session, right):
            yield _Redo(
                wrong=wrong,
                right=right,
                instruction=messages[at].text,
                signed="the user said no to the call and accepted this one",
            )


def _one(messages: Sequence[Message], start: int, end: int) -> int | None:
    """The only step with calls between two messages."""
    found = [
        i for i in range(start + 1, end) if messages[i].role == "assistant" and messages[i].calls
    ]
    return found[0] if len(found) == 1 else None


def _acts(message: Message) -> bool:
    return message.role == "assistant"


def _only_call(message: Message) -> ToolCall | None:
    return message.calls[0] if len(message.calls) == 1 else None


def _result(session: Session, step: int) -> ToolResult | None:
    """What came back from the only call of a step, before the next step."""
    for message in session.messages[step + 1 :]:
        if message.role == "assistant":
            return None
        if message.results:
            return message.results[0] if len(message.results) == 1 else None
    return None


def _went_through(session: Session, step: int) -> bool:
    """Whether the only call of a step was let through and the user did not object to it."""
    result = _result(session, step)
    if _only_call(session.messages[step]) is None or result is None:
        return False
    if read_fault(result) is not None:
        return False
    after = next((m for m in session.messages[step + 1 :] if speaks(m)), None)
    return after is None or not says_no(_INTERRUPTED.sub("no", after.text))


def _candidate(desk: Desk, session: Session, redo: _Redo) -> Candidate | None:
    prompt = Prompt(session=session.id, step=redo.wrong)
    failed, later = session.messages[redo.wrong], session.messages[redo.right]
    wrong, right = _only_call(failed), _only_call(later)
    if wrong is None or right is None or not _same_aim(wrong, right):
        return None
    made = spliced(failed, later, {wrong.index})
    if made is None or _told(desk, prompt, redo.instruction, (wrong, right)):
        return None
    return Candidate(
        prompt=prompt,
        chosen=made[0],
        rejected=failed,
        source=HUMAN.name,
        edits=made[1],
        logged=desk.corpus.verdict(Prompt(session=session.id, step=redo.right)),
        retried=(prompt, redo.right),
        feedback=(redo.signed,),
        signed=redo.signed,
    )


def _same_aim(wrong: ToolCall, right: ToolCall) -> bool:
    """The same tool, aimed at the same thing, in much the same words, and not the same call."""
    if wrong.name != right.name or wrong.arguments == right.arguments:
        return False
    one, other = parse(wrong.arguments).value, parse(right.arguments).value
    if not isinstance(one, dict) or not isinstance(other, dict):
        return False
    if any(one.get(key) != other.get(key) for key in _TARGETS):
        return False
    return fuzz.ratio(wrong.arguments[:_COMPARED], right.arguments[:_COMPARED]) >= _ALIKE


def _told(
    desk: Desk, prompt: Prompt, instruction: str, calls: tuple[ToolCall, ToolCall]
) -> set[str]:
    """Words of the correction that the instruction brought into the conversation."""
    wrong, right = (_words(call.arguments) for call in calls)
    before = "\n".join(_before(desk, prompt))
    return ((right - wrong) & _words(instruction)) - _words(before)


def _before(desk: Desk, prompt: Prompt) -> Iterator[str]:
    for message in desk.corpus.messages(prompt):
        yield from texts_of(message)
        yield from (result.text for result in message.results)
    for tool in desk.corpus.context(prompt).tools:
        yield f"{tool.description or ''} {tool.parameters or ''}"


def _words(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(text)}
