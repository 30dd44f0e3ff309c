"""The door behind the gate: pairs enter one by one, and prompts and families keep their shares.

In: drafts, each with the objection of the gate or none, in a fixed order. Out: `Pair`s and
`Refused`s; what came in is the sum of both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from misstep.mine import caps
from misstep.mine.decisions import REVIEWED_OUT, SAID
from misstep.mine.desk import Desk
from misstep.mine.gate import Draft, margin
from misstep.mine.marks import marks_of
from misstep.mine.near import Near, texts_of_pair
from misstep.mine.resample import OWN
from misstep.mine.source import answer_id, origins_of
from misstep.types import Message, Pair, Prompt, Refused, content_id

FULL = {
    "DUPLICATE": "the same two sides stand in another pair already",
    "NEAR_DUPLICATE": "prompt and sides are all but those of another pair",
    "PROMPT_FULL": "the prompt has its share of pairs",
    "FAMILY_FULL": "the family has its share of pairs",
    **caps.FULL,
    REVIEWED_OUT: SAID,
}
"""Reasons that depend on the pairs let in before, or on what a person said."""


@dataclass(slots=True)
class Door:
    """Lets pairs in one by one and keeps the shares of prompts and families.

    Pairs of the model's own failures and pairs of the log have separate shares, because only one
    kind is trained on and neither may crowd out the other.
    """

    desk: Desk
    pairs: list[Pair] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    paired: set[str] = field(default_factory=set)
    """`answer_id` of every rejected answer that was let in, as it stood before trimming."""
    reviewed_out: set[str] = field(default_factory=set)
    """`answer_id` of every rejected answer whose pair a person dropped."""
    _ids: set[str] = field(default_factory=set)
    _caps: caps.Caps = field(init=False)
    _near: dict[bool, Near] = field(init=False)
    _prompts: dict[tuple[bool, str, str], int] = field(default_factory=dict)
    _families: dict[tuple[bool, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._caps = caps.Caps(self.desk.config)
        self._near = {own: Near(self.desk.config.near_duplicate) for own in (False, True)}

    def enter(self, drafts: Iterable[tuple[Draft, tuple[str, str] | None]]) -> None:
        """Let in those that no rule objects to, as far as the shares go."""
        waiting = list(drafts)
        passing = (d for d, objected in waiting if objected is None)
        self._caps.passing.update(d.candidate.source in OWN for d in passing)
        for d, objected in waiting:
            pair = _pair(self.desk, d)
            reason = objected or self._full(pair)
            if reason is None:
                self.pairs.append(_marked(pair, d))
                key = self.desk.key(pair.prompt)
                self.paired.add(answer_id(key, d.candidate.rejected))
            else:
                self.refused.append(_refused(d, *reason))
                if reason[0] == REVIEWED_OUT:
                    key = self.desk.key(d.candidate.prompt)
                    self.reviewed_out.add(answer_id(key, d.candidate.rejected))

    def _full(self, pair: Pair) -> tuple[str, str] | None:
        config = self.desk.config
        own = pair.source in OWN
        at = (own, pair.family, self.desk.key(pair.prompt))
        if pair.id in self._ids:
            return "DUPLICATE", FULL["DUPLICATE"]
        texts = texts_of_pair(
            pair.id, self.desk.corpus.messages(pair.prompt), pair.chosen, pair.rejected
        )
        if (like := self._near[own].like(texts)) is not None:
            return "NEAR_DUPLICATE", f"{FULL['NEAR_DUPLICATE']}: {like}"
        if self._prompts.get(at, 0) >= config.max_pairs_per_prompt:
            return "PROMPT_FULL", f"{FULL['PROMPT_FULL']} ({config.max_pairs_per_prompt})"
        if self._families.get(at[:2], 0) >= config.max_pairs_per_family:
            return "FAMILY_FULL", f"{FULL['FAMILY_FULL']} ({config.max_pairs_per_family})"
        if (capped := self._caps.full(pair, own)) is not None:
            return capped
        self._caps.take(pair, own)
        self._near[own].add(texts)
        self._ids.add(pair.id)
        self._prompts[at] = self._prompts.get(at, 0) + 1
        self._families[at[:2]] = self._families.get(at[:2], 0) + 1
        return None


def pair_id(desk: Desk, prompt: Prompt, *, chosen: Message, rejected: Message) -> str:
    """Content id of a pair: the prompt's content and both sides."""
    key = desk.key(prompt)
    return content_id(answer_id(key, chosen), answer_id(key, rejected))


def _pair(desk: Desk, d: Draft) -> Pair:
    c, t = d.candidate, d.trimmed
    return Pair(
        id=pair_id(desk, c.prompt, chosen=c.chosen, rejected=t.answer),
        prompt=c.prompt,
        chosen=c.chosen,
        rejected=t.answer,
        source=c.source,
        margin=round(margin(d), 6),
        codes=tuple(sorted({f.code for f in d.rejected_findings})),
        edits=(*c.edits, *t.edits),
        feedback=c.feedback,
        cut=t.cut,
        family=desk.family(c.prompt),
        origin_chosen=origins_of(c.chosen),
        origin_rejected=origins_of(c.rejected),
    )


def _marked(pair: Pair, d: Draft) -> Pair:
    """With the places of its failures, which only a pair that was let in needs."""
    return replace(pair, marks=marks_of(pair.chosen, pair.rejected, d.rejected_findings))


def _refused(d: Draft, code: str, said: str) -> Refused:
    return Refused(
        prompt=d.candidate.prompt,
        source=d.candidate.source,
        reason=code,
        said=said,
        codes=tuple(sorted({f.code for f in d.rejected_findings})),
    )
