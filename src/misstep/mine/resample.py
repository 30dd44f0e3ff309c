"""Chosen-source `resample`: what the model under training itself answers to the logged prompts.

In: answers per prompt, sampled by somebody else. Out: candidates in which both sides are the
model's own (`resample`): a clean answer is chosen, a failed one rejected, and of all such
couples those come first whose clean side agrees best with what the log accepted, and then those
that differ least, so that a pair teaches what went wrong and nothing else (`hard` has others).
Both sides call the same tools (`keeps_tools`). Where the model has no such clean answer, its
failure is set against the log's accepted answer (`resample+log`). Before all of this counts what
`mine.min_votes` and `mine.supported_values` ask for (`worth`). At most `max_pairs_per_prompt`
candidates a prompt and source, each with another failure. `mine.rejected` says which kinds of
failures are taken (`kinds`), and may add clean answers that are far from what the log accepted.

`resample_prompts` says which prompts are worth asking.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from misstep.mine import hard, kinds, worth
from misstep.mine.agreement import agreement
from misstep.mine.feedback import UNKNOWN, used
from misstep.mine.held import HeldText
from misstep.mine.index import in_turn, index_of
from misstep.mine.source import (
    Candidate,
    Corpus,
    Source,
    canonical,
    distance,
    keeps_tools,
    meaning,
    tools_of,
)
from misstep.mine.split import Split
from misstep.types import Message, Prompt, content_id

if TYPE_CHECKING:
    from misstep.mine.desk import Accepted, Desk

OWN = ("resample", "resample+log")
"""Names of pairs whose rejected side the model under training wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Couple:
    """A clean and a failed answer, ordered by `rank`: lower is better."""

    rank: tuple[Any, ...]
    clean: Message
    failed: Message
    votes: int


def find(desk: Desk) -> Iterator[Candidate]:
    """Candidates for every prompt that was answered again."""
    for prompt in answered(desk):
        yield from _of_prompt(desk, prompt)


RESAMPLE = Source(
    name="resample",
    about="clean and failed answers of the model under training to a logged prompt",
    find=find,
)


def answered(desk: Desk) -> tuple[Prompt, ...]:
    """Prompts of this corpus outside the held-out part that the model was asked."""
    known = (p for p in desk.answers if p.session in desk.corpus.sessions and desk.owns(p.session))
    mine = (p for p in known if desk.part(p) != "heldout")
    return tuple(sorted(mine, key=lambda p: (p.session, p.step)))


def resample_prompts(
    corpus: Corpus, split: Split, max_prompts: int, seed: int
) -> tuple[Prompt, ...]:
    """At most `max_prompts` prompts to ask the model under training, each content once.

    Outside the held-out part and without its text. Failed steps first, then clean ones (there the
    model may fail); unjudged steps are left out, since no validator could tell an answer's worth.
    In either group the families take turns, in an order that depends on the seed and not on the
    logs' order.
    """
    index = index_of(corpus)
    held = HeldText.of(index, split)

    def order(row: int) -> str:
        return content_id(index.key(row), index.session(row), str(seed))

    picked: dict[str, Prompt] = {}
    for state in ("fail", "pass"):
        families: dict[str, list[int]] = {}
        for row in index.in_state(state):
            name = index.session(row)
            if split.part[name] != "heldout":
                families.setdefault(split.family[name], []).append(row)
        for row in in_turn(families, seed, order):
            key, prompt = index.key(row), index.prompt(row)
            messages = corpus.messages(prompt)
            if len(picked) >= max_prompts:
                break
            if key not in picked and not corpus.unfit(prompt) and not held.held(messages, key):
                picked[key] = prompt
    return tuple(picked.values())


def _of_prompt(desk: Desk, prompt: Prompt) -> Iterator[Candidate]:
    clean, failed = _sorted_out(desk, prompt)
    asked = [answer for answer in failed if not kinds.unasked_sample(desk, prompt, answer)]
    others = [answer for answer in failed if answer not in asked]
    limit = desk.config.max_pairs_per_prompt
    found = list(_of_failures(desk, prompt, clean=clean, failed=asked, limit=limit))
    yield from found
    # for the gate to refuse, so that they are counted
    yield from _of_failures(desk, prompt, clean=clean, failed=others, limit=len(others))
    if "low_scores" in desk.config.rejected:
        best = {canonical(candidate.chosen) for candidate in found}
        lower = [answer for answer in clean if canonical(answer) not in best]
        yield from _of_low_scores(
            desk, prompt, clean=clean, lower=lower, limit=max(limit - len(found), 0)
        )


def _right(desk: Desk, prompt: Prompt, clean: Sequence[Message]) -> list[Message]:
    """Clean answers that may be chosen: the tools of what was accepted, and near enough to it."""
    tools = {tools_of(each.answer) for each in desk.accepted(prompt)}
    called = [answer for answer in clean if not tools or tools_of(answer) in tools]
    return [answer for answer in called if worth.agrees(desk, prompt, answer)]


