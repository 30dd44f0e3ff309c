"""ATIF trajectories (Harbor): `{schema_version: "ATIF-v1.x", agent, steps}`, one run a file.

A unit is a trajectory; one that embeds sub-agents holds several. Kept: tool definitions, messages,
reasoning, calls, results with the error flags and exit codes that producers put into `extra`,
model, usage, times. Arguments are parsed objects. An observation in which Terminus turns an answer
down is the fault of that answer. Steps marked as copied context are the beginning that the session
shares with the run before; continuations and sub-agents in files beside each other or embedded name
the session that they come from. Cannot tell: the answer as it was written, the reward.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from misstep.ingest.build import linear
from misstep.ingest.context import Contexts
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.harnesses.atif_steps import Told, file_name
from misstep.ingest.harnesses.harness import (
    items,
    list_at,
    mapping,
    object_at,
)
from misstep.ingest.messages import text_or_none
from misstep.ingest.oneby import set_aside
from misstep.types import Context, Session, content_id

NAME = "atif"
_MOST = 10_000
"""Embedded trajectories that one file may hold."""


class _Run(msgspec.Struct, frozen=True):
    """A trajectory that was read."""

    session: Session
    names: frozenset[str]
    """What others may call it: its file, its ids."""
    refers: tuple[str, ...]
    """What it says comes from it."""
    parent: str | None
    """What it says it comes from."""


class _Runs:
    """Reads the trajectories that belong together."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._contexts = Contexts()
        self._runs: list[_Run] = []

    def read(self, record: Record) -> None:
        """Take one file's trajectory with all that are embedded in it."""
        found = list(_embedded(record.value))
        self._tally.unfold(max(1, len(found)))
        for value, pointer in found:
            try:
                run = self._run(object_at(value, pointer), record, pointer)
            except Misfit as misfit:
                set_aside(self._tally, record, misfit)
            else:
                self._tally.use()
                self._runs.append(run)

    def _run(self, value: Mapping[str, Any], record: Record, pointer: str) -> _Run:
        agent = mapping(value.get("agent"))
        told = Told(record, agent, sub_agent=bool(pointer) or _is_sub(agent))
        steps = list_at(value.get("steps"), f"{pointer}/steps")
        copied = 0
        for index, step in enumerate(steps):
            body = object_at(step, f"{pointer}/steps/{index}")
            told.take(body, f"{pointer}/steps/{index}")
            if body.get("is_copied_context") is True:
                copied = len(told.messages)
        name = text_or_none(value.get("session_id"))
        made = linear(
            NAME,
            told.messages,
            contexts=self._offer(agent),
            family=name or content_id(*(m.text for m in told.messages if m.role == "user")),
        )
        file = record.origin.member or record.origin.file
        own = text_or_none(value.get("trajectory_id"))
        known = {file.rpartition("/")[2] if not pointer else None, own, name}
        continued = text_or_none(value.get("continued_trajectory_ref"))
        return _Run(
            session=replace(made, prefix=copied),
            names=frozenset(n for n in known if n),
            refers=(*told.refers, *([file_name(continued)] if continued else [])),
            parent=text_or_none(mapping(agent.get("extra")).get("parent_session_id")),
        )

    def _offer(self, agent: Mapping[str, Any]) -> Context | None:
        tools = agent.get("tool_definitions")
        known = {
            "tools": tools if isinstance(tools, list) else None,
            "temperature": mapping(agent.get("extra")).get("temperature"),
        }
        offer = self._contexts.of(known)
        return None if offer == Context() else offer

    def close_file(self) -> None:
        """A run may go on in another file."""

    def finish(self) -> Sequence[Session]:
        """All trajectories, each with the one that it comes from."""
        out = []
        for run in self._runs:
            up = next((r for r in self._runs if r is not run and _starts(r, run)), None)
            made = run.session
            if up is not None and up.session.id != made.id:
                made = replace(made, parent=up.session.id, family=up.session.family)
            out.append(made)
        return tuple(out)


def _starts(one: _Run, other: _Run) -> bool:
    if any(name in other.names for name in one.refers):
        return True
    return other.parent is not None and other.parent in one.names


def _embedded(value: Any) -> Iterator[tuple[Any, str]]:
    """A trajectory and those in it, in their order."""
    waiting: list[tuple[Any, str]] = [(value, "")]
    count = 0
    while waiting and count < _MOST:
        one, pointer = waiting.pop(0)
        count += 1
        yield one, pointer
        for index, sub in enumerate(items(mapping(one).get("subagent_trajectories"))):
            waiting.append((sub, f"{pointer}/subagent_trajectories/{index}"))


def _is_sub(agent: Mapping[str, Any]) -> bool:
    return "parent_session_id" in mapping(agent.get("extra"))


def joins(value: Any, name: str) -> Iterable[str]:
    """Files of one run lie beside each other: `trajectory.json`, `trajectory.cont-1.json` …"""
    folder, _, file = name.replace("!", "/").rpartition("/")
    return (f"run:{folder}/{file.partition('.')[0]}",)


def _weigh(value: dict[str, Any]) -> float:
    version = value.get("schema_version")
    steps = value.get("steps")
    if isinstance(version, str) and version.upper().startswith("ATIF"):
        return 1.0
    told = [s for s in items(steps) if isinstance(s, dict) and "step_id" in s and "source" in s]
    return 0.6 if told and isinstance(value.get("agent"), dict) else 0.0


def sniff(peek: Peek) -> float:
    """The schema version names ATIF."""
    return share(peek, _weigh)


def _reader(tally: Tally) -> _Runs:
    return _Runs(tally)


FORMAT = Format(
    name=NAME,
    about="ATIF trajectories of Harbor, with sub-agents and continuations; parsed arguments only",
    unit="trajectory",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=joins,
)
