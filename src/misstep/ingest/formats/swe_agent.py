"""SWE-agent trajectories (`.traj`): the history of one run, and the tries that were turned down.

A unit is a run; a file of a retrying agent holds several (`attempts`). The session is the history.
Where the model writes its command as text, the command is the call of `bash` (custom, code), the
text keeps what stands around it, and the next observation is its result. An answer that could not
be used (bad format, blocked or broken command) is only in the trajectory; it and the retry that
followed are a session of their own with the history before as shared beginning, and the accepted
answer counts there. A limit in the exit status is the outcome. Cannot tell: tool schemas, exit
codes, times, usage, calls of a turned down answer, and whether the task was solved. Demonstrations
are no steps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import orjson
from msgspec.structs import replace

from misstep.chat import content_text
from misstep.ingest.context import Contexts
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.harnesses.harness import (
    around,
    call_part,
    items,
    list_at,
    mapping,
    object_at,
    text_part,
    tool_message,
)
from misstep.ingest.harnesses.swe_tries import EXIT, Refused, Tries, turned_down
from misstep.ingest.messages import chat_message, place, text_or_none
from misstep.ingest.oneby import OneByOne, set_aside
from misstep.ingest.tree import Node, Sessions, plant
from misstep.types import Context, Message, Outcome, Part, Session, ToolCall, ToolResult

NAME = "swe-agent"
_LIMIT = re.compile(r"exit_(?:cost|context|total_execution_time|max_steps)")
_REQUEST_FAILED = re.compile(r"Exit due to (?:retry error|context window)")


class _Runs:
    """Reads runs."""

    def __init__(self) -> None:
        self._contexts = Contexts()

    def take(self, record: Record, tally: Tally) -> Sequence[Session]:
        """The sessions of one file."""
        value = object_at(record.value, "")
        tries = [(run, f"/attempts/{i}") for i, run in enumerate(items(value.get("attempts")))]
        runs = tries or [(value, "")]
        tally.unfold(len(runs))
        settings = mapping(_parsed(value.get("replay_config")))
        sessions: list[Session] = []
        for run, pointer in runs:
            try:
                sessions.extend(self._run(mapping(run), record, pointer, settings))
            except Misfit as misfit:
                set_aside(tally, record, misfit)
            else:
                tally.use()
        return sessions

    def _run(
        self, run: Mapping[str, Any], record: Record, pointer: str, settings: Mapping[str, Any]
    ) -> Sequence[Session]:
        steps = items(run.get("trajectory"))
        history = run.get("history")
        rows = history if isinstance(history, list) and history else list(_from_steps(steps))
        at = f"{pointer}/history" if rows is history else f"{pointer}/trajectory"
        model = mapping(mapping(settings.get("agent")).get("model"))
        path = _Path(record, text_or_none(model.get("name")), self._offer(model))
        refused = turned_down(steps, mapping(run.get("info")), f"{pointer}/trajectory")
        for index, row in enumerate(list_at(rows, at)):
            path.add(object_at(row, f"{at}/{index}"), f"{at}/{index}", refused)
        path.close(refused)
        sessions = Sessions(NAME)
        if path.root is not None:
            path.limit(str(mapping(run.get("info")).get("exit_status")))
            path.root.family = PurePosixPath(record.origin.member or record.origin.file).stem
            sessions.add(path.root)
        return sessions.made()

    def _offer(self, model: Mapping[str, Any]) -> Context | None:
        known = {
            "temperature": model.get("temperature"),
            "top_p": model.get("top_p"),
            "max_tokens": model.get("max_output_tokens"),
        }
        return self._contexts.of(known) if any(v is not None for v in known.values()) else None


class _Path:
    """The history of a run as it grows, with the tries beside it."""

    def __init__(self, record: Record, model: str | None, offer: Context | None) -> None:
        self.root: Node | None = None
        self._record = record
        self._model = model
        self._offer = offer
        self._last: Node | None = None
        self._answers = 0

    def limit(self, status: str) -> None:
        """Note the limit that stopped the run, if the exit status names one."""
        found = _LIMIT.search(status)
        if found and self._last is not None:
            self._last.outcome = Outcome(limit=found[0])

    def add(
        self, row: Mapping[str, Any], pointer: str, refused: Mapping[int, list[Refused]]
    ) -> None:
        """Take the next entry of the history.

        Raises:
            Misfit: it is no message.
        """
        message = self._message(row, pointer)
        tries = refused.get(self._answers, [])
        if message.role != "assistant":
            if row.get("role") == "assistant":
                self._last = self._tries(tries) or self._last
                self._answers += 1
            self._last = self._plant(message, self._last)
            return
        retried = self._tries(tries)
        echo = self._plant(message, retried) if retried is not None else None
        before = self._last
        self._last = self._plant(message, before)
        self._last.echo = echo
        self._answers += 1

    def close(self, refused: Tries) -> None:
        """The history is over; tries that no accepted answer followed stand at its end."""
        for number in sorted(refused):
            if number >= self._answers:
                self._tries(refused[number])

    def _tries(self, tries: Sequence[Refused]) -> Node | None:
        """Plant tries one after another; gives the last node of them."""
        at = self._last
        for one in tries:
            origins = (self._record.at(place(self._record, one.pointer)),)
            parts = tuple(_commanded(one.text, one.action))
            answer = Message(role="assistant", parts=parts, actor="agent")
            answer = replace(answer, fault=one.fault, model=self._model, origins=origins)
            at = self._plant(answer, at)
            if not one.retried:
                break
            said = Message(role="user", parts=text_part(one.fault), actor="harness")
            at = self._plant(replace(said, origins=origins), at)
        return at if tries else None

    def _plant(self, message: Message, up: Node | None) -> Node:
        node = plant(message, up)
        if message.role == "assistant":
            node.context = self._offer
            if up is not None:
                up.asked = True
        if self.root is None:
            self.root = node
        return node

    def _message(self, row: Mapping[str, Any], pointer: str) -> Message:
        origins = (self._record.at(place(self._record, pointer)),)
        content = content_text(row.get("content"))
        role, last = row.get("role"), self._last.message if self._last else None
        if row.get("is_demo") is True:
            message = Message(role="user", parts=text_part(content), actor="harness")
        elif role == "assistant":
            message = self._answer(row, content, pointer)
        elif last is not None and last.role == "assistant" and role in ("user", "tool"):
            ids = items(row.get("tool_call_ids"))
            named = text_or_none(ids[0]) if ids else None
            name = next((c.name for c in last.calls if named in (None, c.id)), None)
            message = tool_message(ToolResult(text=content, call_id=named, name=name))
        else:
            known = {**row, "role": "user" if role == "tool" else role, "content": content}
            message = chat_message(known, pointer)
            if message.role == "user" and last is not None and last.role not in ("system", "tool"):
                message = replace(message, actor="harness")
        return replace(message, origins=origins)

    def _answer(self, row: Mapping[str, Any], content: str, pointer: str) -> Message:
        if not row.get("action") and EXIT.match(content):
            if _REQUEST_FAILED.match(content):
                return Message(role="assistant", error=content, model=self._model)
            return Message(role="user", parts=text_part(content), actor="harness")
        thinking = [mapping(b).get("thinking") for b in items(row.get("thinking_blocks"))]
        parts = [p for text in thinking for p in text_part(text, "reasoning")]
        if row.get("tool_calls"):
            calls = chat_message(
                {"role": "assistant", "content": content, "tool_calls": row["tool_calls"]}, pointer
            )
            parts.extend(calls.parts)
        else:
            parts.extend(_commanded(content, row.get("action")))
        return Message(role="assistant", parts=tuple(parts), actor="agent", model=self._model)


def _commanded(content: str, action: Any) -> Iterator[Part]:
    """An answer as text, its command as the call that it makes."""
    command = action.strip("\r\n") if isinstance(action, str) else ""
    if not command.strip():
        yield from text_part(content)
        return
    before, after, found = around(content, command)
    call = ToolCall(name="bash", arguments=command, kind="custom", syntax="code", verbatim=found)
    yield from (*text_part(before), call_part(call), *text_part(after))


def _from_steps(steps: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """A history for a file that keeps only the steps."""
    for step in steps:
        body = mapping(step)
        yield {
            "role": "assistant",
            "content": body.get("response"),
            "action": body.get("action"),
        }
        yield {"role": "user", "content": body.get("observation")}


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def _weigh(value: dict[str, Any]) -> float:
    history = items(value.get("history"))
    if any(isinstance(row, dict) and "agent" in row and "role" in row for row in history):
        return 1.0
    steps = [mapping(step) for step in items(value.get("trajectory"))]
    if any("action" in s and "observation" in s and "response" in s for s in steps):
        return 0.95
    return 1.0 if any("trajectory" in mapping(a) for a in items(value.get("attempts"))) else 0.0


def sniff(peek: Peek) -> float:
    """A history whose entries name their agent, or steps with action, observation and response."""
    return share(peek, _weigh)


def _reader(tally: Tally) -> OneByOne:
    return OneByOne(tally, _Runs().take, counts=False)


FORMAT = Format(
    name=NAME,
    about="SWE-agent trajectories with turned down tries; no tool schemas, exit codes or times",
    unit="run",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    evidence="files",
)