def _of_low_scores(
    desk: Desk,
    prompt: Prompt,
    *,
    clean: Sequence[Message],
    lower: Sequence[Message],
    limit: int,
) -> Iterator[Candidate]:
    """Clean answers, each against a better one; against what was accepted where none is right.

    All that are not far enough behind, for the gate to refuse, so that they are counted.
    """
    accepted, right = desk.accepted(prompt), _right(desk, prompt, clean)
    score = {canonical(answer): agreement(answer, accepted) for answer in clean}
    couples: list[_Couple] = []
    for low in lower if accepted else ():
        better = [c for c in right if score[canonical(c)] > score[canonical(low)]]
        couples += _couples(desk, prompt, better, [low])
    ordered = _ordered(desk, prompt, sorted(couples, key=lambda couple: couple.rank))
    found = [_candidate(prompt, couple) for couple in ordered]
    if not right:
        offered = {tool.name for tool in desk.corpus.context(prompt).tools}
        found = list(_against_log(prompt, lower, accepted, offered))
    behind = [
        replace(c, behind=agreement(c.chosen, accepted) - score[canonical(c.rejected)])
        for c in found
    ]
    margin = desk.config.score_margin
    yield from islice((c for c in behind if (c.behind or 0.0) >= margin), limit)
    yield from (c for c in behind if 0.0 < (c.behind or 0.0) < margin)


def _of_failures(
    desk: Desk,
    prompt: Prompt,
    *,
    clean: Sequence[Message],
    failed: Sequence[Message],
    limit: int,
) -> Iterator[Candidate]:
    """Failed answers, each against a clean one, else against what was accepted."""
    if not failed:
        return
    accepted = desk.accepted(prompt)
    offered = {tool.name for tool in desk.corpus.context(prompt).tools}
    couples = _couples(desk, prompt, _right(desk, prompt, clean), failed)
    couples = _ordered(desk, prompt, couples)
    yield from (_candidate(prompt, c) for c in couples[:limit])
    coupled = {canonical(c.failed) for c in couples}
    single = [answer for answer in failed if canonical(answer) not in coupled]
    yield from islice(_against_log(prompt, single, accepted, offered), limit)
    if clean and not couples:  # for the gate to refuse, so that it is counted
        near = min(clean, key=lambda c: (distance(c, failed[0]), canonical(c)))
        yield Candidate(prompt=prompt, chosen=near, rejected=failed[0], source=OWN[0])


def _sorted_out(desk: Desk, prompt: Prompt) -> tuple[list[Message], list[Message]]:
    """Distinct answers that passed, and distinct answers that failed."""
    distinct = {canonical(answer): answer for answer in desk.answers[prompt]}
    demand = desk.demands_call(prompt)
    clean: list[Message] = []
    failed: list[Message] = []
    for _, answer in sorted(distinct.items()):
        state = desk.judge(prompt, answer, demand_call=demand)[1].state
        if state != "unjudged":
            (clean if state == "pass" else failed).append(answer)
    return clean, failed


def _candidate(prompt: Prompt, couple: _Couple) -> Candidate:
    return Candidate(
        prompt=prompt,
        chosen=couple.clean,
        rejected=couple.failed,
        source=OWN[0],
        votes=couple.votes,
    )


def _couples(
    desk: Desk, prompt: Prompt, clean: Sequence[Message], failed: Sequence[Message]
) -> list[_Couple]:
    """The best couple of each failed answer that has one, best first."""
    accepted = desk.accepted(prompt)
    offered = {tool.name for tool in desk.corpus.context(prompt).tools}
    agreed = {canonical(a): agreement(a, accepted) for a in clean}
    votes = Counter(map(meaning, desk.answers[prompt]))
    united = len({tools_of(c) for c in clean}) == 1
    couples = []
    for f in failed:
        # which tool an unknown one stood for, only the log or one voice of all clean answers tells
        known = bool(accepted) or united or tools_of(f) <= set(offered)
        mates = []
        for c in clean:
            if known and keeps_tools(c, f, offered):
                rank = (-agreed[canonical(c)], distance(c, f), canonical(c))
                couple = _Couple(rank=rank, clean=c, failed=f, votes=votes[meaning(c)])
                doubts = worth.doubts(desk, _candidate(prompt, couple))
                mates.append(replace(couple, rank=(doubts, *rank)))
        couples += sorted(mates, key=lambda couple: couple.rank)[:1]
    return sorted(couples, key=lambda couple: (couple.rank, canonical(couple.failed)))


def _ordered(desk: Desk, prompt: Prompt, couples: list[_Couple]) -> list[_Couple]:
    """The couples in the order of `mine.hard_negatives`; agreement with the log goes before it."""
    if desk.config.hard_negatives == "nearest":
        return couples  # their rank is just this

    def key(couple: _Couple) -> tuple[Any, hard.Key, str]:
        defects = hard.defects_of(desk, prompt, couple.failed)
        own = hard.key_of(desk, prompt, chosen=couple.clean, failed=couple.failed, defects=defects)
        return couple.rank[:2], own, canonical(couple.failed)

    return sorted(couples, key=key)


def _against_log(
    prompt: Prompt,
    failed: Sequence[Message],
    accepted: Sequence[Accepted],
    offered: Collection[str],
) -> Iterator[Candidate]:
    """The model's failures against the nearest accepted answer that calls the same tools."""
    best = []
    for f in failed:
        mates = [a for a in accepted if keeps_tools(a.answer, f, offered)]
        if mates:
            best.append((min(mates, key=lambda a: _near(a, f)), f))
    for near, answer in sorted(best, key=lambda b: (*_near(*b), canonical(b[1]))):
        yield Candidate(
            prompt=prompt,
            chosen=near.answer,
            rejected=answer,
            source=OWN[1],
            edits=near.edits,
            logged=near.verdict,
            retried=near.retried,
            feedback=used(near.standing, UNKNOWN),
        )


def _near(accepted: Accepted, failed: Message) -> tuple[float, str]:
    return distance(accepted.answer, failed), canonical(accepted.answer)
