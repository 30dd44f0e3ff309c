"""OpenHands trajectories: event lists and `output.jsonl` of V0, conversation folders of the SDK.

A unit is an event. V0: a list of actions and observations, or a line with such a `history`. SDK: a
folder with `base_state.json` and `events/event-NNNNN-ID.json`, or a line whose `history` holds such
events. Kept: argument text byte for byte where the log has the model's answer, parallel calls as
one answer, tool errors with the cause that the log names, exit codes, condensations and rewinds as
sessions that continue others, delegates and sub-agents with the session that started them, usage
and model, `resolved` of a benchmark's report. Cannot tell: tool schemas (V0 from 0.30 has them),
an answer of V0 that could not be read, arguments that the SDK could not parse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from misstep.ingest.context import Contexts
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.harnesses import openhands_v0, openhands_v1
from misstep.ingest.harnesses.harness import items, list_at, mapping, object_at
from misstep.ingest.harnesses.openhands_talk import Talk
from misstep.ingest.messages import int_or_none, number_or_none, place, text_or_none
from misstep.ingest.oneby import set_aside
from misstep.types import Context, Outcome, Session, ToolSpec

NAME = "openhands"
_STATE = "base_state.json"
_SUB = "/subagents/"


class _Conversation(msgspec.Struct):
    """What is known of one conversation of the SDK."""

    events: list[tuple[str, Record, Mapping[str, Any], str]] = msgspec.field(default_factory=list)
    """File, record, event, pointer."""
    state: Mapping[str, Any] = msgspec.field(default_factory=dict)


class _Runs:
    """Reads the runs whose records belong together."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._contexts = Contexts()
        self._lists: dict[str, Talk] = {}
        self._folders: dict[str, _Conversation] = {}
        self._lines: list[Session] = []

    def read(self, record: Record) -> None:
        """Take one event, one state, or one line of results."""
        try:
            value = object_at(record.value, "")
            name = _name(record)
            if isinstance(value.get("history"), list):
                self._line(value, record)
            elif openhands_v1.is_event(value):
                conversation = self._folders.setdefault(_folder(name), _Conversation())
                conversation.events.append((name, record, value, ""))
            elif _is_state(value):
                self._folders.setdefault(_folder(name), _Conversation()).state = value
                self._tally.ignore("state")
            else:
                talk = self._lists.setdefault(name, Talk())
                self._old(value, record, "", talk)
        except Misfit as misfit:
            set_aside(self._tally, record, misfit)

    def _old(self, event: Mapping[str, Any], record: Record, pointer: str, talk: Talk) -> None:
        origin = record.at(place(record, pointer), str(event.get("id")))
        self._count(openhands_v0.take(event, talk, origin, self._contexts))

    def _count(self, kind: str | None) -> None:
        if kind is None:
            self._tally.use()
        else:
            self._tally.ignore(kind)

    def _line(self, value: Mapping[str, Any], record: Record) -> None:
        """One line of a benchmark's results."""
        rows = list_at(value.get("history"), "/history")
        flat = [
            (event, f"/history/{i}" + (f"/{j}" if isinstance(row, list) else ""))
            for i, row in enumerate(rows)
            for j, event in enumerate(row if isinstance(row, list) else [row])
        ]
        if not flat:
            raise Misfit("/history", "a history without events")
        self._tally.unfold(len(flat))
        family, outcome = text_or_none(value.get("instance_id")), _outcome(value)
        talk, conversation = Talk(family, outcome), _Conversation()
        for event, pointer in flat:
            try:
                body = object_at(event, pointer)
                if openhands_v1.is_event(body):
                    conversation.events.append(("", record, body, pointer))
                else:
                    self._old(body, record, pointer, talk)
            except Misfit as misfit:
                at = misfit.pointer or pointer
                set_aside(self._tally, record, Misfit(at, misfit.said, misfit.reason))
        self._lines.extend(talk.made(NAME))
        if conversation.events:
            self._lines.extend(self._told(conversation, Talk(family, outcome)))

    def _told(self, conversation: _Conversation, talk: Talk) -> Sequence[Session]:
        tools: dict[str, ToolSpec] = {}
        known = openhands_v1.answered(conversation.state)
        for _, record, event, pointer in sorted(conversation.events, key=lambda one: one[0]):
            origin = record.at(place(record, pointer), str(event.get("id")))
            if event.get("kind") == "SystemPromptEvent":
                tools.update((spec.name, spec) for spec in openhands_v1.tools_of(event))
            if tools and isinstance(event.get("action"), dict):
                name = text_or_none(event.get("tool_name"))
                tools.setdefault(name or "", ToolSpec(name=name or ""))
            self._count(openhands_v1.take(event, talk, origin, known))
            talk.mark(str(event.get("id")))
        tools.pop("", None)
        return talk.made(NAME, _offer(tuple(tools.values()), conversation.state))

    def close_file(self) -> None:
        """A conversation of the SDK has many files."""

    def finish(self) -> Sequence[Session]:
        """All runs; sub-agents after the conversation that started them."""
        sessions = [s for talk in self._lists.values() for s in talk.made(NAME)]
        first: dict[str, str] = {}
        for folder in sorted(self._folders, key=lambda f: (f.count(_SUB), f)):
            conversation = self._folders[folder]
            up = folder.rpartition(_SUB)[0]
            root = folder.partition(_SUB)[0]
            talk = Talk(text_or_none(self._state_of(root).get("id")))
            talk.sub_agent = bool(up)
            for made in self._told(conversation, talk):
                started = made.parent is None and up in first
                sessions.append(replace(made, parent=first[up]) if started else made)
                first.setdefault(folder, made.id)
        return (*self._lines, *sessions)

    def _state_of(self, folder: str) -> Mapping[str, Any]:
        known = self._folders.get(folder)
        return known.state if known is not None else {}


