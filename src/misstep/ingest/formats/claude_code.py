"""Claude Code transcripts: one JSON object a line, sessions linked by uuid over lines and files.

One answer is spread over several lines (`message.id`), results come between them, sub-agents have
files of their own, resumed and forked sessions repeat whole stretches. Lines are taken in first and
linked at the end of the run, since a line may point into a file that is read later; see
`transcript.Linker`. Bookkeeping lines are ignored by kind. The format keeps no tool schemas; input
is a parsed object; the cause of an error stands in `toolUseResult` and `toolDenialKind`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from misstep.ingest.blocks import assistant_parts, user_messages
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.messages import kind_of, place, text_or_none, unix_time, usage_of
from misstep.ingest.transcript import Entry, Linker
from misstep.types import Actor, Message, Session

NAME = "claude-code"
_MARKS = ("sessionId", "uuid", "leafUuid", "messageId")
_SYNTHETIC = "<synthetic>"


class TranscriptReader:
    """Reads the transcripts of one run."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._linker = Linker(NAME)

    def read(self, record: Record) -> None:
        """Take one line."""
        line = record.value
        try:
            if not isinstance(line, Mapping):
                raise Misfit("", f"expected an object, got {kind_of(line)}", "not-an-object")
            kind = line.get("type")
            if kind in ("user", "assistant"):
                self._message(line, record)
            elif isinstance(kind, str) and any(mark in line for mark in _MARKS):
                self._link(line)
                self._tally.ignore(kind)
            else:
                said = "neither a message nor a bookkeeping line of a transcript"
                raise Misfit("", said, "unknown-record")
        except Misfit as misfit:
            self._link(line)
            origin = record.at(place(record, misfit.pointer))
            self._tally.aside(origin, misfit.reason, misfit.said)

    def _link(self, line: Any) -> None:
        """A line that is no message may still stand between two messages."""
        if not isinstance(line, Mapping):
            return
        uuid, up = text_or_none(line.get("uuid")), text_or_none(line.get("parentUuid"))
        if uuid is not None:
            boundary = text_or_none(line.get("logicalParentUuid"))
            self._linker.pass_through(uuid, up, starts=boundary if up is None else None)

    def _message(self, line: Mapping[str, Any], record: Record) -> None:
        body = line.get("message")
        if not isinstance(body, Mapping):
            raise Misfit("/message", f"expected a message object, got {kind_of(body)}")
        if body.get("model") == _SYNTHETIC and not line.get("isApiErrorMessage"):
            self._link(line)
            self._tally.ignore("synthetic")
            return
        read = _answer if line["type"] == "assistant" else _said
        entry = _entry(line, body, record, read(line, body, record))
        self._linker.take(entry)

    def close_file(self) -> None:
        """Lines may point into other files, so nothing is over yet."""

    def finish(self) -> Sequence[Session]:
        """All conversations; only now is it known which lines nobody answered."""
        linked = self._linker.link()
        self._tally.use(linked.used)
        if linked.unanswered:
            self._tally.ignore("unanswered-branch", linked.unanswered)
        return linked.sessions


def _entry(
    line: Mapping[str, Any], body: Mapping[str, Any], record: Record, messages: Sequence[Message]
) -> Entry:
    return Entry(
        messages=tuple(messages),
        uuid=text_or_none(line.get("uuid")),
        up=text_or_none(line.get("parentUuid")),
        answer=text_or_none(body.get("id")) if line["type"] == "assistant" else None,
        session=text_or_none(line.get("sessionId")) or "",
        side=line.get("isSidechain") is True,
        file=record.origin.file,
    )


def _answer(line: Mapping[str, Any], body: Mapping[str, Any], record: Record) -> list[Message]:
    parts = assistant_parts(body.get("content"), "/message/content")
    error = None
    if line.get("isApiErrorMessage"):
        error = "".join(part.text or "" for part in parts) or "API error"
    return [
        Message(
            role="assistant",
            parts=() if error else parts,
            actor="sub-agent" if line.get("isSidechain") is True else "agent",
            finish_reason=text_or_none(body.get("stop_reason")),
            error=error,
            model=text_or_none(body.get("model")),
            usage=usage_of(body.get("usage")),
            time=unix_time(line.get("timestamp")),
            origins=(record.at(record.origin.pointer or "", text_or_none(line.get("uuid"))),),
        )
    ]


def _said(line: Mapping[str, Any], body: Mapping[str, Any], record: Record) -> list[Message]:
    denial, result = line.get("toolDenialKind"), line.get("toolUseResult")
    hint = text_or_none(denial) or text_or_none(result)
    harness = bool(line.get("isMeta") or line.get("isCompactSummary"))
    actor: Actor = "harness" if harness or line.get("isSidechain") is True else "human"
    origins = (record.at(record.origin.pointer or "", text_or_none(line.get("uuid"))),)
    time = unix_time(line.get("timestamp"))
    return [
        Message(
            role=message.role,
            parts=message.parts,
            actor=actor if message.role == "user" else None,
            time=time,
            origins=origins,
        )
        for message in user_messages(body.get("content"), "/message/content", hint=hint)
    ]


def _weigh(value: dict[str, Any]) -> float:
    if not isinstance(value.get("type"), str) or not any(mark in value for mark in _MARKS):
        return 0.0
    return 1.0 if value["type"] not in ("user", "assistant") or "message" in value else 0.0


def sniff(peek: Peek) -> float:
    """Typed objects with a session, a uuid, or what a summary or a snapshot points at."""
    return share(peek, _weigh)


def _reader(tally: Tally) -> TranscriptReader:
    return TranscriptReader(tally)


FORMAT = Format(
    name=NAME,
    about="Claude Code transcripts with sub-agents; no tool schemas, input only as parsed objects",
    unit="line",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
)
