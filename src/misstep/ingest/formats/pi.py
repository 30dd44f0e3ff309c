"""Pi sessions (the coding agent `pi`): one JSON object a line, entries linked by id.

Branches of one file are forks; a file that was forked from another repeats its entries. Kept:
texts, thoughts, calls, results with their flag, exit codes of the shell, stop reason, model,
tokens, times, requests that failed (each try is a step), streams that broke off with what had come
of them, compactions as sessions below the one before (without the messages that were carried over).
Not told: the system prompt, tool schemas, and broken JSON: the program completes it in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson

from misstep.chat import content_text
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.messages import (
    content_hash,
    inline,
    int_or_none,
    kind_of,
    place,
    text_or_none,
    unix_time,
)
from misstep.ingest.transcript import Entry, Linker
from misstep.redact import clip
from misstep.types import Actor, Message, Part, Role, Session, ToolCall, ToolResult, Usage

NAME = "pi"
_EXIT = re.compile(r"Command exited with code (\d{1,5})\s*\Z")
_ROLES: dict[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "toolResult": "tool",
    "bashExecution": "user",
    "custom": "user",
}


class _Line(msgspec.Struct, frozen=True):
    """One entry: a message, or a place that others are linked to."""

    session: str
    file: str
    id: str | None
    up: str | None
    message: Message | None = None
    restarts: bool = False
    """True for a compaction: what follows is a conversation of its own."""


class SessionReader:
    """Reads the sessions of one run."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._lines: list[_Line] = []
        self._parents: dict[str, str] = {}
        self._session = ""
        self._file: tuple[str, str | None] | None = None

    def read(self, record: Record) -> None:
        """Take one entry."""
        line = record.value
        here = (record.origin.file, record.origin.member)
        if here != self._file:
            self._file, self._session = here, "!".join(name for name in here if name)
        try:
            if not isinstance(line, dict):
                raise Misfit("", f"expected an object, got {kind_of(line)}", "not-an-object")
            kind = line.get("type")
            if kind == "session":
                self._head(line)
                self._tally.ignore("session")
                return
            if not isinstance(kind, str) or (kind != "message" and "id" not in line):
                raise Misfit("", "no entry of a session", "unknown-record")
            message = _message(kind, line, record)
        except Misfit as misfit:
            origin = record.at(place(record, misfit.pointer))
            self._tally.aside(origin, misfit.reason, misfit.said)
            self._add(line, None, restarts=False)
            return
        self._add(line, message, restarts=kind == "compaction")
        if message is None:
            self._tally.ignore(kind)

    def _head(self, line: Mapping[str, Any]) -> None:
        self._session = text_or_none(line.get("id")) or self._session
        above = _origin(line)
        if above is not None and above != self._session:
            self._parents.setdefault(self._session, above)

    def _add(self, line: Any, message: Message | None, *, restarts: bool) -> None:
        if isinstance(line, dict):
            name, up = text_or_none(line.get("id")), text_or_none(line.get("parentId"))
            file = self._file[0] if self._file else ""
            self._lines.append(_Line(self._session, file, name, up, message, restarts))

    def close_file(self) -> None:
        """A forked file may come before its origin, so nothing is over yet."""
        self._file = None

    def finish(self) -> Sequence[Session]:
        """All conversations."""
        linker = Linker(NAME)
        for line in self._lines:
            _link(linker, line, self._root(line.session))
        linked = linker.link()
        self._tally.use(linked.used)
        if linked.unanswered:
            self._tally.ignore("unanswered-branch", linked.unanswered)
        return linked.sessions

    def _root(self, session: str) -> str:
        """The first of the sessions that this one was forked from; they share their entries."""
        seen = {session}
        while (above := self._parents.get(session)) is not None and above not in seen:
            seen.add(above)
            session = above
        return session


def _link(linker: Linker, line: _Line, root: str) -> None:
    """Ids of entries are short: they name one only among the forks of a session."""
    name = None if line.id is None else f"{root}/{line.id}"
    up = None if line.up is None else f"{root}/{line.up}"
    if line.restarts and name is not None:
        linker.pass_through(f"{name}-", None, starts=up)
        up = f"{name}-"
    if line.message is None:
        if name is not None:
            linker.pass_through(name, up)
        return
    entry = Entry(
        messages=(line.message,),
        uuid=name,
        up=up,
        answer=name if line.message.role == "assistant" else None,
        session=root,
        side=False,
        file=line.file,
    )
    linker.take(entry)


def _origin(head: Mapping[str, Any]) -> str | None:
    """The session that a head names as the one it was forked from: by the path of its file."""
    path = text_or_none(head.get("parentSession")) or text_or_none(head.get("branchedFrom"))
    if path is None:
        return None
    return re.split(r"[/\\]", path)[-1].removesuffix(".jsonl").rsplit("_", 1)[-1] or None


