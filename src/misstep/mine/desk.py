"""The desk a miner works at: the corpus without its held-out part, with every look-up done once.

In: what `mine` is given. Out: answers to the questions that sources and gate share: which steps
have the same prompt, what the log accepted there, what the validators say of an answer put in the
place of a step, which prompts may not be trained on. Judging is remembered per answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from misstep import validate
from misstep.config import MineConfig
from misstep.mine.feedback import UNKNOWN, Standing, of_step
from misstep.mine.held import HeldText
from misstep.mine.index import Index, index_of
from misstep.mine.memo import Memo
from misstep.mine.reference import Reference, by_key, references_by_key
from misstep.mine.retry import Retry, retry_of
from misstep.mine.source import Corpus, Template, canonical, meaning, tools_of
from misstep.mine.split import Split
from misstep.models.budget import Budget
from misstep.types import Finding, Message, Prompt, Verdict

_JUDGED, _GROUPS = 16_384, 4_096
"""Judgements and prompts that are remembered: enough for what is asked again soon."""
CLEAN = 64
"""Clean answers to one prompt that are compared with each failure; more teach no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """An answer that stands as right for a prompt."""

    answer: Message
    verdict: Verdict | None
    """The log's verdict; None for a reference."""
    edits: tuple[str, ...] = ()
    retried: tuple[Prompt, int] | None = None
    """For a retry: the failed step, and the index of the step that it comes from."""
    standing: Standing = UNKNOWN
    """What the log's feedback says of the session that it comes from."""
    votes: int = 1
    """Of a sibling: clean answers to the prompt that mean the same, itself counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clean:
    """The log's answers to one prompt that passed, each content once, the best first."""

    kept: tuple[Accepted, ...]
    """At most `CLEAN`; none of a session that failed its task."""
    vetoed: tuple[Accepted, ...] = ()
    """Those that stand in failed sessions alone."""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Everything a source or a gate rule may look at."""

    corpus: Corpus
    split: Split
    config: MineConfig
    settings: validate.Settings
    references: tuple[Reference, ...] = ()
    answers: Mapping[Prompt, Sequence[Message]] = field(default_factory=dict)
    template: Template | None = None
    only: frozenset[str] | None = None
    """Sessions whose failures this desk pairs; the others are there to be looked up."""
    left: tuple[Prompt, ...] | None = None
    """Of those failures the ones that are left, in their order; None: all of them."""
    budget: Budget | None = None
    """How long prompt and answer may be for that model; None asks nothing."""
    memo: dict[object, Any] = field(default_factory=dict, repr=False)
    """What gate rules have worked out once, by rule and what it is about."""
    _judged: dict[object, tuple[tuple[Finding, ...], Verdict]] = field(
        default_factory=lambda: Memo(_JUDGED), repr=False
    )
    _clean: dict[tuple[str, str], Clean] = field(default_factory=lambda: Memo(_GROUPS), repr=False)
    _later: dict[tuple[str, str], tuple[Accepted, ...]] = field(
        default_factory=lambda: Memo(_GROUPS), repr=False
    )

    def part(self, prompt: Prompt) -> str:
        """train, dev or heldout."""
        return self.split.part[prompt.session]

    def family(self, prompt: Prompt) -> str:
        """Family id."""
        return self.split.family[prompt.session]

    def key(self, prompt: Prompt) -> str:
        """Content key of the prompt: equal prompts have equal keys."""
        return self._index.key(self._index.row(prompt.session, prompt.step))

    def failed(self) -> tuple[Prompt, ...]:
        """Failed steps outside the held-out part."""
        return self._failed

    def owns(self, session: str) -> bool:
        """Whether the failures of a session are this desk's to pair."""
        return self.only is None or session in self.only

    def narrowed(self, left: Iterable[Prompt]) -> Desk:
        """The same desk for these failures alone; what it knows by now is shared."""
        return replace(self, left=tuple(left))

    def logged_id(self, prompt: Prompt) -> str:
        """`answer_id` of the logged answer to a prompt."""
        return self._index.answer(self._index.row(prompt.session, prompt.step))

    def same_prompt(self, prompt: Prompt) -> tuple[Prompt, ...]:
        """Steps of the same part with the same prompt, this one among them.

        A prompt without any message is nobody's equal.
        """
        if prompt.step == 0:
            return (prompt,)
        group, part = self._group(prompt), self.part(prompt)
        if group not in self._same:
            found = map(self._index.prompt, self._index.same_prompt(self.key(prompt)))
            self._same[group] = tuple(p for p in found if self.part(p) == part)
        return self._same[group]

    def judge(
        self, prompt: Prompt, answer: Message, *, demand_call: bool = False
    ) -> tuple[tuple[Finding, ...], Verdict]:
        """What the validators say of `answer` in the place of the step."""
        ending = (answer.finish_reason, answer.end, answer.error)
        key = (prompt, answer.parts, ending, demand_call)
        if key not in self._judged:
            session = self.corpus.sessions[prompt.session]
            self._judged[key] = validate.judge(
                session, prompt.step, answer, settings=self.settings, demand_call=demand_call
            )
        return self._judged[key]

    def accepted(self, prompt: Prompt) -> tuple[Accepted, ...]:
        """What stands as right: references if there are any, else the log's clean answers here.

        The log's are those to the same prompt that passed, then retries of those that failed.
        """
        gold = self.references_for(prompt)
        if gold:
            return tuple(Accepted(answer=each.answer, verdict=None) for each in gold)
        group = self._group(prompt)
        if group not in self._later:
            self._later[group] = tuple(self._retries(prompt))
        return (*self.clean(prompt), *self._later[group])

    def clean(self, prompt: Prompt) -> tuple[Accepted, ...]:
        """The log's answers to the same prompt that passed: the best `CLEAN`, each content once."""
        return self.siblings(prompt).kept

    def siblings(self, prompt: Prompt) -> Clean:
        """The log's answers to the same prompt that passed, and those that feedback vetoes."""
        group = self._group(prompt)
        if group not in self._clean:
            passed: dict[str, Accepted] = {}
            votes: Counter[str] = Counter()
            for same in self.same_prompt(prompt):
                answer, verdict = self.corpus.answer(same), self.corpus.verdict(same)
                if verdict.state == "pass":
                    found = Accepted(answer=answer, verdict=verdict, standing=self.standing(same))
                    known = passed.setdefault(canonical(answer), found)
                    votes[meaning(answer)] += 1
                    if known.standing.rank < found.standing.rank:
                        passed[canonical(answer)] = found
            best = [
                replace(a, votes=votes[meaning(a.answer)])
                for _, a in sorted(passed.items(), key=lambda item: (_best(item[1]), item[0]))
            ]
            self._clean[group] = Clean(
                kept=tuple(a for a in best if a.standing.sign >= 0)[:CLEAN],
                vetoed=tuple(a for a in best if a.standing.sign < 0)[:CLEAN],
            )
        return self._clean[group]

    def standing(self, prompt: Prompt) -> Standing:
        """What the log's feedback says of the step; nothing where it is not to be used."""
        if not self.config.feedback:
            return UNKNOWN
        return of_step(self.corpus.sessions[prompt.session], prompt.step)

    def voiced(self) -> Sequence[str]:
        """Ids of the sessions in which a human's word may sign a pair."""
        return self._index.voiced

    def demands_call(self, prompt: Prompt) -> bool:
        """Whether everything that stands as right here makes a call."""
        accepted = self.accepted(prompt)
        return bool(accepted) and all(tools_of(each.answer) for each in accepted)

    def references_for(self, prompt: Prompt) -> tuple[Reference, ...]:
        """The user's gold answers to this prompt."""
        session = self.corpus.sessions[prompt.session]
        return references_by_key(self._references, session, prompt.step)

    def retry(self, prompt: Prompt) -> Retry | None:
        """The later call of the same session that the log accepted in place of this failed one."""
        return retry_of(self.corpus, prompt)

    def holds_heldout(self, prompt: Prompt) -> bool:
        """Whether the prompt holds text of a held-out session (`HeldText.held`)."""
        return self.heldout.held(self.corpus.messages(prompt), self.key(prompt))

    @property
    def heldout(self) -> HeldText:
        """The text of the held-out part."""
        if "heldout" not in self.memo:
            self.memo["heldout"] = HeldText.of(self._index, self.split)
        held: HeldText = self.memo["heldout"]
        return held

    def _group(self, prompt: Prompt) -> tuple[str, str]:
        return self.part(prompt), self.key(prompt) if prompt.step else prompt.session

    def _retries(self, prompt: Prompt) -> Iterator[Accepted]:
        for same in self.same_prompt(prompt):
            retry = self.retry(same)
            fit = retry is not None and retry.verdict.state == "pass"
            if retry is None or not fit:
                continue
            if self.standing(Prompt(session=same.session, step=retry.step)).sign >= 0:
                yield Accepted(
                    answer=retry.chosen,
                    verdict=retry.verdict,
                    edits=retry.edits,
                    retried=(same, retry.step),
                )

    @cached_property
    def _index(self) -> Index:
        return index_of(self.corpus)

    @cached_property
    def _failed(self) -> tuple[Prompt, ...]:
        if self.left is not None:
            return self.left
        failed = (p for p in self.corpus.failed() if self.owns(p.session))
        return tuple(p for p in failed if self.part(p) != "heldout")

    @cached_property
    def _same(self) -> dict[tuple[str, str], tuple[Prompt, ...]]:
        return Memo(_GROUPS)

    @cached_property
    def _references(self) -> Mapping[tuple[str, str], tuple[Reference, ...]]:
        return by_key(self.references)


def _best(accepted: Accepted) -> tuple[float, float]:
    """The best score first; among equals, the best feedback."""
    score = accepted.verdict.score if accepted.verdict is not None else None
    return -(score or 0.0), -accepted.standing.rank
