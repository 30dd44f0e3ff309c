"""Accepted steps: what supervised fine-tuning may imitate.

In: a corpus, a split, the terms. Out: prompts of the families of one part whose logged answer
passed, or to which the user gave a reference. A reference that says something else takes the place
of the logged answer, be it one that passed, failed or could not be judged. Left out: prompts that
hold held-out text or cannot stand in a row, answers with a secret or the mark of a redaction,
sessions that failed their task; and, counted, logged answers that contradict a reference which
cannot stand in for them, and pages whose gold redaction would change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from misstep import validate
from misstep.config import MineConfig
from misstep.mine.feedback import of_step
from misstep.mine.gold import KEEPS, page_gold, redaction_changes, references_of, says_the_same
from misstep.mine.held import HeldText
from misstep.mine.index import Index, in_turn, index_of
from misstep.mine.reference import Reference
from misstep.mine.source import Corpus, answer_id, texts_of
from misstep.mine.split import Split
from misstep.redact import has_placeholder, has_secret
from misstep.types import Message, Prompt, content_id

CONTRADICTS = "the logged answer contradicts its reference, which itself cannot be used"
REDACTED = f"redaction would change the gold of the page; {KEEPS}"
_ANY = ("pass", "fail", "unjudged")
References = Mapping[tuple[str, str], tuple[Reference, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a step must meet."""

    feedback: bool = True
    """Sessions that failed their task by the log's own word give none of their answers, nor do
    calls that a human turned down."""
    references: References = field(default_factory=dict)
    """The user's gold answers, as `by_key` has them."""
    settings: validate.Settings | None = None
    """Of the validators that references are held against; None: references replace nothing."""
    redact: bool = False
    """Whether the rows are redacted."""

    @classmethod
    def of(
        cls, config: MineConfig, references: References, settings: validate.Settings | None = None
    ) -> Terms:
        """The terms that settings of mining set."""
        return cls(
            feedback=config.feedback,
            references=references,
            settings=settings,
            redact=config.redact,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """Steps to imitate."""

    prompts: tuple[Prompt, ...]
    golds: Mapping[Prompt, Message]
    """References that take the place of the logged answer."""
    left_out: Mapping[str, int]
    """Steps that gold keeps out, by reason, of those that were looked at."""


def accepted_steps(
    corpus: Corpus,
    split: Split,
    max_rows: int,
    seed: int,
    *,
    part: str = "train",
    terms: Terms = Terms(),
) -> tuple[Prompt, ...]:
    """Steps whose logged answer is accepted, drawn evenly over the families.

    At most `max_rows`, or all where that is not above 0. Families take turns, in an order that
    depends on the seed and not on the logs' order; an equal answer to an equal prompt counts once.
    Retries are accepted steps like any other. Answers that contradict a reference give none.
    """
    index = index_of(corpus)
    rows = list(index.in_state("pass"))
    picker = _Picker(corpus, index, terms, HeldText.of(index, split))
    return picker.picked(_families(index, split, rows, part), max_rows, seed).prompts


def taught(corpus: Corpus, split: Split, max_rows: int, seed: int, terms: Terms) -> Taught:
    """The same of the train part, references in the place of what they contradict."""
    index = index_of(corpus)
    states = _ANY if terms.references and terms.settings is not None else _ANY[:1]
    rows = [row for state in states for row in index.in_state(state)]
    picker = _Picker(corpus, index, terms, HeldText.of(index, split), replacing=len(states) > 1)
    return picker.picked(_families(index, split, rows, "train"), max_rows, seed)


def _families(index: Index, split: Split, rows: list[int], part: str) -> dict[str, list[int]]:
    families: dict[str, list[int]] = {}
    for row in rows:
        name = index.session(row)
        if split.part[name] == part:
            families.setdefault(split.family[name], []).append(row)
    return families


class _Picker:
    """Goes through the steps of a corpus under its terms."""

    def __init__(
        self, corpus: Corpus, index: Index, terms: Terms, held: HeldText, *, replacing: bool = False
    ) -> None:
        self._corpus = corpus
        self._index = index
        self._terms = terms
        self._held = held
        self._replacing = replacing
        self._left: Counter[str] = Counter()

    def picked(self, families: Mapping[str, list[int]], max_rows: int, seed: int) -> Taught:
        """Steps of these rows, family by family in turn."""
        index, found, golds = self._index, dict[str, Prompt](), dict[Prompt, Message]()
        order = partial(_order, index, seed)
        for row in in_turn(families, seed, order):
            if 0 < max_rows <= len(found):
                break
            prompt = index.prompt(row)
            messages = self._corpus.messages(prompt)
            if self._held.held(messages, index.key(row)) or self._corpus.unfit(prompt) is not None:
                continue
            logged, gold = self._answers(prompt, row)
            answer = logged if gold is None else gold
            if answer is None or not _clean(answer):
                continue
            name = index.answer(row) if gold is None else answer_id(index.key(row), gold)
            if name not in found:
                found[name] = prompt
                if gold is not None:
                    golds[prompt] = gold
        return Taught(prompts=tuple(found.values()), golds=golds, left_out=dict(self._left))

    def _answers(self, prompt: Prompt, row: int) -> tuple[Message | None, Message | None]:
        """What is imitated at a step: the logged answer, a reference, or neither."""
        corpus, terms = self._corpus, self._terms
        given = references_of(terms.references, corpus, prompt)
        said = self._index.said(row)
        passed = said is not None and said.state == "pass"
        if terms.redact and (passed or given):
            gold = page_gold(corpus, prompt, given)
            if gold and redaction_changes(corpus.sessions[prompt.session], gold):
                self._left[REDACTED] += 1
                return None, None
        if not given or (passed and says_the_same(corpus.answer(prompt), given)):
            return (corpus.answer(prompt) if passed and self._stands(prompt) else None), None
        if self._replacing and self._sound(prompt, given[0].answer):
            return None, given[0].answer
        self._left[CONTRADICTS] += passed
        return None, None

    def _stands(self, prompt: Prompt) -> bool:
        """Whether the log's feedback has nothing against the logged answer."""
        if not self._terms.feedback:
            return True
        return of_step(self._corpus.sessions[prompt.session], prompt.step).sign >= 0

    def _sound(self, prompt: Prompt, gold: Message) -> bool:
        """Whether no validator fails a reference at its step, and it may stand in a row."""
        session, settings = self._corpus.sessions[prompt.session], self._terms.settings
        if settings is None or not _clean(gold):
            return False
        return validate.judge(session, prompt.step, gold, settings=settings)[1].state != "fail"


def _order(index: Index, seed: int, row: int) -> str:
    return content_id(index.answer(row), str(seed))


def _clean(answer: Message) -> bool:
    return not any(has_secret(text) or has_placeholder(text) for text in texts_of(answer))
