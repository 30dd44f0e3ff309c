"""The nouns: frozen values that walk from room to room.

Nothing here reads a file, calls a model or imports another module of misstep.
Every value is a keyword-only frozen `msgspec.Struct` (made in a thirtieth of the time that a frozen
dataclass takes), holds tuples rather than lists, and survives ``store.encode`` and ``store.decode``
unchanged. The functions of `dataclasses` (`replace`, `fields`, `asdict`) take them as dataclasses.
Text that a model wrote is kept byte for byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import Field, make_dataclass
from functools import cache
from typing import Any, ClassVar, Literal

import msgspec
from msgspec.structs import replace

Role = Literal["system", "user", "assistant", "tool"]
Actor = Literal["agent", "sub-agent", "simulated-user", "human", "harness"]
Level = Literal["defect", "suspect", "info"]
Channel = Literal["content", "reasoning", "arguments", "transcript"]
Cause = Literal["model", "tool", "infrastructure", "human", "knock-on", "unknown"]
State = Literal["pass", "fail", "unjudged"]


class _Fields:
    """What `dataclasses` wants to know of a noun, found out when it asks."""

    def __get__(self, _: object, owner: type[msgspec.Struct]) -> dict[str, Field[Any]]:
        return _fields_of(owner)


@cache
def _fields_of(noun: type[msgspec.Struct]) -> dict[str, Field[Any]]:
    twin: Any = make_dataclass(noun.__name__, noun.__struct_fields__)
    return dict(twin.__dataclass_fields__)


class Noun(msgspec.Struct, frozen=True, gc=False):
    """A frozen value."""

    __dataclass_fields__: ClassVar[Any] = _Fields()


class Origin(Noun, frozen=True, kw_only=True, gc=False):
    """The place in the logs that something was read from."""

    file: str
    """Path as the user gave it, or below the folder that the user gave."""
    format: str
    """Name of the log format that read it."""
    line: int | None = None
    """1-based line number."""
    offset: int | None = None
    """Byte offset of the record in the decompressed file."""
    member: str | None = None
    """Name inside an archive."""
    row: str | None = None
    """Row, span or message id that the format itself gives."""
    pointer: str | None = None
    """JSON pointer inside the record."""


class ToolSpec(Noun, frozen=True, kw_only=True, gc=False):
    """One tool that a request offered."""

    name: str
    description: str | None = None
    parameters: str | None = None
    """JSON Schema of the arguments as JSON text; None where the log keeps no schema."""
    source: Literal["logged", "given", "inferred", "filled"] = "logged"
    """`inferred`: from accepted calls, no offer; `filled`: a known tool with such a schema."""
    strict: bool | None = None
    """The provider's strict flag, where logged."""
    contract: str | None = None
    """What the tool promises beside its arguments, as JSON text; its keys: `contracts`."""


class ToolCall(Noun, frozen=True, kw_only=True, gc=False):
    """One call that an assistant message makes."""

    name: str
    arguments: str
    """The argument text exactly as the model wrote it, valid JSON or not."""
    index: int = 0
    """0-based position among the calls of its message."""
    id: str | None = None
    kind: Literal["function", "custom", "hosted"] = "function"
    syntax: Literal["json", "code", "text"] = "json"
    verbatim: bool = True
    """False where the log kept only a parsed object, so the argument text is our rendering."""
    fault: str | None = None
    """What the harness said when it could not read this call (a parse error that it logged)."""


class ToolResult(Noun, frozen=True, kw_only=True, gc=False):
    """What came back from one call."""

    text: str
    call_id: str | None = None
    name: str | None = None
    is_error: bool | None = None
    """The log's own flag; None where the format has no flag."""
    hint: str | None = None
    """What the format says about the cause of an error (for example a denial), verbatim."""
    cause: Cause | None = None
    """Who caused the error, where the format says so in a field; None leaves it to the text."""
    exit_code: int | None = None
    """Exit status of a command, where logged in a field of its own."""


class Part(Noun, frozen=True, kw_only=True, gc=False):
    """One piece of a message; exactly one of the fields that `kind` names is set."""

    kind: Literal["text", "reasoning", "image", "call", "result"]
    text: str | None = None
    """For text and reasoning: the text. For an image: its path, URL or content hash."""
    call: ToolCall | None = None
    result: ToolResult | None = None


class Usage(Noun, frozen=True, kw_only=True, gc=False):
    """Token counts as logged."""

    input_tokens: int | None = None
    output_tokens: int | None = None


