"""Tasks of Cline, Roo Code and Kilo Code: task folders, and the sessions of Cline's newer CLI.

A task folder holds `api_conversation_history.json` (the messages), `ui_messages.json` (what the
user saw) and `task_metadata.json` or `history_item.json`; a session folder `ID.messages.json` and
`ID.json`. Kept: messages, calls from blocks or from XML tags in text (then our rendering), results
with their flag or Cline's fixed words for an error, a user's no and an exit code, model, tokens,
times, failed requests, sub-agents and sub-tasks with the task that started them. No tool schemas
and no finish reason; broken JSON is repaired before it is stored, and a task folder leaves out that
a called tool did not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from misstep.ingest.coding.cline_tasks import Task, sessions_of
from misstep.ingest.format import Format, Peek, Record, Tally
from misstep.ingest.messages import text_or_none
from misstep.types import Session

NAME = "cline"
_HISTORY = ("api_conversation_history.json", "claude_messages.json")
_SEEN = "ui_messages.json"
_BESIDE = ("task_metadata.json", "history_item.json", "context_history.json", "taskHistory.json")


def _folder(name: str) -> tuple[str, str]:
    """Folder and base name of a file, inside an archive or not."""
    path = name.replace("!", "/").split("/")
    return "/".join(path[:-1]), path[-1]


class _Reader:
    """Collects the files of each task."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._tasks: dict[str, Task] = {}

    def read(self, record: Record) -> None:
        """Take one message, or one file about a task."""
        origin = record.origin
        folder, base = _folder(f"{origin.file}!{origin.member}" if origin.member else origin.file)
        value = record.value
        if isinstance(value, dict) and isinstance(value.get("messages"), list):
            if value["messages"]:
                self._tally.unfold(len(value["messages"]))
                key = folder if base in _HISTORY else f"{folder}/{base}"
                known = self._tasks.get(key)
                if known is not None and known.document is not None:  # several in one file
                    key = f"{key}#{origin.line}{origin.pointer or ''}"
                self._task(key, value).whole(value, record)
            else:
                self._tally.ignore("empty-session")
        elif base == _SEEN:
            self._task(folder, {}).seen.append(record)
        elif _about(value) or base in _BESIDE:
            self._beside(folder, value)
        else:
            key = folder if base in _HISTORY else f"{folder}/{base}"
            self._task(key, {}).said.append(record)

    def _task(self, key: str, value: Mapping[str, Any]) -> Task:
        name = text_or_none(value.get("sessionId")) or key.rsplit("/", 1)[-1]
        return self._tasks.setdefault(key, Task(name=name))

    def _beside(self, folder: str, value: Any) -> None:
        self._tally.ignore("about-task")
        up = value.get("parentTaskId") if isinstance(value, dict) else None
        if isinstance(up, str) and up:
            self._task(folder, {}).parent = up

    def close_file(self) -> None:
        """A task has several files."""

    def finish(self) -> Sequence[Session]:
        """All tasks."""
        return sessions_of(NAME, list(self._tasks.values()), self._tally)


def _about(value: Any) -> bool:
    return isinstance(value, dict) and "session_id" in value and "messages" not in value


def joins(value: Any, name: str) -> Iterable[str]:
    """The files of one folder; a sub-task with what started it."""
    folder, _ = _folder(name)
    yield f"folder {folder.rsplit('/', 1)[-1]}" if folder else name
    if isinstance(value, dict):
        for field in ("parentTaskId", "rootTaskId"):
            if isinstance(value.get(field), str):
                yield f"folder {value[field]}"


def sniff(peek: Peek) -> float:
    """The fixed names of its files, with what they hold."""
    if peek.kind != "json":
        return 0.0
    base = _folder(peek.name)[1]
    values = [v for v in peek.values if isinstance(v, dict)]
    if len(values) < len(peek.values) and base not in _BESIDE:
        return 0.0
    if base in _HISTORY:
        return 1.0 if all("content" in v or "messages" in v for v in values) else 0.0
    if base == _SEEN:
        return 1.0 if all("type" in v and ("say" in v or "ask" in v) for v in values) else 0.0
    if base in _BESIDE:
        return 0.9
    return max(map(_weigh, values[:1]), default=0.0)


def _weigh(value: Mapping[str, Any]) -> float:
    if isinstance(value.get("messages"), list) and "sessionId" in value:
        return 1.0 if "agent" in value and "origin" in value else 0.0
    if "session_id" in value and "messages_path" in value:
        return 1.0 if "workspace_root" in value else 0.0
    stored = {"role", "content", "ts"} <= value.keys() and isinstance(value["content"], list)
    return 0.6 if stored and value["role"] in ("user", "assistant") else 0.0


def _reader(tally: Tally) -> _Reader:
    return _Reader(tally)


FORMAT = Format(
    name=NAME,
    about="Cline, Roo and Kilo tasks; no schemas, input as parsed objects or XML tags in text",
    unit="message",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=joins,
)
