"""`codex exec --json`: one event a line, one file a run.

Items stand for what the model did; the log does not say which came in one answer, so items gather
in one step until a result comes. Kept: commands with exit code and output, MCP calls with their
arguments and errors, patches, searches, to-do lists and calls of sub-agents as hosted calls, texts,
reasoning summaries, a turn's error; the usage of a turn that was one step. Not told: the prompt,
the model, tool schemas, the arguments as they were written, and calls that the program turned down
before it ran them (they stand in no event; the rollout beside it has them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson

from misstep.chat import content_text
from misstep.ingest.build import linear
from misstep.ingest.coding.growing import CUT, Growing
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.messages import int_or_none, kind_of, place, text_or_none, usage_of
from misstep.types import Cause, Part, Session, ToolCall, ToolResult

NAME = "codex-exec"
_EVENTS = frozenset(
    (
        "thread.started",
        "turn.started",
        "turn.completed",
        "turn.failed",
        "item.started",
        "item.updated",
        "item.completed",
    )
)
_CALLS = frozenset(
    (
        "command_execution",
        "mcp_tool_call",
        "file_change",
        "web_search",
        "todo_list",
        "collab_tool_call",
    )
)


class _Run(msgspec.Struct):
    """One thread as far as it was read."""

    id: str
    now: Growing = msgspec.field(default_factory=Growing)
    asked: set[str] = msgspec.field(default_factory=set)
    """Items whose call stands in an answer."""
    answered: set[str] = msgspec.field(default_factory=set)
    begun: int = 0
    """Messages before the running turn."""


class ExecReader:
    """Reads the event streams of one run of misstep."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._run: _Run | None = None
        self._made: list[Session] = []

    def read(self, record: Record) -> None:
        """Take one event."""
        try:
            event = record.value
            if not isinstance(event, dict):
                raise Misfit("", f"expected an object, got {kind_of(event)}", "not-an-object")
            kind = event.get("type")
            if not isinstance(kind, str) or (kind not in _EVENTS and kind != "error"):
                raise Misfit("", "no event of a run", "unknown-record")
            ignored = self._event(kind, event, record)
        except Misfit as misfit:
            origin = record.at(place(record, misfit.pointer))
            self._tally.aside(origin, misfit.reason, misfit.said)
            return
        if ignored is None:
            self._tally.use()
        else:
            self._tally.ignore(ignored)

    def _event(self, kind: str, event: Mapping[str, Any], record: Record) -> str | None:
        if kind == "thread.started":
            self.close_file()
            self._run = _Run(text_or_none(event.get("thread_id")) or "")
            return kind
        run = self._run = self._run or _Run("")
        if kind == "turn.started":
            run.begun = len(run.now.messages)
            run.now.close()
        elif kind == "turn.completed":
            steps = [m for m in run.now.messages[run.begun :] if m.role == "assistant"]
            run.now.close(usage_of(event.get("usage")) if len(steps) == 1 else None)
        elif kind == "turn.failed":
            error = event.get("error")
            said = text_or_none(error.get("message")) if isinstance(error, dict) else None
            said = said or "the turn failed"
            run.now.fail(said, record.at(place(record, "/error")), cut=said.startswith(CUT))
            return None
        elif kind.startswith("item."):
            return _item(run, kind, event.get("item"), record)
        return kind

    def close_file(self) -> None:
        """A file is one run."""
        if self._run is not None and self._run.now.messages:
            self._made.append(linear(NAME, self._run.now.messages, family=self._run.id))
        self._run = None

    def finish(self) -> Sequence[Session]:
        """All runs."""
        self.close_file()
        return self._made


def _item(run: _Run, event: str, item: Any, record: Record) -> str | None:
    if not isinstance(item, dict):
        raise Misfit("/item", f"expected an item, got {kind_of(item)}")
    kind, name = str(item.get("type")), text_or_none(item.get("id")) or ""
    origin = record.at(place(record, "/item"), name or None)
    done = event == "item.completed"
    if kind in ("agent_message", "reasoning") and done:
        text = text_or_none(item.get("text"))
        if text is None:
            raise Misfit("/item/text", f"expected text, got {kind_of(item.get('text'))}")
        part: Part = Part(kind="text" if kind == "agent_message" else "reasoning", text=text)
        run.now.say(part, origin)
        return None
    if kind not in _CALLS:
        return f"item:{kind[:60]}"
    if name in run.answered:
        return "item.updated"
    if name not in run.asked or not name:
        run.asked.add(name)
        run.now.call(_call(kind, item, name or None), origin)
        if not done:
            return None
    elif not done:
        return "item.updated"
    run.answered.add(name)
    run.now.result(_result(kind, item, name or None), origin)
    return None


def _call(kind: str, item: Mapping[str, Any], called: str | None) -> ToolCall:
    name, given = kind, {}
    if kind == "command_execution":
        given = {"command": item.get("command")}
    elif kind == "mcp_tool_call":
        server, tool = item.get("server"), item.get("tool")
        name = f"mcp__{server}__{tool}"
        given = item.get("arguments") or {}
    elif kind == "collab_tool_call":
        name = str(item.get("tool"))
        given = {"prompt": item.get("prompt"), "targets": item.get("receiver_thread_ids")}
    else:
        fields = ("changes", "query", "action", "items")
        given = {key: item[key] for key in fields if key in item}
    return ToolCall(
        name=name,
        arguments=orjson.dumps(given).decode(),
        id=called,
        kind="function" if kind == "mcp_tool_call" else "hosted",
        verbatim=False,
    )


def _result(kind: str, item: Mapping[str, Any], called: str | None) -> ToolResult:
    status, error = item.get("status"), item.get("error")
    cause: Cause | None = "human" if status == "declined" else None
    return ToolResult(
        text=_said(kind, item, error),
        call_id=called,
        is_error={"completed": False, "failed": True, "declined": True}.get(str(status)),
        cause=cause,
        exit_code=int_or_none(item.get("exit_code")),
    )


def _said(kind: str, item: Mapping[str, Any], error: Any) -> str:
    if kind == "command_execution":
        return text_or_none(item.get("aggregated_output")) or ""
    if isinstance(error, dict):
        return text_or_none(error.get("message")) or content_text(error)
    result = item.get("result")
    if isinstance(result, dict):
        return content_text(result.get("content") or result.get("structured_content"))
    if kind == "collab_tool_call":
        return content_text(item.get("agents_states"))
    return text_or_none(item.get("status")) or ""


def _weigh(value: dict[str, Any]) -> float:
    kind = value.get("type")
    if kind == "error":
        return 1.0 if set(value) == {"type", "message"} else 0.0
    if not isinstance(kind, str) or kind not in _EVENTS:
        return 0.0
    return 1.0 if not kind.startswith("item.") or isinstance(value.get("item"), dict) else 0.0


def sniff(peek: Peek) -> float:
    """Events of threads, turns and items."""
    return share(peek, _weigh) if peek.kind == "json" else 0.0


def _reader(tally: Tally) -> ExecReader:
    return ExecReader(tally)


FORMAT = Format(
    name=NAME,
    about="codex exec --json: commands with exit codes; no prompt, model, schemas or raw arguments",
    unit="event",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
)
