"""Traced runs to conversations: what Langfuse, LangSmith, Weave and their like have in common.

In: `Run` values in any order, each a model call, a tool's run, or something around them. Out:
sessions. A model call's input and output are read at once (`framework_asked`,
`framework_answers`), each distinct message once; the joining of calls, tools and sub-agents
happens at the end, when all runs of a trace are known (`traced_join`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
import orjson
from msgspec.structs import replace

from misstep.ingest.context import Contexts
from misstep.ingest.format import Misfit, Record, Tally
from misstep.ingest.identity import message_key
from misstep.ingest.messages import place, text_or_none, unix_time
from misstep.ingest.threads import Turn
from misstep.ingest.traces.framework_answers import answers, refused
from misstep.ingest.traces.framework_asked import asked, offer_of
from misstep.ingest.traces.framework_parts import numbered, opened
from misstep.ingest.traces.frameworks import Told, is_item, messages_of, paired
from misstep.ingest.traces.langchain_messages import stated
from misstep.types import Context, Message, Outcome

Kind = Literal["model", "tool", "agent", "other"]
"""What a run is; `other` is a step around them, such as a chain or a parser."""


class Run(msgspec.Struct, eq=False, kw_only=True):
    """One run of a trace."""

    id: str
    kind: Kind
    record: Record
    trace: str
    parent: str | None = None
    name: str = ""
    pointer: str = ""
    """Place of the run inside its record."""
    start: float | None = None
    order: str = ""
    """What tells the order of runs that start at the same time."""
    what: str = "run"
    """The log's own word for the kind; an unused run is ignored as this."""
    asked_at: str = "/input"
    """Pointer of `input` below `pointer`."""
    told_at: str = "/output"
    input: Any = None
    output: Any = None
    error: str | None = None
    call_id: str | None = None
    """For a tool's run: the id of the call that started it, where logged."""
    said: Message | None = None
    """What else is known about a model call's answer: model, usage, finish reason."""
    offer: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """What a model call offered beside its input (`context.Contexts.of`)."""
    system: str | None = None
    """A system prompt that stands outside the history: for a model call in what its answer
    echoes, for a run around model calls in its input."""
    last: Message | None = None
    """For a run around model calls: the last answer in what it put out, as its framework has it."""
    failed: set[str] = msgspec.field(default_factory=set)
    """For a run around tools: ids of calls whose results it marks as errors."""
    history: list[Turn] | None = None
    answers: list[Message] = msgspec.field(default_factory=list)
    context: Context = msgspec.field(default_factory=Context)


