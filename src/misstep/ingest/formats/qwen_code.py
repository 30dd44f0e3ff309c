"""Qwen Code and iFlow sessions: lines of Gemini's or Anthropic's parts, one file a session.

Qwen Code links its lines by uuid, as Claude Code does. iFlow's links all lead to the question, and
each line of an answer repeats the calls of the one before; there the order of the lines counts, and
a call is kept once. Kept: texts, thoughts, calls, results with status, who is to blame for an error
where `errorType` says so, exit codes of the shell, model, tokens, times. Not told: tool schemas,
the arguments as they were written (broken JSON is completed in silence), finish reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from misstep.ingest.blocks import assistant_parts
from misstep.ingest.coding.gemini_turns import ends_of, exit_code_of, parts_of, response_text
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.messages import int_or_none, kind_of, place, text_or_none, unix_time
from misstep.ingest.transcript import Entry, Linker
from misstep.types import Actor, Cause, Message, Origin, Part, Session, ToolResult, Usage

NAME = "qwen-code"
_KINDS = ("user", "assistant", "tool_result", "system")
_BLAME: dict[str, Cause] = {
    "invalid_tool_params": "model",
    "tool_not_registered": "model",
    "execution_denied": "human",
}


class SessionReader:
    """Reads the sessions of one run."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._linker = Linker(NAME)
        self._calls: dict[str, set[str | None]] = {}
        """Calls of iFlow that an earlier line holds, by session."""
        self._turns: dict[str, int] = {}

    def read(self, record: Record) -> None:
        """Take one line."""
        line = record.value
        try:
            if not isinstance(line, dict):
                raise Misfit("", f"expected an object, got {kind_of(line)}", "not-an-object")
            kind = line.get("type")
            if kind not in _KINDS:
                raise Misfit("", "no line of a session", "unknown-record")
            origin = record.at(record.origin.pointer or "", text_or_none(line.get("uuid")))
            message = _failed(line, origin) if kind == "system" else self._message(line, origin)
        except Misfit as misfit:
            self._between(line)
            origin = record.at(place(record, misfit.pointer))
            self._tally.aside(origin, misfit.reason, misfit.said)
            return
        if message is None:
            self._between(line)
            self._tally.ignore("system" if kind == "system" else "repeat")
        else:
            self._take(line, message, record.origin.file)

    def _message(self, line: Mapping[str, Any], origin: Origin) -> Message | None:
        body = line.get("message")
        if not isinstance(body, dict):
            raise Misfit("/message", f"expected a message object, got {kind_of(body)}")
        if line["type"] == "assistant":
            return self._answer(line, body, origin)
        results = tuple(_results(line, body))
        time = unix_time(line.get("timestamp"))
        if results:
            return Message(role="tool", parts=results, time=time, origins=(origin,))
        given = body.get("parts", body.get("content"))
        harness = line.get("isSidechain") is True or line.get("subtype") is not None
        actor: Actor = "harness" if harness else "human"
        parts = tuple(parts_of(given, set()))
        return Message(role="user", parts=parts, actor=actor, time=time, origins=(origin,))

    def _answer(
        self, line: Mapping[str, Any], body: Mapping[str, Any], origin: Origin
    ) -> Message | None:
        if "parts" in body:
            parts = tuple(parts_of(body["parts"], set()))
        else:
            parts = self._fresh(line, assistant_parts(body.get("content"), "/message/content"))
            if not parts:
                return None
        return Message(
            role="assistant",
            parts=parts,
            actor="sub-agent" if line.get("isSidechain") is True else "agent",
            model=text_or_none(line.get("model")) or text_or_none(body.get("model")),
            usage=_usage(line.get("usageMetadata")),
            time=unix_time(line.get("timestamp")),
            origins=(origin,),
        )

    def _fresh(self, line: Mapping[str, Any], parts: tuple[Part, ...]) -> tuple[Part, ...]:
        known = self._calls.setdefault(_session(line), set())
        kept = [p for p in parts if p.call is None or p.call.id is None or p.call.id not in known]
        known.update(p.call.id for p in parts if p.call is not None)
        calls = [p for p in kept if p.call is not None]
        return tuple(
            p if p.call is None else replace(p, call=replace(p.call, index=calls.index(p)))
            for p in kept
        )

    def _take(self, line: Mapping[str, Any], message: Message, file: str) -> None:
        session = _session(line)
        body = line.get("message")
        linked = not isinstance(body, dict) or "parts" in body
        answer = text_or_none(line.get("uuid")) if message.role == "assistant" else None
        if not linked and message.role == "assistant":
            answer = f"{self._turns.get(session, 0)}"
        elif not linked:
            self._turns[session] = self._turns.get(session, 0) + 1
        entry = Entry(
            messages=(message,),
            uuid=text_or_none(line.get("uuid")),
            up=text_or_none(line.get("parentUuid")) if linked else None,
            answer=answer,
            session=session,
            side=line.get("isSidechain") is True,
            file=file,
        )
        self._linker.take(entry)

    def _between(self, line: Any) -> None:
        """A line that is no message may still stand between two messages."""
        uuid = text_or_none(line.get("uuid")) if isinstance(line, dict) else None
        if uuid is not None:
            self._linker.pass_through(uuid, text_or_none(line.get("parentUuid")))

    def close_file(self) -> None:
        """Lines may point into other files, so nothing is over yet."""

    def finish(self) -> Sequence[Session]:
        """All conversations."""
        linked = self._linker.link()
        self._tally.use(linked.used)
        if linked.unanswered:
            self._tally.ignore("unanswered-branch", linked.unanswered)
        return linked.sessions


