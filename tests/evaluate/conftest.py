"""Small corpora built on the spot: one tool, one question a family, judged by the validators."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from misstep import validate
from misstep.chat import prompt_keys
from misstep.config import ValidateConfig
from misstep.types import (
    Context,
    Message,
    Part,
    Session,
    ToolCall,
    ToolSpec,
    Verdict,
)

ADD = ToolSpec(
    name="add",
    parameters='{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"],'
    ' "additionalProperties": false}',
)
OFFER = Context(tools=(ADD, ToolSpec(name="stop", parameters='{"type": "object"}')))


@dataclass
class Corpus:
    """The two mappings that `evaluate` reads, and the split beside them."""

    sessions: dict[str, Session] = field(default_factory=dict)
    verdicts: dict[tuple[str, int], Verdict] = field(default_factory=dict)
    part: dict[str, str] = field(default_factory=dict)
    family: dict[str, str] = field(default_factory=dict)

    def bare_keys(self, session):
        return prompt_keys(self.sessions[session], request=False)

    def add(self, session: Session, *, family: str, part: str = "heldout") -> Session:
        judged = validate.validate(session, validate.settings(ValidateConfig()))
        self.sessions[session.id] = session
        self.verdicts.update({(v.session, v.step): v for v in judged.verdicts})
        self.part[session.id] = part
        self.family[session.id] = family
        return session


@dataclass(frozen=True)
class Make:
    """Builders of messages and sessions."""

    offer: Context = OFFER

    def user(self, text: str) -> Message:
        return Message(role="user", parts=(Part(kind="text", text=text),))

    def says(self, text: str) -> Message:
        return Message(role="assistant", parts=(Part(kind="text", text=text),), context=0)

    def calls(self, arguments: str = '{"n": 1}', name: str = "add") -> Message:
        call = ToolCall(name=name, arguments=arguments)
        return Message(role="assistant", parts=(Part(kind="call", call=call),), context=0)

    def session(self, name: str, *messages: Message, context: Context | None = None) -> Session:
        return Session(id=name, format="test", messages=messages, contexts=(context or self.offer,))


@pytest.fixture
def make() -> Make:
    return Make()


@pytest.fixture
def corpus() -> Corpus:
    return Corpus()


@pytest.fixture
def settings() -> validate.Settings:
    return validate.settings(ValidateConfig())
