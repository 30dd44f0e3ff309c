"""What `claude -p --output-format stream-json` prints (and `qwen`): one JSON object a line.

The lines of one answer and the results of its calls are linked as in transcripts; what a sub-agent
does carries `parent_tool_use_id` and becomes a session of its own. Kept: the names of the offered
tools (`init`; without schemas, and only those of the main agent), texts, calls, results with their
flag, denied permissions, errors of requests, model, usage, the stop reason of the last answer; with
`--include-partial-messages` the argument text as it was written and every stop reason. Not told:
the prompt (unless it is replayed), times of answers, and what a resumed run went on from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from misstep.ingest.blocks import RAW_INPUT, assistant_parts, user_messages
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.identity import session_id
from misstep.ingest.messages import kind_of, place, text_or_none, unix_time, usage_of
from misstep.ingest.stream import join_message
from misstep.ingest.transcript import Entry, Linker
from misstep.types import Actor, Context, Message, Part, Session, ToolSpec

NAME = "claude-stream"
_KINDS = ("system", "user", "assistant", "result", "stream_event")
_ASIDE = ("control_request", "control_response", "rate_limit_event", "tool_progress", "auth_status")
_SYNTHETIC = "<synthetic>"
_SUB = "\n"
"""Between a session and the call that started a sub-agent, in the name of its strand."""


class _Run(msgspec.Struct):
    """One file as far as it was read."""

    entries: list[Entry] = msgspec.field(default_factory=list)
    events: dict[str | None, list[Mapping[str, Any]]] = msgspec.field(default_factory=dict)
    """Events of the answer that is being streamed, by the call that started its agent."""
    raw: dict[str, str] = msgspec.field(default_factory=dict)
    """Argument text as it was written, by call id."""
    stops: dict[str, str] = msgspec.field(default_factory=dict)
    """Stop reason by answer id."""
    denied: set[str] = msgspec.field(default_factory=set)
    """Calls that were not permitted."""
    last: str | None = None
    """The main agent's last answer."""


