"""What a validator is, and the view of one step that it judges.

In: a `Step`: one assistant message with its session, its request and what came back from its
calls. Out: `Finding` values. A validator never raises, never repairs and never looks at anything
but the step and what stands before it (the agent-level ones also at results that came after).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from misstep.codes import CODES
from misstep.config import LimitsConfig
from misstep.types import (
    Cause,
    Channel,
    Context,
    Finding,
    Level,
    Loop,
    Message,
    Session,
    ToolCall,
    ToolSpec,
)
from misstep.validate.once import once
from misstep.validate.strict_json import Parsed, parse
from misstep.validate.transcript import Exchange, Transcript

if TYPE_CHECKING:
    from misstep.validate.custom import Own
    from misstep.validate.policy import Policy

GUESSED = "inferred_schema"
"""Tag of what only an inferred schema says: never more than suspect."""
MAX_EVIDENCE = 300
"""Characters of evidence that a finding keeps."""
REFUSED = frozenset(
    {
        "content_filter",
        "content_filtered",
        "refusal",
        "safety",
        "recitation",
        "prohibited_content",
        "blocklist",
        "spii",
        "image_safety",
        "guardrail_intervened",
    }
)
"""Finish reasons (lower case) by which the provider withholds an answer."""
_REJECTED = re.compile(
    r"tool_use_failed|failed_generation|malformed_?.?function_?.?call|malformed_tool_use"
    r"|invalid sequence as part of tooluse",
    re.I,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user demands beside what the logged requests demanded."""

    response_schema: str | None = None
    """JSON Schema text that every text answer must meet."""
    json: bool = False
    """Expect JSON in every text answer that makes no call."""
    expect_call: Literal["auto", "always"] = "auto"
    own: tuple[Own, ...] = ()
    """The user's own validators (`custom`)."""
    policy: Policy | None = None
    """The user's say on levels; None where there is none."""
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    code: Mapping[str, str] = field(default_factory=dict)
    """By `tool.argument`: the language of the code there."""
    answer_code: str | None = None
    """Language of the code that a text answer must be."""


class Details(TypedDict, total=False):
    """The optional fields of a finding."""

    evidence: str
    level: Level
    call: int | None
    where: str
    span: tuple[int, int] | None
    tags: tuple[str, ...]
    cause: Cause
    loop: Loop | None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One assistant message as a validator sees it; what is derived is derived once."""

    session: Session
    index: int
    """Index of the message in the session."""
    settings: Settings = field(default_factory=Settings)
    transcript: Transcript
    demand_call: bool = False
    """True where an answer without a call is wrong whatever the request said."""

    @once
    def message(self) -> Message:
        """The assistant message."""
        return self.session.messages[self.index]

    @once
    def context(self) -> Context:
        """What the request offered."""
        return self.session.context_of(self.index)

    @once
    def text(self) -> str:
        """The content channel, unstripped."""
        return self.message.text

    @once
    def reasoning(self) -> str:
        """The reasoning channel, unstripped."""
        return self.message.reasoning

    @once
    def calls(self) -> tuple[ToolCall, ...]:
        """The calls in their order."""
        return self.message.calls

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The calls with what came back from them."""
        return self.transcript.exchanges.get(self.index, ())

    @once
    def tools(self) -> dict[str, ToolSpec]:
        """The offered tools by name; tools that were only inferred are not an offer."""
        return self.transcript.offered(self.context)

    @once
    def guessed(self) -> dict[str, ToolSpec]:
        """Tools by name whose schema was only inferred; what breaks it is suspect at most."""
        return self.transcript.guessed(self.context)

    @property
    def complete(self) -> bool:
        """True where all tools on offer are known, so that others were not offered."""
        return bool(self.tools) and all(t.source == "filled" for t in self.guessed.values())

    @once
    def finish(self) -> str:
        """The finish reason in lower case; empty where unknown."""
        return (self.message.finish_reason or "").lower()

    @property
    def withheld(self) -> bool:
        """True where there is no answer to judge: an error body, or a provider's refusal."""
        return self.message.error is not None or self.finish in REFUSED

    @property
    def rejected(self) -> bool:
        """True where the provider could not read the call that the model wrote."""
        said = f"{self.finish} {self.message.error or ''} {self.message.fault or ''}"
        return _REJECTED.search(said) is not None

    @once
    def schema(self) -> str | None:
        """The JSON Schema that the text must meet."""
        return self.context.response_schema or self.settings.response_schema

    @once
    def parsed(self) -> Parsed | None:
        """The text as JSON where JSON was asked for; None where it was not."""
        wanted = self.schema is not None or self.context.json_mode or self.settings.json
        if not wanted or self.calls or self.withheld:
            return None
        return parse(self.text)

    @once
    def arguments(self) -> tuple[Parsed | None, ...]:
        """The arguments of each call as JSON; None for a call whose syntax is not JSON."""
        return tuple(
            parse(c.arguments) if c.syntax == "json" and c.kind == "function" else None
            for c in self.calls
        )

    @once
    def demanded(self) -> str | None:
        """Why a call was demanded (for evidence); None where it was not."""
        choice = self.context.tool_choice
        if self.demand_call:
            return "the prompt demands a call"
        if choice is not None and choice not in ("auto", "none", "any", "required"):
            return f"tool_choice names {choice!r}"
        if choice in ("any", "required"):
            return f"tool_choice is {choice!r}"
        if self.settings.expect_call == "always" and self.tools:
            return "every step must call a tool"
        return None

    def find(self, code: str, channel: Channel, **details: Unpack[Details]) -> Finding:
        """A finding about this step, at the code's usual level unless `details` says another."""
        details["evidence"] = details.get("evidence", "")[:MAX_EVIDENCE]
        details.setdefault("level", CODES[code].level)
        return Finding(
            session=self.session.id, step=self.index, code=code, channel=channel, **details
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Validator:
    """A named check. `judges` says whether it looked at a step and could have failed it."""

    name: str
    codes: tuple[str, ...]
    """Every code that `check` can emit."""
    check: Callable[[Step], Iterable[Finding]]
    judges: Callable[[Step], bool]

    @property
    def offline(self) -> bool:
        """True where replaying one step without its environment can show one of the codes."""
        return any(CODES[code].offline for code in self.codes)

    @property
    def group(self) -> str:
        """The group of codes that it is about: that of its first code."""
        return CODES[self.codes[0]].group
