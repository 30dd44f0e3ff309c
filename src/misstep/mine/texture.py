"""Gate rules about the text of the sides: equal, lopsided, redacted, secret, control tokens.

In: the desk and a draft. Out of each rule: a sentence that says what is wrong, or None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from misstep.mine.desk import Desk
from misstep.mine.draft import Draft
from misstep.mine.source import canonical, texts_of
from misstep.redact import has_placeholder, has_secret
from misstep.types import Message

_SHORT = 40
"""Characters added to both lengths before they are compared: short answers differ by chance."""
_CONTROL = re.compile(
    r"<\|(?:im_(?:start|end|sep)|endoftext|e[om][tm]_id|(?:start|end)_header_id|begin_of_text"
    r"|end_of_text|start|end|channel|message|call|return|user|assistant|system|tool)\|>"
    r"|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>"
)
"""Spellings that the chat templates in wide use are made of; for a run without a tokenizer."""


def same_sides(desk: Desk, d: Draft) -> str | None:
    """Before the chat template, and after it where the model is known."""
    chosen, rejected = d.candidate.chosen, d.trimmed.answer
    if canonical(chosen) == canonical(rejected):
        return "both sides say the same"
    if desk.template is not None and desk.template.answer_ids(
        chosen, end=False
    ) == desk.template.answer_ids(rejected, end=False):
        return "both sides are the same tokens in the chat template"
    return None


def lopsided(desk: Desk, d: Draft) -> str | None:
    """Sides so unequal in length that the pair teaches length; an empty side has none."""
    chosen, rejected = len(canonical(d.candidate.chosen)), len(canonical(d.trimmed.answer))
    if not rejected or not chosen:
        return None
    least, most = desk.config.length_ratio
    ratio = (chosen + _SHORT) / (rejected + _SHORT)
    if least <= ratio <= most:
        return None
    return (
        f"the chosen side has {chosen} characters, the rejected {rejected}: a ratio of {ratio:.2g} "
        f"(with {_SHORT} added to both) is outside {least:g} to {most:g}"
    )


def placeholder(desk: Desk, d: Draft) -> str | None:
    """The mark of somebody's redaction."""
    if any(map(has_placeholder, texts_of(d.candidate.chosen))):
        return "the chosen side holds the mark of a redaction"
    return None


def secret(desk: Desk, d: Draft) -> str | None:
    """What a redaction would take out."""
    if any(map(has_secret, texts_of(d.candidate.chosen))):
        return "the chosen side holds a secret"
    return None


def control_token(desk: Desk, d: Draft) -> str | None:
    """A control token of the model's chat spelled in the chosen side or in the prompt.

    misstep's own training makes no control token of it, other trainers do. On the rejected side
    such a spelling is the fault itself.
    """
    told = next(filter(None, (control_in(desk, t) for t in texts_of(d.candidate.chosen))), None)
    if told is not None:
        return f"the chosen side spells the control token {told}"
    found = _first_in_session(desk, d.candidate.prompt.session)
    if found is not None and found[0] < d.candidate.prompt.step:
        return f"message {found[0]} of the prompt spells the control token {found[1]}"
    return None


def control_in(desk: Desk, text: str) -> str | None:
    """The first control token that a text spells: the tokenizer's, or any of those in wide use."""
    if "<" not in text and "[" not in text and desk.template is None:
        return None  # true of most texts, and quicker than the pattern
    if desk.template is not None:
        return desk.template.control_in(text)
    found = _CONTROL.search(text)
    return found.group() if found else None


def _first_in_session(desk: Desk, name: str) -> tuple[int, str] | None:
    """Index of the first message of a session that spells a control token, and the token."""
    key = ("control", name)
    if key not in desk.memo:
        messages = enumerate(desk.corpus.sessions[name].messages)
        spelled = ((at, control_in(desk, text)) for at, m in messages for text in _texts(m))
        desk.memo[key] = next(((at, token) for at, token in spelled if token), None)
    found: tuple[int, str] | None = desk.memo[key]
    return found


def _texts(message: Message) -> Iterator[str]:
    yield from texts_of(message)
    yield from (result.text for result in message.results)