def _name(record: Record) -> str:
    member = record.origin.member
    return record.origin.file if member is None else f"{record.origin.file}!{member}"


def _folder(name: str) -> str:
    """The conversation that a file of the SDK belongs to."""
    folder, _, file = name.replace("!", "/").rpartition("/")
    if file == _STATE:
        return folder
    return folder.removesuffix("/events") if file.startswith("event") else name


def joins(value: Any, name: str) -> Iterable[str]:
    """Events of one list belong together, and all files of one conversation and its sub-agents."""
    if isinstance(value, dict) and isinstance(value.get("history"), list):
        return ()
    if isinstance(value, dict) and (openhands_v1.is_event(value) or _is_state(value)):
        return (f"folder:{_folder(name).partition(_SUB)[0]}",)
    return (f"file:{name}",)


def _offer(tools: tuple[ToolSpec, ...], state: Mapping[str, Any]) -> Context | None:
    model = mapping(mapping(state.get("agent")).get("llm"))
    offer = Context(
        tools=tools,
        max_tokens=int_or_none(model.get("max_output_tokens")),
        temperature=number_or_none(model.get("temperature")),
        top_p=number_or_none(model.get("top_p")),
    )
    return None if offer == Context() else offer


def _outcome(value: Mapping[str, Any]) -> Outcome | None:
    """What a benchmark's report says, wherever it stands."""
    tested = mapping(value.get("test_result"))
    for place_ in (value.get("report"), tested.get("report"), tested, value):
        resolved = mapping(place_).get("resolved")
        if isinstance(resolved, bool):
            return Outcome(resolved=resolved)
    return None


def _is_state(value: Mapping[str, Any]) -> bool:
    return isinstance(value.get("agent"), dict) and "workspace" in value and "id" in value


def _weigh(value: dict[str, Any]) -> float:
    history = items(value.get("history"))
    if history:
        first = history[0][0] if isinstance(history[0], list) and history[0] else history[0]
        return _weigh_event(mapping(first)) if "instance_id" in value else 0.0
    if _is_state(value):
        return 0.9 if "execution_status" in value or "agent_status" in value else 0.0
    return _weigh_event(value)


def _weigh_event(value: Mapping[str, Any]) -> float:
    if openhands_v1.is_event(value):
        sort = str(value.get("kind"))
        known = sort.endswith(("Event", "Observation")) or sort.startswith("Condensation")
        return 1.0 if known and value["source"] in _SOURCES else 0.0
    told = isinstance(value.get("action"), str) and isinstance(value.get("args"), dict)
    seen = isinstance(value.get("observation"), str) and "content" in value
    return 1.0 if (told or seen) and value.get("source") in _SOURCES else 0.0


_SOURCES = ("agent", "user", "environment", "hook")


def sniff(peek: Peek) -> float:
    """Actions and observations with a source, events with a kind, or lines with their history."""
    return share(peek, _weigh)


def _reader(tally: Tally) -> _Runs:
    return _Runs(tally)


FORMAT = Format(
    name=NAME,
    about="OpenHands event lists, output.jsonl and SDK conversation folders; few tool schemas",
    unit="event",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=joins,
)
