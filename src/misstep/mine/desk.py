"""The desk a miner works at: the corpus without its held-out part, with every look-up done once.

In: what `mine` is given. Out: answers to the questions that sources and gate share: which steps
have the same prompt, what the log accepted there, what the validators say of an answer put in the
place of a step, which prompts may not be trained on. Judging is remembered per answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
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
    _judged: dict[tuple[Prompt, str, bool], tuple[tuple[Finding, ...], Verdict]] = field(
        default_factory=dict, repr=False
    )
    _accepted: dict[Prompt, tuple[Accepted, ...]] = field(default_factory=dict, repr=False)

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
        """Steps of the same part with the same prompt, this one among them."""
        return self._groups[self.part(prompt), self.key(prompt)]

    def judge(
        self, prompt: Prompt, answer: Message, *, demand_call: bool = False
    ) -> tuple[tuple[Finding, ...], Verdict]:
        """What the validators say of `answer` in the place of the step."""
        finish = f"{answer.finish_reason}\x1d{answer.end}\x1d{answer.reasoning}"
        key = (prompt, f"{canonical(answer)}\x1d{finish}", demand_call)
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
        if prompt not in self._accepted:
            self._accepted[prompt] = self._gold(prompt) or (
                *self._passed(prompt),
                *self._later(prompt),
            )
        return self._accepted[prompt]

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

    def _gold(self, prompt: Prompt) -> tuple[Accepted, ...]:
        return tuple(
            Accepted(answer=reference.answer, verdict=None)
            for reference in self.references_for(prompt)
        )

    def _passed(self, prompt: Prompt) -> tuple[Accepted, ...]:
        same = ((p, self.corpus.verdict(p)) for p in self.same_prompt(prompt))
        return tuple(
            Accepted(answer=self.corpus.answer(p), verdict=verdict)
            for p, verdict in same
            if verdict.state == "pass"
        )

    def _later(self, prompt: Prompt) -> tuple[Accepted, ...]:
        retries = ((p, self.retry(p)) for p in self.same_prompt(prompt))
        return tuple(
            Accepted(
                answer=retry.chosen,
                verdict=retry.verdict,
                edits=retry.edits,
                retried=(p, retry.step),
            )
            for p, retry in retries
            if retry is not None and retry.verdict.state == "pass"
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
