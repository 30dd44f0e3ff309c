"""Facts of a session: all that mining asks of sessions that it does not pair.

In: a session. Out: a `Fact`, some hundred bytes with a row for each step, made once while the
session is at hand. Its digests stand for texts: equal texts have equal ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from misstep.chat import prompt_keys
from misstep.mine.source import answer_id, short_name
from misstep.mine.split import SHORT, Head, head_of, task_text, user_text
from misstep.mine.voices import voiced
from misstep.types import Session, content_id


class StepFact(msgspec.Struct, frozen=True, array_like=True):
    """One step of the session's own; the digests are of 64 bits."""

    step: int
    key: int
    """Of the prompt and what the request offered (`chat.prompt_keys`)."""
    bare: int
    """Of the prompt alone."""
    answer: int
    """`source.answer_id`: of the prompt and the answer."""


class Fact(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a session without opening it."""

    head: Head
    steps: list[StepFact]
    tasks: list[int]
    """Digests of the texts by which a held-out session is known again (`text_digest`)."""
    models: dict[str, int]
    """Steps by the short name of the model that wrote them, where logged."""
    voiced: bool = False
    """Whether a human's word in it may sign a pair (`voices`)."""


def fact_of(session: Session) -> Fact:
    """The facts of one session."""
    keys, bare = prompt_keys(session), prompt_keys(session, request=False)
    messages = session.messages
    models = Counter(
        short_name(model) for step in keys if (model := messages[step].model) is not None
    )
    return Fact(
        head=head_of(session),
        steps=[
            StepFact(
                step, int(key, 16), int(bare[step], 16), int(answer_id(key, messages[step]), 16)
            )
            for step, key in keys.items()
        ],
        tasks=[text_digest(text) for text in _tasks(session) if len(text) >= SHORT],
        models=dict(models),
        voiced=voiced(session),
    )


def text_digest(text: str) -> int:
    """64 bits that stand for a text."""
    return int(content_id(text), 16)


def _tasks(session: Session) -> Iterator[str]:
    """The task text, and its last message alone where it is made of several."""
    users = []
    for message in session.messages:
        if message.role == "assistant":
            break
        if message.role == "user":
            users.append(user_text(message))
    if users:
        yield from {task_text(session), users[-1]}