def _message(kind: str, line: Mapping[str, Any], record: Record) -> Message | None:
    """The message of an entry; None for one that the model never saw.

    Raises:
        Misfit: a message of an unknown shape.
    """
    origins = (record.at(record.origin.pointer or "", text_or_none(line.get("id"))),)
    time = unix_time(line.get("timestamp"))
    if kind in ("compaction", "branch_summary", "custom_message"):
        told = line.get("summary", line.get("content"))
        parts = tuple(_parts(told, "/content"))
        return Message(role="user", parts=parts, actor="harness", time=time, origins=origins)
    if kind != "message":
        return None
    body = line.get("message")
    if not isinstance(body, dict):
        raise Misfit("/message", f"expected a message object, got {kind_of(body)}")
    role = body.get("role")
    known = _ROLES.get(role) if isinstance(role, str) else None
    if known is None:
        raise Misfit("/message/role", f"unknown role {clip(str(role), 80)!r}")
    if known == "tool":
        part = Part(kind="result", result=_result(body))
        return Message(role="tool", parts=(part,), time=time, origins=origins)
    if role == "bashExecution":
        text = f"{text_or_none(body.get('command')) or ''}\n{content_text(body.get('output'))}"
        part = Part(kind="text", text=text)
        return Message(role="user", parts=(part,), actor="human", time=time, origins=origins)
    parts = tuple(_parts(body.get("content"), "/message/content"))
    if known == "user":
        actor: Actor = "human" if role == "user" else "harness"
        return Message(role="user", parts=parts, actor=actor, time=time, origins=origins)
    stop, error = text_or_none(body.get("stopReason")), text_or_none(body.get("errorMessage"))
    return Message(
        role="assistant",
        parts=parts,
        actor="agent",
        finish_reason=stop,
        end="cut" if parts and stop in ("error", "aborted") else "complete",
        error=(error or "error") if stop == "error" else None,
        model=text_or_none(body.get("model")),
        usage=_usage(body.get("usage")),
        time=time,
        origins=origins,
    )


def _parts(content: Any, pointer: str) -> Iterator[Part]:
    if isinstance(content, str):
        if content:
            yield Part(kind="text", text=content)
        return
    if content is not None and not isinstance(content, list):
        raise Misfit(pointer, f"expected text or a list of blocks, got {kind_of(content)}")
    calls = 0
    for index, block in enumerate(content or ()):
        if not isinstance(block, dict):
            raise Misfit(f"{pointer}/{index}", f"expected a block, got {kind_of(block)}")
        kind = block.get("type")
        if kind == "toolCall":
            yield Part(kind="call", call=_call(block, calls, f"{pointer}/{index}"))
            calls += 1
        elif kind == "image":
            yield Part(kind="image", text=inline(block) or content_hash(str(block.get("data"))))
        else:
            key = "thinking" if kind == "thinking" else "text"
            text = text_or_none(block.get(key))
            if text:
                yield Part(kind="reasoning" if kind == "thinking" else "text", text=text)


def _call(block: Mapping[str, Any], index: int, pointer: str) -> ToolCall:
    name, given = block.get("name"), block.get("arguments")
    if not isinstance(name, str):
        raise Misfit(f"{pointer}/name", f"a tool call without a name: {kind_of(name)}")
    return ToolCall(
        name=name,
        arguments=orjson.dumps({} if given is None else given).decode(),
        index=index,
        id=text_or_none(block.get("id")),
        verbatim=False,
    )


def _result(body: Mapping[str, Any]) -> ToolResult:
    flag, name = body.get("isError"), text_or_none(body.get("toolName"))
    text = content_text(body.get("content"))
    found = _EXIT.search(text[-60:]) if name == "bash" and flag is True else None
    return ToolResult(
        text=text,
        call_id=text_or_none(body.get("toolCallId")),
        name=name,
        is_error=flag if isinstance(flag, bool) else None,
        exit_code=int(found[1]) if found else None,
    )


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    read, wrote = (int_or_none(usage.get(key)) for key in ("input", "output"))
    return Usage(input_tokens=read, output_tokens=wrote)


def _weigh(value: dict[str, Any]) -> float:
    kind = value.get("type")
    if kind == "session":
        return 1.0 if "cwd" in value and "id" in value else 0.0
    if not isinstance(kind, str) or "id" not in value:
        return 0.0
    body = value.get("message")
    if kind == "message":
        spoken = isinstance(body, dict) and isinstance(body.get("role"), str)
        return (1.0 if "parentId" in value else 0.5) if spoken else 0.0
    return 0.9 if "parentId" in value and "timestamp" in value else 0.0


def sniff(peek: Peek) -> float:
    """A head of type `session`, and entries with an id and a `parentId`."""
    return share(peek, _weigh) if peek.kind == "json" else 0.0


def joins(value: Any, name: str) -> Iterable[str]:
    """The session of a head, and the one it was forked from."""
    if isinstance(value, dict) and value.get("type") == "session":
        yield from (key for key in (text_or_none(value.get("id")), _origin(value)) if key)


def _reader(tally: Tally) -> SessionReader:
    return SessionReader(tally)


FORMAT = Format(
    name=NAME,
    about="Pi sessions with branches and forks; no schemas, broken JSON is completed in silence",
    unit="entry",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=joins,
)