class Runs:
    """Collects the runs of one format."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._contexts = Contexts()
        self._rows: dict[bytes, tuple[tuple[Message, bytes], ...]] = {}
        """Rows that were read before: every request repeats those of the one before it."""
        self._turns: dict[tuple[Any, ...], Turn] = {}
        """Turns that stand at the same place of several requests, so that each is held once."""
        self._told: Told = {}
        """Results that were told their calls; most requests repeat them."""
        self._runs: dict[tuple[str, str], Run] = {}
        self.families: dict[str, str] = {}
        """What groups traces (a session, a thread), by trace."""
        self.outcomes: dict[str, Outcome] = {}
        """How a trace went, by trace."""

    def add(self, run: Run) -> None:
        """Take one run; the same id again is the same run."""
        if (run.trace, run.id) in self._runs:
            self._tally.ignore("repeated")
            return
        run.record = replace(run.record, origin=replace(run.record.origin, row=run.id))
        try:
            if run.kind == "model":
                self._model(run)
            elif run.kind != "tool":
                self._state(run)
        except Misfit as misfit:
            at = run.record.at(place(run.record, run.pointer + misfit.pointer), run.id)
            self._tally.aside(at, misfit.reason, misfit.said)
            return
        self._runs[run.trace, run.id] = run

    def _model(self, run: Run) -> None:
        said = answers(run.output, run.told_at)
        if run.error is not None:
            parts = said[0].parts if said else refused(run.error)
            said = [Message(role="assistant", parts=parts, error=run.error)]
        known = run.said or Message(role="assistant")
        at = (run.record.at(place(run.record, f"{run.pointer}{run.told_at}"), run.id),)
        run.answers = [
            replace(_completed(m, known, run, index == 0), origins=at)
            for index, m in enumerate(said)
        ]
        offer = {**run.offer, **self._echoed(run)}
        try:
            heard = asked(run.input, run.asked_at)
            run.history = self._history(heard.rows, run)
            offer.update(heard.offer)
        except Misfit as misfit:
            if not run.answers or misfit.reason != "bad-message":
                raise
        run.context = self._contexts.of(offer)
        run.input = run.output = None

    def _echoed(self, run: Run) -> dict[str, Any]:
        """What a Responses answer repeats of its request."""
        body = opened(run.output)
        if not isinstance(body, dict) or body.get("object") != "response":
            return {}
        run.system = text_or_none(body.get("instructions"))
        return offer_of(body)

    def _state(self, run: Run) -> None:
        """What a step around the model put out: more than some tracers keep of the call itself."""
        for message in stated(run.output):
            if message.role == "assistant":
                run.last = message
            run.failed.update(r.call_id for r in message.results if r.is_error and r.call_id)
        if isinstance(run.input, dict) and text_or_none(run.input.get("prompt")):
            run.system = text_or_none(run.input.get("system"))
        run.input = None
        if run.parent is None and isinstance(run.output, dict) and "messages" in run.output:
            try:
                run.history = self._history(asked(run.output, run.told_at).rows, run)
            except Misfit:
                run.history = None
        run.output = None

    def _history(self, rows: Iterable[tuple[Any, str]], run: Run) -> list[Turn]:
        turns: list[Turn] = []
        bare = False
        for row, pointer in rows:
            item = is_item(row)
            for message, key in self._read(row, pointer):
                last = turns[-1].message if turns else None
                both = last is not None and last.role == message.role == "assistant"
                if last is not None and both and (item or bare):
                    parts = tuple(numbered((*last.parts, *message.parts)))
                    turns[-1] = self._turn(replace(last, parts=parts), None, turns[-1].pointer)
                else:
                    turns.append(self._turn(message, key, run.pointer + pointer))
            bare = item
        told = paired([turn.message for turn in turns], self._told)
        return [
            turn if message is turn.message else self._turn(message, None, turn.pointer)
            for turn, message in zip(turns, told, strict=True)
        ]

    def _turn(self, message: Message, key: bytes | None, pointer: str) -> Turn:
        key = message_key(message) if key is None else key
        ids = tuple((r.call_id, r.name) for r in message.results)
        return self._turns.setdefault((key, pointer, *ids), Turn(message, key, pointer))

    def _read(self, row: Any, pointer: str) -> Sequence[tuple[Message, bytes]]:
        if isinstance(row, Message):
            return ((row, message_key(row)),)
        digest = hashlib.blake2b(orjson.dumps(row), digest_size=16).digest()
        if digest not in self._rows:
            made = messages_of(row, pointer)
            self._rows[digest] = tuple((m, message_key(m)) for m in made)
        return self._rows[digest]

    def traces(self) -> Iterable[tuple[str, list[Run]]]:
        """The runs of each trace in the order of their start, the earliest trace first."""
        by_trace: dict[str, list[Run]] = {}
        for run in self._runs.values():
            by_trace.setdefault(run.trace, []).append(run)
        for runs in by_trace.values():
            runs.sort(key=_when)
        return sorted(by_trace.items(), key=lambda entry: _when(entry[1][0]))


def _when(run: Run) -> tuple[float, str, str]:
    return (run.start if run.start is not None else 0.0, run.order, run.id)


def _completed(message: Message, known: Message, run: Run, first: bool) -> Message:
    return replace(
        message,
        actor="agent",
        finish_reason=message.finish_reason or known.finish_reason,
        model=message.model or known.model,
        usage=(message.usage or known.usage) if first else None,
        time=run.start if run.start is not None else message.time,
    )


def utc_time(value: Any) -> float | None:
    """A time as Unix seconds; a text without a zone is UTC, as these exports write it."""
    if isinstance(value, str) and len(value) > 10 and not _ZONED.search(value):
        value = f"{value}+00:00"
    return unix_time(value)


_ZONED = re.compile(r"(Z|[+-]\d\d:?\d\d)$")