class Message(Noun, frozen=True, kw_only=True, gc=False):
    """One message; its parts keep the order in which text, calls and results interleave."""

    role: Role
    parts: tuple[Part, ...] = ()
    actor: Actor | None = None
    context: int | None = None
    """For an assistant message: index into `Session.contexts` of what its request offered."""
    finish_reason: str | None = None
    """The provider's word, verbatim."""
    end: Literal["complete", "cut"] = "complete"
    """`cut` where a stream broke off before its end."""
    error: str | None = None
    """Text of an error body that stands in place of, or beside, the answer."""
    fault: str | None = None
    """What the harness said when it could not use this answer (a format error): the model's."""
    model: str | None = None
    usage: Usage | None = None
    time: float | None = None
    """Unix seconds."""
    origins: tuple[Origin, ...] = ()
    prefilled: int | msgspec.UnsetType = msgspec.UNSET
    """Characters at the head of `text` that the caller wrote, not the model. Unset if none."""

    @property
    def text(self) -> str:
        """All text parts joined without a separator."""
        return "".join(p.text or "" for p in self.parts if p.kind == "text")

    @property
    def reasoning(self) -> str:
        """All reasoning parts joined without a separator."""
        return "".join(p.text or "" for p in self.parts if p.kind == "reasoning")

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The calls in their order."""
        return tuple(p.call for p in self.parts if p.call is not None)

    @property
    def results(self) -> tuple[ToolResult, ...]:
        """The tool results in their order."""
        return tuple(p.result for p in self.parts if p.result is not None)


class Context(Noun, frozen=True, kw_only=True, gc=False):
    """What one request offered beside its messages."""

    tools: tuple[ToolSpec, ...] = ()
    response_schema: str | None = None
    """JSON Schema that the answer's text must meet, as JSON text."""
    json_mode: bool = False
    """True where the request asked for JSON without a schema."""
    tool_choice: str | None = None
    """`auto`, `none`, `required`, or the name of the one tool that must be called."""
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    promises: tuple[ToolSpec, ...] | msgspec.UnsetType = msgspec.UNSET
    """No offer, no part of a prompt: only their contracts are known. Unset if none: `promised`."""

    @property
    def promised(self) -> tuple[ToolSpec, ...]:
        """The tools of `promises`."""
        return () if self.promises is msgspec.UNSET else self.promises


NOTHING = Context()
"""What is known of a request that stands in no log."""


class Outcome(Noun, frozen=True, kw_only=True, gc=False):
    """How the whole session ended, where the log says so."""

    reward: float | None = None
    resolved: bool | None = None
    thumbs: Literal["up", "down"] | None = None
    limit: str | None = None
    """The cap of the harness that stopped the session, in the log's own word."""


class Session(Noun, frozen=True, kw_only=True, gc=False):
    """One linear conversation. Each assistant message is a step; its prompt is all before it."""

    id: str
    """Content hash (`session_id`)."""
    format: str
    messages: tuple[Message, ...]
    contexts: tuple[Context, ...] = ()
    parent: str | None = None
    """Id of the session that this one forks from, or that started it as a sub-agent."""
    prefix: int = 0
    """Number of leading messages shared with the parent; their steps are counted there."""
    outcome: Outcome | None = None
    copies: int = 1
    """How often the same conversation stood in the logs."""
    family: str = ""
    """What must not be split between training and held-out; empty until known."""

    @property
    def steps(self) -> Iterator[int]:
        """Message indices of this session's own steps (those of the parent left out)."""
        said = enumerate(self.messages)
        return (i for i, m in said if i >= self.prefix and m.role == "assistant")

    def context_of(self, step: int) -> Context:
        """What the request of `step` offered; an empty context where nothing is known."""
        at = self.messages[step].context
        return NOTHING if at is None else self.contexts[at]

    def replayed(self, step: int, answer: Message) -> Session:
        """The session up to `step` with `answer` in its place, under the same request."""
        at = self.messages[step].context
        taken = replace(answer, role="assistant", context=at)
        return replace(self, messages=(*self.messages[:step], taken))


class Loop(Noun, frozen=True, kw_only=True, gc=False):
    """The repeated stretch behind a loop finding; character offsets into the channel's text."""

    onset: int
    """Offset at which the first period starts."""
    period: int
    """Length of one period in characters (agent loops: in steps; element loops: in elements)."""
    count: float
    """Number of periods, fractions included."""
    share: float
    """Repeated part of the whole text, in [0, 1]."""
    unit: str
    """The first 200 characters of one period."""


