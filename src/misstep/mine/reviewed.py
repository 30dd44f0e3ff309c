"""What a person's decisions make of pairs: of drafts before the door, and of rows read back.

In: decisions (`decisions.py`) and a draft with the gate's objection, or the two sides of a row.
Out: the same, dropped, swapped or with the edited side in place. What a person changed is judged
again by every validator and every rule that a person does not decide (`gate.objection`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from misstep import validate
from misstep.config import MineConfig
from misstep.mine.decisions import REVIEWED_OUT, SAID, Decision
from misstep.mine.desk import Desk
from misstep.mine.draft import pair_id
from misstep.mine.gate import Draft, draft, objection
from misstep.mine.sides import Sides
from misstep.mine.source import Candidate, gather
from misstep.mine.split import Split
from misstep.types import Message, Pair, Part, Prompt, Refused, Session, ToolCall, content_id

SIGNED = "a person who reviewed the pair"
SOURCE = "review"
"""The chosen-source of a pair whose chosen side a person edited."""
Objected = tuple[Draft, tuple[str, str] | None]


def reviewed(desk: Desk, each: Draft, objected: tuple[str, str] | None) -> Objected:
    """The draft as the decisions about it leave it, with what is then said against it."""
    decisions = desk.corpus.decisions
    if objected is not None or not decisions:
        return each, objected
    now, seen = each, set[str]()
    while (at := _id(desk, now)) not in seen and (decision := decisions.get(at)) is not None:
        seen.add(at)
        if decision.word == "drop":
            return now, (REVIEWED_OUT, SAID)
        if decision.word in ("swap", "edit"):
            now = draft(desk, changed(now.candidate, decision))
    return now, objected if now is each else objection(desk, now)


def _id(desk: Desk, each: Draft) -> str:
    c = each.candidate
    return pair_id(desk, c.prompt, chosen=c.chosen, rejected=each.trimmed.answer)


def changed(candidate: Candidate, decision: Decision) -> Candidate:
    """The candidate after a swap or an edit; any other decision changes nothing."""
    if decision.word == "swap":
        return replace(
            candidate,
            chosen=candidate.rejected,
            rejected=candidate.chosen,
            edits=(*candidate.edits, "swapped"),
            logged=None,
            retried=None,
            wrong=(),
            behind=None,
            signed=SIGNED,
        )
    if decision.word == "edit" and decision.edited is not None:
        return replace(
            candidate,
            chosen=placed(decision.edited, candidate.chosen),
            source=SOURCE,
            edits=(*candidate.edits, "edited"),
            logged=None,
            retried=None,
            behind=None,
            signed=SIGNED,
        )
    return candidate


def placed(edited: Message, chosen: Message) -> Message:
    """The edited text in the place of the chosen side; it ends its turn and no model wrote it.

    A call keeps the syntax that the chosen side's call of this name had (code, text, JSON).
    """
    known = {call.name: call for call in chosen.calls}
    parts = (_typed(part, known) for part in edited.parts)
    return Message(role="assistant", parts=tuple(parts), origins=chosen.origins)


def _typed(part: Part, known: Mapping[str, ToolCall]) -> Part:
    like = known.get(part.call.name) if part.call is not None else None
    if part.call is None or like is None:
        return part
    return replace(part, call=replace(part.call, kind=like.kind, syntax=like.syntax))


def decided(sides: Sides, decisions: Mapping[str, Decision]) -> Sides | None:
    """The sides of a row as the decision about it leaves them; None where it was dropped.

    What was changed was judged when it was decided. `decisions` are those made after the row was
    mined: what came before is in the row already.
    """
    decision = decisions.get(sides.id)
    if decision is None or sides.rejected is None:
        return sides
    if decision.word == "drop":
        return None
    if decision.word == "swap":
        return replace(sides, chosen=sides.rejected, rejected=sides.chosen, cut=False, marks=())
    if decision.word == "edit" and decision.edited is not None:
        chosen = placed(decision.edited, sides.chosen)
        marks = tuple(mark for mark in sides.marks if mark.side == "rejected")
        return replace(sides, chosen=chosen, source=SOURCE, marks=marks)
    return sides


def against(
    sides: Sides, decision: Decision, *, settings: validate.Settings, config: MineConfig
) -> tuple[str, str] | None:
    """What the gate says against the pair of a row after a swap or an edit; None: it may stand.

    The row is judged alone, in the place of its prompt; what needs the other pairs is asked when
    the logs are mined again.
    """
    if sides.rejected is None:
        return "SAME_SIDES", "the row has one side"
    session = session_of(sides)
    prompt = Prompt(session=session.id, step=len(sides.prompt))
    corpus = gather([session], [validate.validate(session, settings)])
    split = Split(part={session.id: "train"}, family={session.id: sides.family})
    desk = Desk(corpus=corpus, split=split, config=config, settings=settings)
    candidate = Candidate(
        prompt=prompt, chosen=sides.chosen, rejected=sides.rejected, source=sides.source
    )
    return objection(desk, draft(desk, changed(candidate, decision)))


def session_of(sides: Sides) -> Session:
    """The prompt of a row with the chosen side as its answer."""
    answer = replace(sides.chosen, context=0)
    return Session(
        id=content_id(sides.id),
        format="pairs",
        messages=(*sides.prompt, answer),
        contexts=(sides.context,),
        prefix=len(sides.prompt),
    )


def words_on(
    decisions: Mapping[str, Decision], pairs: Iterable[Pair], refused: Iterable[Refused]
) -> Iterator[str]:
    """What was decided, once for each pair and refused candidate that it shows on."""
    for pair in pairs:
        if "edited" in pair.edits:
            yield "edit"
        elif "swapped" in pair.edits:
            yield "swap"
        elif pair.id in decisions and decisions[pair.id].word == "keep":
            yield "keep"
    yield from ("drop" for each in refused if each.reason == REVIEWED_OUT)