def _session(line: Mapping[str, Any]) -> str:
    return text_or_none(line.get("sessionId")) or ""


def _failed(line: Mapping[str, Any], origin: Origin) -> Message | None:
    """The request of which an event says that it failed."""
    payload = line.get("systemPayload")
    event = payload.get("uiEvent") if isinstance(payload, dict) else None
    if not isinstance(event, dict) or event.get("event.name") != "qwen-code.api_error":
        return None
    said = text_or_none(event.get("error_message")) or "API error"
    model, time = text_or_none(event.get("model")), unix_time(line.get("timestamp"))
    return Message(
        role="assistant", actor="agent", error=said, model=model, time=time, origins=(origin,)
    )


def _results(line: Mapping[str, Any], body: Mapping[str, Any]) -> Iterable[Part]:
    """The results in a line: parts of Gemini's, or blocks of Anthropic's around such parts."""
    about = line.get("toolCallResult", line.get("toolUseResult"))
    about = about if isinstance(about, dict) else {}
    listed = body.get("parts", body.get("content"))
    for piece in listed if isinstance(listed, list) else ():
        if not isinstance(piece, dict):
            continue
        told, called = piece.get("functionResponse"), None
        if piece.get("type") == "tool_result":
            called = text_or_none(piece.get("tool_use_id"))
            told = _inner(piece.get("content"))
        if isinstance(told, dict):
            yield Part(kind="result", result=_result(told, called, about))


def _inner(content: Any) -> Mapping[str, Any]:
    """What iFlow wraps a result in."""
    wrapped = content.get("responseParts") if isinstance(content, dict) else None
    told = wrapped.get("functionResponse") if isinstance(wrapped, dict) else None
    return told if isinstance(told, dict) else {"response": content}


def _result(told: Mapping[str, Any], called: str | None, about: Mapping[str, Any]) -> ToolResult:
    text, name = response_text(told.get("response")), text_or_none(told.get("name"))
    failed, cause = ends_of(about.get("status"))
    blame = about.get("errorType")
    return ToolResult(
        text=text,
        call_id=called or text_or_none(told.get("id")) or text_or_none(about.get("callId")),
        name=name,
        is_error=failed,
        hint=text_or_none(blame),
        cause=cause or (_BLAME.get(blame) if isinstance(blame, str) else None),
        exit_code=exit_code_of(name, text),
    )


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    return Usage(
        input_tokens=int_or_none(usage.get("promptTokenCount")),
        output_tokens=int_or_none(usage.get("candidatesTokenCount")),
    )


def _weigh(value: dict[str, Any]) -> float:
    if value.get("type") not in _KINDS or "sessionId" not in value or "uuid" not in value:
        return 0.0
    if value["type"] == "system":
        return 1.0 if "systemPayload" in value else 0.0
    body = value.get("message")
    if not isinstance(body, dict):
        return 0.0
    return 1.0 if isinstance(body.get("parts"), list) or _iflow(value["sessionId"], body) else 0.0


def _iflow(session: Any, body: dict[str, Any]) -> bool:
    named = isinstance(session, str) and session.startswith("session-")
    return named and "content" in body


def sniff(peek: Peek) -> float:
    """Linked lines whose messages have parts, or iFlow's names of sessions."""
    return share(peek, _weigh) if peek.kind == "json" else 0.0


def joins(value: Any, name: str) -> Iterable[str]:
    """The session of a line."""
    if isinstance(value, dict) and isinstance(value.get("sessionId"), str):
        yield value["sessionId"]


def _reader(tally: Tally) -> SessionReader:
    return SessionReader(tally)


FORMAT = Format(
    name=NAME,
    about="Qwen Code and iFlow sessions with status of results; no schemas, no raw arguments",
    unit="line",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=joins,
)
