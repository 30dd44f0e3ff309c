"""Tasks of Cline as sessions.

In: for each task its stored messages, what the user saw, and the task that started it. Out:
sessions, the one that a summary replaced first. What the user saw is only read for a request that
failed for good, and for a call that Cline could not use and that the task then ended with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from misstep.ingest.build import linear
from misstep.ingest.coding.cline_markup import missing
from misstep.ingest.coding.cline_messages import Talk, take
from misstep.ingest.format import Misfit, Record, Tally
from misstep.ingest.messages import place, text_or_none, unix_time
from misstep.types import Message, Origin, Part, Session

_SLACK = 2.0
"""Seconds by which the user may see what is wrong with an answer before it is stored."""


class Task(msgspec.Struct):
    """All that is known of one task."""

    name: str
    said: list[Record] = msgspec.field(default_factory=list)
    """Stored messages, one a record."""
    seen: list[Record] = msgspec.field(default_factory=list)
    """What the user saw, one a record."""
    document: tuple[Mapping[str, Any], Record] | None = None
    """A file that holds all messages."""
    parent: str = ""

    def whole(self, value: Mapping[str, Any], record: Record) -> None:
        """Take a file that holds all messages."""
        self.document = (value, record)
        origin = value.get("origin")
        up = origin.get("parentThreadId") if isinstance(origin, dict) else None
        head, cut, _ = self.name.partition("__")
        self.parent = text_or_none(up) or (head if cut else "") or self.parent

    def stored(self) -> Iterator[tuple[Any, Origin]]:
        """The messages with their places."""
        for record in self.said:
            yield record.value, record.origin
        if self.document is not None:
            value, record = self.document
            for index, message in enumerate(value["messages"]):
                row = text_or_none(message.get("id")) if isinstance(message, dict) else None
                yield message, record.at(place(record, f"/messages/{index}"), row)


def sessions_of(format_name: str, tasks: list[Task], tally: Tally) -> list[Session]:
    """All sessions, each with the one that started it."""
    by_name = {task.name: task for task in tasks}
    made: dict[str, Session] = {}
    rows: list[tuple[Task, Session]] = []
    for task in tasks:
        before: str | None = None
        for talk in _talks(task, tally):
            session = linear(
                format_name,
                talk.messages,
                contexts=talk.contexts,
                family=_family(task, by_name),
                parent=before,
            )
            before = session.id
            made.setdefault(task.name, session)
            rows.append((task, session))
    return [_linked(task, session, made) for task, session in rows]


def _linked(task: Task, session: Session, made: dict[str, Session]) -> Session:
    starter = made.get(task.parent)
    if session.parent is not None or starter is None or starter.id == session.id:
        return session
    return replace(session, parent=starter.id)


def _family(task: Task, by_name: dict[str, Task]) -> str:
    seen: set[str] = set()
    name = task.name
    while name not in seen and name in by_name and by_name[name].parent:
        seen.add(name)
        name = by_name[name].parent
    return name


def _talks(task: Task, tally: Tally) -> Iterator[Talk]:
    """The conversations of a task: a summary of what was condensed starts another one."""
    side = bool(task.parent)
    talk = Talk([], [], side)
    system = task.document[0].get("system_prompt") if task.document is not None else None
    if isinstance(system, str) and system:
        talk.add(Message(role="system", parts=(Part(kind="text", text=system),)))
    for message, origin in task.stored():
        summary = _summary(message, origin)
        if summary is not None and talk.asked is not None:
            tally.use()
            yield talk
            talk = Talk([summary], [None], side)
            continue
        try:
            ignored = take(message, talk, origin)
        except Misfit as misfit:
            at = replace(origin, pointer=f"{origin.pointer or ''}{misfit.pointer}" or None)
            tally.aside(at, misfit.reason, misfit.said)
        else:
            if ignored is None:
                tally.use()
            else:
                tally.ignore(ignored)
    _ending(task, talk, tally)
    if talk.messages and any(m.role != "system" for m in talk.messages):
        yield talk


def _summary(message: Any, origin: Origin) -> Message | None:
    """A message that stands for all before it."""
    if not isinstance(message, dict) or message.get("isSummary") is not True:
        return None
    content = message.get("content")
    blocks = content if isinstance(content, list) else [{"text": content}]
    texts = [b.get("text") for b in blocks if isinstance(b, dict)]
    text = "\n".join(t for t in texts if isinstance(t, str))
    parts = (Part(kind="text", text=text),) if text else ()
    time = unix_time(message.get("ts"))
    return Message(role="user", actor="harness", parts=parts, time=time, origins=(origin,))


def _ending(task: Task, talk: Talk, tally: Tally) -> None:
    """What only the user saw: why the last answer was not used, or why there is none."""
    for record in task.seen:
        used = talk.messages and _ends(record, talk)
        if used:
            tally.use()
        else:
            tally.ignore("seen-by-user")


def _ends(record: Record, talk: Talk) -> bool:
    value = record.value
    if not isinstance(value, dict) or value.get("partial") is True:
        return False
    text = text_or_none(value.get("text"))
    last = talk.messages[-1]
    if value.get("ask") == "api_req_failed" and text is not None and last.role != "assistant":
        failed = Message(
            role="assistant",
            actor="sub-agent" if talk.side else "agent",
            error=text,
            time=unix_time(value.get("ts")),
            origins=(record.origin,),
        )
        if (failed.time or 0.0) >= (last.time or 0.0):
            talk.add(failed)
            return True
    if value.get("say") == "error" and text is not None and last.role == "assistant":
        name = missing(text)
        wanted = next((c for c in last.calls if c.name == name and c.fault is None), None)
        if (
            wanted is not None
            and (unix_time(value.get("ts")) or 0.0) >= (last.time or 0.0) - _SLACK
        ):
            talk.fault_at(wanted.index, text)
            return True
    return False