class Finding(Noun, frozen=True, kw_only=True, gc=False):
    """One thing that one validator says about one step. An error is a value."""

    session: str
    step: int
    """Index of the assistant message in `Session.messages`."""
    code: str
    """A name from `codes.CODES`."""
    level: Level
    channel: Channel
    call: int | None = None
    """Index of the tool call in its message."""
    where: str = ""
    """JSON pointer into the parsed text of the channel."""
    span: tuple[int, int] | None = None
    """Start and end character offset in the text of the channel."""
    evidence: str = ""
    """A short sentence with what was expected and what was got; at most 300 characters."""
    tags: tuple[str, ...] = ()
    """Subclasses such as `coercible`, `double_encoded`, `case_variant`."""
    cause: Cause = "model"
    """Who is to blame; only `model` ever trains."""
    loop: Loop | None = None
    version: int = 1
    """Version of the detector."""


class Verdict(Noun, frozen=True, kw_only=True, gc=False):
    """What all validators together say about one step."""

    session: str
    step: int
    state: State
    why: str = ""
    """For an unjudged step: the reason."""
    score: float | None = None
    """In [0, 1]; None where unjudged."""
    judges: tuple[str, ...] = ()
    """Validators that could have failed the step and looked at it."""
    codes: tuple[str, ...] = ()
    """Codes of the defects that the model caused, sorted, each once."""
    scores: tuple[tuple[str, float], ...] = ()
    """(group of codes, score in [0, 1]), sorted, for each group that was looked at."""


class Prompt(Noun, frozen=True, kw_only=True, gc=False):
    """A prompt by reference: the messages of `session` before `step`."""

    session: str
    step: int


class Mark(Noun, frozen=True, kw_only=True, gc=False):
    """Where a side of a pair fails, or the same place on the side that does not."""

    side: Literal["chosen", "rejected"]
    code: str
    channel: Literal["content", "arguments", "name"]
    span: tuple[int, int]
    """Start and end character offset in the text of the channel."""
    call: int | None = None
    """Position of the call among those of its message; None for content."""
    again: tuple[int, int] | None = None
    """Of a loop: span of the period that is the first to repeat another."""


class Pair(Noun, frozen=True, kw_only=True, gc=False):
    """One preference: two answers to one prompt. One prompt field, so both sides share it."""

    id: str
    prompt: Prompt
    chosen: Message
    rejected: Message
    source: str
    """Name of the chosen-source."""
    margin: float
    """Score of chosen minus score of rejected."""
    codes: tuple[str, ...]
    """What the rejected side failed by."""
    marks: tuple[Mark, ...] = ()
    """Where the sides fail, as far as the findings say it."""
    edits: tuple[str, ...] = ()
    """What was changed on a side before pairing (for example `trim`)."""
    feedback: tuple[str, ...] = ()
    """How rewards, thumbs and humans' words in the log were used for this pair."""
    cut: bool = False
    """True where the rejected side carries no end-of-turn, because it never emitted one."""
    family: str = ""
    origin_chosen: tuple[Origin, ...] = ()
    origin_rejected: tuple[Origin, ...] = ()


class SetAside(Noun, frozen=True, kw_only=True, gc=False):
    """Something that could not be used, with the reason. It counts; it is never lost."""

    origin: Origin
    reason: str
    """A code such as `not-json`, `too-long`, `unknown-format`."""
    said: str
    """One sentence: what was found, what was expected."""
    room: str = "ingest"


class Refused(Noun, frozen=True, kw_only=True, gc=False):
    """A candidate pair that the gate turned away."""

    prompt: Prompt
    source: str
    reason: str
    said: str
    codes: tuple[str, ...] = ()


class Score(Noun, frozen=True, kw_only=True, gc=False):
    """One measured number. None without n and an interval."""

    metric: str
    model: str
    value: float
    n: int
    k: int
    low: float
    high: float
    code: str | None = None
    """A failure code; None for the total."""
    unjudged: int = 0
    seed: int = 0


def content_id(*texts: str) -> str:
    """A 16-hex-digit id of the texts (BLAKE2b, 64 bit); the same content gives the same id."""
    digest = hashlib.blake2b(digest_size=8)
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass"))
        digest.update(b"\x00")
    return digest.hexdigest()
