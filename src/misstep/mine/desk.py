"""The desk a miner works at: the corpus without its held-out part, with every look-up done once.

In: what `mine` is given. Out: answers to the questions that sources and gate share: which steps
have the same prompt, what the log accepted there, what the validators say of an answer put in the
place of a step, which prompts may not be trained on. Judging is remembered per answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from misstep import validate
from misstep.chat import prompt_keys
from misstep.config import MineConfig
from misstep.mine.held import HeldText
from misstep.mine.reference import Reference, references_by_key
from misstep.mine.retry import Retry, retry_of
from misstep.mine.source import Corpus, Template, canonical, tools_of
from misstep.mine.split import Split
from misstep.types import Finding, Message, Prompt, Verdict

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
    _judged: dict[object, tuple[tuple[Finding, ...], Verdict]] = field(
        default_factory=dict, repr=False
    )
    _clean: dict[tuple[str, str], tuple[Accepted, ...]] = field(default_factory=dict, repr=False)
    _later: dict[tuple[str, str], tuple[Accepted, ...]] = field(default_factory=dict, repr=False)

    def part(self, prompt: Prompt) -> str:
        """train, dev or heldout."""
        return self.split.part[prompt.session]

    def family(self, prompt: Prompt) -> str:
        """Family id."""
        return self.split.family[prompt.session]

    def key(self, prompt: Prompt) -> str:
        """Content key of the prompt: equal prompts have equal keys."""
        return self._keys[prompt.session][prompt.step]

    def failed(self) -> tuple[Prompt, ...]:
        """Failed steps outside the held-out part."""
        return tuple(p for p in self.corpus.failed() if self.part(p) != "heldout")

    def same_prompt(self, prompt: Prompt) -> tuple[Prompt, ...]:
        """Steps of the same part with the same prompt, this one among them.

        A prompt without any message is nobody's equal.
        """
        if prompt.step == 0:
            return (prompt,)
        return self._groups[self.part(prompt), self.key(prompt)]

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
        group = self._group(prompt)
        if group not in self._clean:
            passed: dict[str, Accepted] = {}
            for same in self.same_prompt(prompt):
                answer, verdict = self.corpus.answer(same), self.corpus.verdict(same)
                if verdict.state == "pass":
                    passed.setdefault(canonical(answer), Accepted(answer=answer, verdict=verdict))
            best = sorted(passed.items(), key=lambda item: (-_score(item[1]), item[0]))
            self._clean[group] = tuple(accepted for _, accepted in best[:CLEAN])
        return self._clean[group]

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
        return self._heldout.held(self.corpus.messages(prompt), self.key(prompt))

    def _group(self, prompt: Prompt) -> tuple[str, str]:
        return self.part(prompt), self.key(prompt) if prompt.step else prompt.session

    def _retries(self, prompt: Prompt) -> Iterator[Accepted]:
        for same in self.same_prompt(prompt):
            retry = self.retry(same)
            if retry is not None and retry.verdict.state == "pass":
                yield Accepted(
                    answer=retry.chosen,
                    verdict=retry.verdict,
                    edits=retry.edits,
                    retried=(same, retry.step),
                )

    @cached_property
    def _keys(self) -> dict[str, dict[int, str]]:
        return {name: prompt_keys(session) for name, session in self.corpus.sessions.items()}

    @cached_property
    def _groups(self) -> dict[tuple[str, str], tuple[Prompt, ...]]:
        groups: dict[tuple[str, str], list[Prompt]] = defaultdict(list)
        for name in sorted(self._keys):
            for step, key in self._keys[name].items():
                groups[self.split.part[name], key].append(Prompt(session=name, step=step))
        return {key: tuple(found) for key, found in groups.items()}

    @cached_property
    def _heldout(self) -> HeldText:
        return HeldText.of(self.corpus, self.split, self._keys)

    @cached_property
    def _references(self) -> Mapping[tuple[str, str], tuple[Reference, ...]]:
        by_key: dict[tuple[str, str], list[Reference]] = defaultdict(list)
        for reference in self.references:
            by_key[reference.key].append(reference)
        return {key: tuple(found) for key, found in by_key.items()}


def _score(accepted: Accepted) -> float:
    return (accepted.verdict.score if accepted.verdict is not None else None) or 0.0
