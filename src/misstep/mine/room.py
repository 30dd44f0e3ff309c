"""Gate rules about length in tokens, for a model that is known: do prompt and sides fit?

In: the desk and a draft. Out of each rule: a sentence that says what is wrong, or None. Without a
template or a budget nothing is said; training asks again at its own door.
"""

from __future__ import annotations

from dataclasses import dataclass

from misstep.errors import ModelError
from misstep.mine.desk import Desk
from misstep.mine.draft import Draft
from misstep.models.budget import fitted, lost
from misstep.redact import clip
from misstep.types import Message, Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fitted:
    """A prompt as the model will meet it."""

    messages: tuple[Message, ...] | None
    tokens: int = 0
    said: str = ""


def prompt_long(desk: Desk, d: Draft) -> str | None:
    """The prompt alone fills the budget, or the chat template refuses it."""
    got = _fitted(desk, d.candidate.prompt)
    return got.said if got is not None and got.messages is None else None


def chosen_long(desk: Desk, d: Draft) -> str | None:
    """The chosen side does not fit behind its prompt: its end could not be learned."""
    return _over(desk, d.candidate.prompt, d.candidate.chosen, name="chosen", end=True)


def rejected_long(desk: Desk, d: Draft) -> str | None:
    """The rejected side does not fit, even trimmed."""
    answer, end = d.trimmed.answer, not d.trimmed.cut
    return _over(desk, d.candidate.prompt, answer, name="rejected", end=end)


def lost_value(desk: Desk, d: Draft) -> str | None:
    """The chosen side rests on a turn that was left out to make the prompt fit."""
    got = _fitted(desk, d.candidate.prompt)
    if got is None or got.messages is None:
        return None
    value = lost(d.candidate.chosen, desk.corpus.messages(d.candidate.prompt), got.messages)
    if value is None:
        return None
    return f"the value {clip(value, 60)!r} stands only in the turns that had to be left out"


def _over(desk: Desk, prompt: Prompt, answer: Message, *, name: str, end: bool) -> str | None:
    got = _fitted(desk, prompt)
    if got is None or desk.template is None or desk.budget is None:
        return None
    size, most = len(desk.template.answer_ids(answer, end=end)), desk.budget.max_length
    if got.tokens + size <= most:
        return None
    return f"the {name} side takes {size} tokens behind a prompt of {got.tokens}; {most} fit"


def _fitted(desk: Desk, prompt: Prompt) -> _Fitted | None:
    if desk.template is None or desk.budget is None:
        return None
    key = ("fitted", prompt)
    if key not in desk.memo:
        desk.memo[key] = _fit(desk, prompt)
    got: _Fitted = desk.memo[key]
    return got


def _fit(desk: Desk, prompt: Prompt) -> _Fitted | None:
    template, budget = desk.template, desk.budget
    if template is None or budget is None:
        return None
    messages, context = desk.corpus.messages(prompt), desk.corpus.context(prompt)
    try:
        kept = fitted(template, messages, context, budget=budget)
        if kept is None:
            said = f"the prompt takes more than {budget.max_prompt} tokens even without its middle"
            return _Fitted(messages=None, said=said)
        tokens = len(template.prompt_ids(kept, context))
    except ModelError as error:
        return _Fitted(messages=None, said=str(error))
    if tokens >= budget.max_length:
        said = f"the prompt takes {tokens} tokens; {budget.max_length} fit with the answer"
        return _Fitted(messages=None, said=said)
    return _Fitted(messages=kept, tokens=tokens)