class StreamReader:
    """Reads the streams of one run of misstep."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._linker = Linker(NAME)
        self._run = _Run()
        self._contexts: dict[str, Context] = {}

    def read(self, record: Record) -> None:
        """Take one line."""
        line = record.value
        try:
            if not isinstance(line, dict):
                raise Misfit("", f"expected an object, got {kind_of(line)}", "not-an-object")
            kind = line.get("type")
            if kind in ("user", "assistant"):
                ignored = self._message(line, record)
            elif isinstance(kind, str) and (kind in _KINDS or kind in _ASIDE):
                ignored = self._other(kind, line)
            else:
                raise Misfit("", "no line of a stream", "unknown-record")
        except Misfit as misfit:
            origin = record.at(place(record, misfit.pointer))
            self._tally.aside(origin, misfit.reason, misfit.said)
            return
        if ignored is not None:
            self._tally.ignore(ignored)

    def _message(self, line: Mapping[str, Any], record: Record) -> str | None:
        body = line.get("message")
        if not isinstance(body, dict):
            raise Misfit("/message", f"expected a message object, got {kind_of(body)}")
        failed = isinstance(line.get("error"), str)
        if body.get("model") == _SYNTHETIC and not failed:
            return "synthetic"
        session = text_or_none(line.get("session_id")) or ""
        starter = text_or_none(line.get("parent_tool_use_id"))
        strand = session if starter is None else f"{session}{_SUB}{starter}"
        answer, named = line["type"] == "assistant", text_or_none(body.get("id"))
        made = _answer(line, body, record) if answer else _said(line, body, record)
        entry = Entry(
            messages=tuple(made),
            uuid=text_or_none(line.get("uuid")),
            up=None,
            answer=self._answer_of(strand, named, line.get("uuid")) if answer else None,
            session=strand,
            side=starter is not None,
            file=record.origin.file,
        )
        self._run.entries.append(entry)
        if answer and starter is None:
            self._run.last = entry.answer
        return None

    def _answer_of(self, strand: str, named: str | None, uuid: Any) -> str | None:
        """The answer that a line belongs to; Qwen Code gives each line an id of its own."""
        before = self._run.entries[-1] if self._run.entries else None
        alone = named is not None and named == uuid
        if alone and before is not None and before.session == strand and before.answer is not None:
            return before.answer
        return named

    def _other(self, kind: str, line: Mapping[str, Any]) -> str:
        run = self._run
        if kind == "system":
            subtype = line.get("subtype")
            if subtype == "init":
                self._contexts[text_or_none(line.get("session_id")) or ""] = _offer(line)
            return f"system:{str(subtype)[:60]}"
        if kind == "stream_event":
            _stream(run, line)
        elif kind == "result":
            stop = text_or_none(line.get("stop_reason"))
            if stop is not None and run.last is not None:
                run.stops.setdefault(run.last, stop)
            listed = line.get("permission_denials")
            for denial in listed if isinstance(listed, list) else ():
                called = denial.get("tool_use_id") if isinstance(denial, dict) else None
                if isinstance(called, str):
                    run.denied.add(called)
        return kind

    def close_file(self) -> None:
        """What came later in the file than the line that it is about is put in its place."""
        run, self._run = self._run, _Run()
        for entry in run.entries:
            messages = tuple(_amended(m, entry.answer, run) for m in entry.messages)
            self._linker.take(replace(entry, messages=messages))

    def finish(self) -> Sequence[Session]:
        """All runs, with what they were offered."""
        self.close_file()
        linked = self._linker.link()
        self._tally.use(linked.used)
        if linked.unanswered:
            self._tally.ignore("unanswered-branch", linked.unanswered)
        return _placed(linked.sessions, self._contexts)


def _answer(line: Mapping[str, Any], body: Mapping[str, Any], record: Record) -> list[Message]:
    parts = assistant_parts(body.get("content"), "/message/content")
    error = None
    if isinstance(line.get("error"), str):
        error = "".join(part.text or "" for part in parts) or str(line["error"])
    stop, usage = text_or_none(body.get("stop_reason")), usage_of(body.get("usage"))
    if stop is None and usage is not None:
        usage = replace(usage, output_tokens=None)  # counted when the answer had only begun
    return [
        Message(
            role="assistant",
            parts=() if error else parts,
            actor="agent" if line.get("parent_tool_use_id") is None else "sub-agent",
            finish_reason=stop,
            error=error,
            model=text_or_none(body.get("model")),
            usage=usage,
            time=unix_time(line.get("timestamp")),
            origins=(record.at(record.origin.pointer or "", text_or_none(line.get("uuid"))),),
        )
    ]


def _said(line: Mapping[str, Any], body: Mapping[str, Any], record: Record) -> list[Message]:
    harness = line.get("isSynthetic") is True or line.get("parent_tool_use_id") is not None
    actor: Actor = "harness" if harness else "human"
    hint = text_or_none(line.get("tool_use_result"))
    origins = (record.at(record.origin.pointer or "", text_or_none(line.get("uuid"))),)
    return [
        replace(
            message,
            actor=actor if message.role == "user" else None,
            time=unix_time(line.get("timestamp")),
            origins=origins,
        )
        for message in user_messages(body.get("content"), "/message/content", hint=hint)
    ]


def _stream(run: _Run, line: Mapping[str, Any]) -> None:
    """Events repeat an answer piece by piece; only they hold its arguments as they were written."""
    event = line.get("event")
    if not isinstance(event, dict):
        return
    starter = text_or_none(line.get("parent_tool_use_id"))
    if event.get("type") == "message_start":
        run.events[starter] = []
    run.events.setdefault(starter, []).append(event)
    if event.get("type") != "message_stop":
        return
    whole = join_message(run.events.pop(starter))
    named, stop = text_or_none(whole.get("id")), text_or_none(whole.get("stop_reason"))
    if named is not None and stop is not None:
        run.stops[named] = stop
    for block in whole["content"]:
        called, raw = text_or_none(block.get("id")), block.get(RAW_INPUT)
        if called is not None and isinstance(raw, str):
            run.raw[called] = raw


def _amended(message: Message, answer: str | None, run: _Run) -> Message:
    parts = tuple(_part(part, run) for part in message.parts)
    stop = run.stops.get(answer) if answer is not None else None
    return replace(message, parts=parts, finish_reason=message.finish_reason or stop)


def _part(part: Part, run: _Run) -> Part:
    call, result = part.call, part.result
    if call is not None and call.id in run.raw:
        return replace(part, call=replace(call, arguments=run.raw[call.id], verbatim=True))
    if result is not None and result.call_id in run.denied:
        return replace(part, result=replace(result, cause="human"))
    return part


def _offer(line: Mapping[str, Any]) -> Context:
    """The tools that the run began with, by name."""
    listed = line.get("tools")
    names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    if "Task" in names and "Agent" not in names:
        names.append("Agent")  # the list keeps the old name of the tool, the model sees the new one
    return Context(tools=tuple(ToolSpec(name=name) for name in dict.fromkeys(names)))


def _placed(sessions: Sequence[Session], contexts: Mapping[str, Context]) -> list[Session]:
    """Sessions with their offers; sub-agents below the session that started them."""
    mains: dict[str, str] = {}
    ids: dict[str, str] = {}
    made = []
    for session in sessions:
        family, _, starter = session.family.partition(_SUB)
        offer = contexts.get(family)
        known = () if starter or offer is None or not offer.tools else (offer,)
        messages = tuple(
            replace(m, context=0) if known and m.role == "assistant" else m
            for m in session.messages
        )
        ids[session.id] = session_id(messages, known)
        fresh = replace(
            session, id=ids[session.id], messages=messages, contexts=known, family=family
        )
        if not starter:
            mains.setdefault(family, fresh.id)
        made.append((fresh, bool(starter)))
    return [
        replace(s, parent=mains.get(s.family) if sub else ids.get(s.parent or "", s.parent))
        for s, sub in made
    ]


def _weigh(value: dict[str, Any]) -> float:
    kind = value.get("type")
    if "session_id" not in value or "sessionId" in value or not isinstance(kind, str):
        return 0.0
    if kind in ("user", "assistant"):
        return 1.0 if isinstance(value.get("message"), dict) else 0.0
    return 1.0 if kind in _KINDS or kind in _ASIDE else 0.0


def sniff(peek: Peek) -> float:
    """Typed lines with a `session_id`, where transcripts have a `sessionId`."""
    return share(peek, _weigh) if peek.kind == "json" else 0.0


def _reader(tally: Tally) -> StreamReader:
    return StreamReader(tally)


FORMAT = Format(
    name=NAME,
    about="claude -p --output-format stream-json: tools by name only; no prompts, no schemas",
    unit="line",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
)
