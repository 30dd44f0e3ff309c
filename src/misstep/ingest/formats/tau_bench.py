"""tau-bench trajectories: a list of `{task_id, trial, reward, info, traj}`, `traj` in chat form.

Kept: messages with argument text verbatim, the reward as outcome, the task as family. The format
keeps no tool schemas, no model, no times, and no error flag: a failed call is only text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.formats.chat_rows import RowReader
from misstep.ingest.messages import kind_of, number_or_none, place
from misstep.types import Outcome, Session, content_id

NAME = "tau-bench"


class _Runs:
    """Reads runs; each is a session of its own, however much two of them share."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._rows = RowReader(tally, NAME, {"user": "simulated-user", "assistant": "agent"})
        self._sessions: list[Session] = []

    def read(self, record: Record) -> None:
        """Take one run."""
        try:
            self._sessions.append(self._run(record))
        except Misfit as misfit:
            origin = record.at(place(record, misfit.pointer))
            self._tally.aside(origin, misfit.reason, misfit.said)
        else:
            self._tally.use()

    def _run(self, record: Record) -> Session:
        run = record.value
        if not isinstance(run, dict):
            raise Misfit("", f"expected a run object, got {kind_of(run)}", "unknown-record")
        traj = run.get("traj")
        if not isinstance(traj, list):
            raise Misfit("/traj", f"expected a list of messages, got {kind_of(traj)}")
        if not traj:
            raise Misfit("/traj", "the list of messages is empty")
        name = f"task {run.get('task_id')} trial {run.get('trial')}"
        session = self._rows.session({"id": name}, traj, record, "/traj")
        reward = number_or_none(run.get("reward"))
        return replace(
            session,
            outcome=None if reward is None else Outcome(reward=reward),
            family=_task(run),
        )

    def close_file(self) -> None:
        """Runs do not depend on their file."""

    def finish(self) -> tuple[Session, ...]:
        """All runs."""
        return tuple(self._sessions)


def _task(run: Mapping[str, Any]) -> str:
    """The same task has the same name in every file, and the same number may be another task."""
    info = run.get("info")
    task = info.get("task") if isinstance(info, dict) else None
    text = task.get("instruction") if isinstance(task, dict) else None
    return f"task-{run.get('task_id')}" + (f"-{content_id(text)}" if isinstance(text, str) else "")


def _weigh(value: dict[str, Any]) -> float:
    return 1.0 if isinstance(value.get("traj"), list) and "task_id" in value else 0.0


def sniff(peek: Peek) -> float:
    """Objects with a task and a trajectory."""
    return share(peek, _weigh)


def _reader(tally: Tally) -> _Runs:
    return _Runs(tally)


FORMAT = Format(
    name=NAME,
    about="tau-bench trajectories with their reward; no schemas, no error flag, no model, no times",
    unit="row",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    evidence="files",
)
