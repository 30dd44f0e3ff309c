"""What a validator is, and the view of one step that it judges.

In: a `Step`: one assistant message with its session, its request and what came back from its
calls. Out: `Finding` values. A validator never raises, never repairs and never looks at anything
but the step and what stands before it (the agent-level ones also at results that came after).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from misstep.codes import CODES
from misstep.config import LimitsConfig
from misstep.redact import clip
from misstep.types import (
    Cause,
    Channel,
    Finding,
    Level,
    Loop,
    Session,
)
from misstep.validate.once import once
from misstep.validate.strict_json import Parsed, parse
from misstep.validate.transcript import Exchange, Transcript

if TYPE_CHECKING:
    from misstep.validate.custom import Own
    from misstep.validate.policy import Policy
    from misstep.validate.schema import Reading

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
USUAL = frozenset(
    {"", "stop", "tool_calls", "tool_use", "end_turn", "function_call", "stop_sequence", "length"}
)
"""Finish reasons (lower case) of answers and calls that somebody could use."""
_BEGINS = '{["-0123456789'
"""What a JSON text may begin with, words left out."""
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
    reading: Reading | None = None
    """How schemas are read; None where the user changed nothing about it."""
    json: bool = False
    """Expect JSON in every text answer that makes no call."""
    expect_call: Literal["auto", "always"] = "auto"
    own: tuple[Own, ...] = ()
    """The user's own validators (`custom`)."""
    time_limit: float = 0.0
    """Seconds that one of them has for one question; 0 is no limit."""
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


_DEFAULT = Settings()


class Step:
    """One assistant message as a validator sees it; nobody changes it.

    What every validator asks for is set here, the rest is derived when first asked for.
    """

    def __init__(
        self,
        *,
        session: Session,
        index: int,
        transcript: Transcript,
        settings: Settings = _DEFAULT,
        demand_call: bool = False,
    ) -> None:
        message, said = session.messages[index], transcript.said[index]
        self.session = session
        self.index = index
        """Index of the message in the session."""
        self.transcript = transcript
        self.settings = settings
        self.demand_call = demand_call
        """True where an answer without a call is wrong whatever the request said."""
        self.message = message
        """The assistant message."""
        self.text = said.text
        """The content channel, unstripped."""
        self.reasoning = said.reasoning
        """The reasoning channel, unstripped."""
        self.calls = said.calls
        """The calls in their order."""
        self.finish = (message.finish_reason or "").lower()
        """The finish reason in lower case; empty where unknown."""
        self.context = session.context_of(index)
        """What the request offered."""
        self.offer = transcript.offer(self.context)
        """The same by the names of the tools."""
        self.tools = self.offer.tools
        """The offered tools by name; tools that were only inferred are not an offer."""
        self.guessed = self.offer.guessed
        """Tools by name whose schema was only inferred; what breaks it is suspect at most."""

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The calls with what came back from them."""
        return self.transcript.exchanges.get(self.index, ())

    @property
    def complete(self) -> bool:
        """True where all tools on offer are known, so that others were not offered."""
        return self.offer.complete

    @property
    def withheld(self) -> bool:
        """True where there is no answer to judge: an error body, or a provider's refusal."""
        return self.message.error is not None or self.finish in REFUSED

    @once
    def rejected(self) -> bool:
        """True where the provider could not read the call that the model wrote."""
        message = self.message
        if self.finish in USUAL and message.error is None and message.fault is None:
            return False
        said = f"{self.finish} {message.error or ''} {message.fault or ''}"
        return _REJECTED.search(said) is not None

    @once
    def schema(self) -> str | None:
        """The JSON Schema that the text must meet."""
        return self.context.response_schema or self.settings.response_schema

    @once
    def parsed(self) -> Parsed | None:
        """The text as JSON where JSON was asked for; None where it was not."""
        if not self._wants_json or self.calls or self.withheld or self.misbegun:
            return None
        return parse(self.text)

    @property
    def _wants_json(self) -> bool:
        return self.schema is not None or self.context.json_mode or self.settings.json

    @property
    def prefilled(self) -> int:
        """Characters at the head of the text that the caller wrote."""
        told = self.message.prefilled
        return told if isinstance(told, int) else 0

    @property
    def misbegun(self) -> bool:
        """True where JSON was asked for and the caller began the answer with something else: a
        fence or prose, that the caller will take away again, so that the whole is not JSON."""
        head = self.text[: self.prefilled].lstrip()
        return head != "" and head[0] not in _BEGINS and self._wants_json and not self.calls

    @once
    def arguments(self) -> tuple[Parsed | None, ...]:
        """The arguments of each call as JSON; None for a call whose syntax is not JSON."""
        return tuple(
            [
                made.parsed if made.call.syntax == "json" and made.call.kind == "function" else None
                for made in self.exchanges
            ]
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
        """A finding about this step, at the code's usual level unless `details` says another.

        Its evidence is redacted here, and cut after that; a caller that quotes a piece of a longer
        text takes the piece with `redact.cut` or `redact.clip`.
        """
        evidence = details.get("evidence", "")
        details["evidence"] = clip(evidence, MAX_EVIDENCE) if evidence else ""
        details.setdefault("level", CODES[code].level)
        return Finding(
            session=self.session.id, step=self.index, code=code, channel=channel, **details
        )


def never(step: Step) -> bool:
    """Judges no step to be clean: for checks that only tell what is wrong."""
    return False


Need = Literal["call", "json", "trouble", "demand"]
"""What a step must have for a validator to be asked: a call; JSON that was asked for and no call;
an error, a fault, a cut or an unusual finish reason; a request that demands a call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validator:
    """A named check. `judges` says whether it looked at a step and could have failed it.

    `needs` and `scan` spare the calls that can come to nothing: what they leave out must be found
    by nobody (`tests/validate/test_properties.py`).
    """

    name: str
    codes: tuple[str, ...]
    """Every code that `check` can emit."""
    check: Callable[[Step], Iterable[Finding]]
    judges: Callable[[Step], bool] = never
    needs: frozenset[Need] | None = None
    """`check` and `judges` are only asked about steps with one of these; None: about each."""
    scan: Callable[[Transcript], Collection[int]] | None = None
    """All steps of a session that `check` and `judges` may speak of; None: unknown."""

    @property
    def offline(self) -> bool:
        """True where replaying one step without its environment can show one of the codes."""
        return any(CODES[code].offline for code in self.codes)

    @property
    def group(self) -> str:
        """The group of codes that it is about: that of its first code."""
        return CODES[self.codes[0]].group
