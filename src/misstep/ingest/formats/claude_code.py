"""Claude Code transcripts: one JSON object a line, sessions linked by uuid over lines and files.

One answer is spread over several lines (`message.id`), results come between them, sub-agents have
files of their own, resumed and forked sessions repeat whole stretches. Lines are taken in first and
linked at the end of the run, since a line may point into a file that is read later; see
`transcript.Linker`. Bookkeeping lines are ignored by kind. The format keeps no tool schemas; input
is a parsed object; the cause of an error stands in `toolUseResult` and `toolDenialKind`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from misstep.ingest.blocks import assistant_parts, user_messages
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.messages import kind_of, place, text_or_none, unix_time, usage_of
from misstep.ingest.transcript import Entry, Linker
from misstep.types import Actor, Message, Session

NAME = "claude-code"
_MARKS = ("sessionId", "uuid", "leafUuid", "messageId")
_SYNTHETIC = "<synthetic>"
_PROGRAM = ("<command-name>", "<local-command-", "<bash-stdout>", "Caveat: The messages below were")


class TranscriptReader:
    """Reads the transcripts of one run."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._linker = Linker(NAME)

    def read(self, record: Record) -> None:
        """Take one line."""
        line = record.value
        try:
            if not isinstance(line, dict):
                raise Misfit("", f"expected an object, got {kind_of(line)}", "not-an-object")
            kind = line.get("type")
            if kind in ("user", "assistant"):
                self._message(line, record)
            elif isinstance(kind, str) and any(mark in line for mark in _MARKS):
                self._link(line)
                self._tally.ignore(kind)
            elif _about_sub_agent(line):
                self._tally.ignore("sub-agent-meta")
            else:
                said = "neither a message nor a bookkeeping line of a transcript"
                raise Misfit("", said, "unknown-record")
        except Misfit as misfit:
            self._link(line)
            origin = record.at(place(record, misfit.pointer))
            self._tally.aside(origin, misfit.reason, misfit.said)

    def _link(self, line: Any) -> None:
        """A line that is no message may still stand between two messages."""
        if not isinstance(line, dict):
            return
        uuid, up = text_or_none(line.get("uuid")), text_or_none(line.get("parentUuid"))
        if uuid is not None:
            boundary = text_or_none(line.get("logicalParentUuid"))
            self._linker.pass_through(uuid, up, starts=boundary if up is None else None)

    def _message(self, line: Mapping[str, Any], record: Record) -> None:
        body = line.get("message")
        if not isinstance(body, dict):
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


def _by_program(body: Mapping[str, Any]) -> bool:
    """A command of the program, or what came of it, where a human's message should stand."""
    content = body.get("content")
    return isinstance(content, str) and content.lstrip().startswith(_PROGRAM)


def _said(line: Mapping[str, Any], body: Mapping[str, Any], record: Record) -> list[Message]:
    denial, result = line.get("toolDenialKind"), line.get("toolUseResult")
    hint = text_or_none(denial) or text_or_none(result)
    harness = bool(line.get("isMeta") or line.get("isCompactSummary")) or _by_program(body)
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
    if _about_sub_agent(value):
        return 1.0
    if not isinstance(value.get("type"), str) or not any(mark in value for mark in _MARKS):
        return 0.0
    if "session_id" in value and "sessionId" not in value:
        return 0.0  # a printed stream, not a transcript
    spoken = value["type"] in ("user", "assistant")
    return 1.0 if not spoken or isinstance(value.get("message"), dict) else 0.0


def _about_sub_agent(line: Mapping[str, Any]) -> bool:
    """The file beside a sub-agent's transcript."""
    return "agentType" in line and "type" not in line and "uuid" not in line


def sniff(peek: Peek) -> float:
    """Typed objects with a session, a uuid, or what a summary or a snapshot points at."""
    return share(peek, _weigh)


_LINKS = ("sessionId", "uuid", "parentUuid", "logicalParentUuid", "leafUuid", "messageId")


class _Body(msgspec.Struct):
    id: Any = None


class _Skimmed(msgspec.Struct):
    """What of a line says where it belongs."""

    sessionId: Any = None
    uuid: Any = None
    parentUuid: Any = None
    logicalParentUuid: Any = None
    leafUuid: Any = None
    messageId: Any = None
    message: _Body | None = None


_SKIM = msgspec.json.Decoder(_Skimmed)


def _skimmed(line: bytes) -> Iterable[str] | None:
    try:
        value = _SKIM.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    links = [value.sessionId, value.uuid, value.parentUuid]
    links += [value.logicalParentUuid, value.leafUuid, value.messageId]
    links.append(None if value.message is None else value.message.id)
    return [link for link in links if isinstance(link, str) and link]


def _skim() -> Callable[[bytes], Iterable[str] | None]:
    return _skimmed


def _joins(value: Any, name: str) -> Iterable[str]:
    """Session, lines before and after, and the answer of which a copy may hold another line."""
    if not isinstance(value, dict):
        return ()
    body = value.get("message")
    links = [value.get(link) for link in _LINKS]
    links.append(body.get("id") if isinstance(body, dict) else None)
    return [link for link in links if isinstance(link, str) and link]


def _reader(tally: Tally) -> TranscriptReader:
    return TranscriptReader(tally)


FORMAT = Format(
    name=NAME,
    about="Claude Code transcripts with sub-agents; no tool schemas, input only as parsed objects",
    unit="line",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=_joins,
    skim=_skim,
)
