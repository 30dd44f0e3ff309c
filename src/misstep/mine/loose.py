"""Failures without a partner: what of them may be trained on with a False label.

In: the desk and a failed answer. Out: `Unpaired`, or None where its prompt may not stand in a row
or an equal answer to an equal prompt passed in the log: one of the two labels would be wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from misstep.mine import kinds
from misstep.mine.desk import Desk
from misstep.mine.evidence import told
from misstep.mine.placing import with_place
from misstep.mine.resample import RESAMPLE, answered
from misstep.mine.source import answer_id, canonical, origins_of
from misstep.mine.trim import trim
from misstep.types import Finding, Message, Origin, Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpaired:
    """A failure without a partner: a KTO row with a False label."""

    id: str
    prompt: Prompt
    completion: Message
    source: str
    """`log`, or `resample` for an answer of the model under training."""
    codes: tuple[str, ...]
    edits: tuple[str, ...] = ()
    cut: bool = False
    """True where the completion carries no end-of-turn, because it never emitted one."""
    family: str = ""
    origins: tuple[Origin, ...] = ()


def logged(desk: Desk, prompt: Prompt) -> Unpaired | None:
    """The failed answer of the log to this prompt."""
    return _loose(desk, prompt, desk.corpus.answer(prompt), "log", desk.corpus.defects(prompt))


def sampled(desk: Desk) -> Iterator[tuple[Prompt, str, Unpaired | None]]:
    """The failed answers of the model under training: prompt, `answer_id`, and what is left."""
    for prompt in answered(desk):
        demand = desk.demands_call(prompt)
        for answer in sorted(desk.answers[prompt], key=canonical):
            findings, verdict = desk.judge(prompt, answer, demand_call=demand)
            if verdict.state == "fail":
                wrong = [f for f in findings if f.level == "defect" and f.cause == "model"]
                found = _loose(desk, prompt, answer, RESAMPLE.name, wrong)
                yield prompt, answer_id(desk.key(prompt), answer), found


def unasked(desk: Desk, prompt: Prompt) -> bool:
    """Whether the log's failed answer is left out because `mine.rejected` has not its kind."""
    if kinds.all_asked(desk) or not _fit(desk, prompt):
        return False
    return kinds.unasked(desk, desk.corpus.answer(prompt), desk.corpus.defects(prompt))


def _fit(desk: Desk, prompt: Prompt) -> bool:
    return not desk.holds_heldout(prompt) and not desk.corpus.unfit(prompt)


def _loose(
    desk: Desk, prompt: Prompt, answer: Message, source: str, defects: Iterable[Finding]
) -> Unpaired | None:
    defects = tuple(defects)
    if not _fit(desk, prompt) or kinds.unasked(desk, answer, defects):
        return None
    if canonical(answer) in told(desk, prompt)[0]:
        return None  # it may be an accepted row of the other label
    trimmed = trim(answer, with_place(answer, defects), periods=desk.config.trim_periods)
    return Unpaired(
        id=answer_id(desk.key(prompt), answer),
        prompt=prompt,
        completion=trimmed.answer,
        source=source,
        codes=tuple(sorted({f.code for f in defects})),
        edits=trimmed.edits,
        cut=trimmed.cut,
        family=desk.family(prompt),
        origins=origins_of(answer),
    )
