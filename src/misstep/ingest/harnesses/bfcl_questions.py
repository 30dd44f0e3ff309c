"""BFCL's question files as what was asked and offered, for results that keep neither.

In: the lines of question files, `{id, question, function}` or `{id, question, involved_classes}`,
and the function documents beside them. Out: `Task` values by question id, and sessions in which
questions and tools stand in their places. Dots in names become underscores, as function-calling
mode sends them, unless the session itself calls a dotted name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson
from msgspec.structs import replace

from misstep.ingest.context import spec_of
from misstep.ingest.format import Misfit
from misstep.ingest.identity import session_id
from misstep.ingest.messages import chat_message
from misstep.types import Context, Message, Session, ToolSpec

DOCUMENTS = {
    "GorillaFileSystem": "gorilla_file_system",
    "MathAPI": "math_api",
    "MessageAPI": "message_api",
    "TwitterAPI": "posting_api",
    "TicketAPI": "ticket_api",
    "TradingBot": "trading_bot",
    "TravelAPI": "travel_booking",
    "VehicleControlAPI": "vehicle_control",
    "WebSearchAPI": "web_search",
    "MemoryAPI_kv": "memory_kv",
    "MemoryAPI_vector": "memory_vector",
    "MemoryAPI_rec_sum": "memory_rec_sum",
}
"""The document that holds the functions of a class, without `.json`."""
STAND_IN = "[question "
"""How the text begins that stands where a log keeps no question."""
_CODE = ("simple_java", "java", "javascript")


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One question."""

    turns: tuple[tuple[Message, ...], ...]
    tools: tuple[ToolSpec, ...]
    later: Mapping[int, tuple[ToolSpec, ...]] = msgspec.field(default_factory=dict)
    """Tools that are only offered from a turn on."""


def is_question(value: Any) -> bool:
    """Whether a line is a question."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("id"), str)
        and isinstance(value.get("question"), list)
        and ("function" in value or "involved_classes" in value)
    )


def stand_in(task: str, turn: int) -> str:
    """The text that stands in for a turn's question."""
    return f"{STAND_IN}{task}, turn {turn + 1}]"


def task_of(value: Mapping[str, Any], documents: Mapping[str, Sequence[Any]]) -> Task:
    """A question line.

    Args:
        documents: function documents by file name, without `.json`.

    Raises:
        Misfit: a message or a function has no known shape.
    """
    offered = list(_functions(value, documents))
    held = value.get("missed_function")
    held = held if isinstance(held, dict) else {}
    left_out = set(_names(value.get("excluded_function")))
    waiting = {str(name) for names in held.values() for name in _names(names)} | left_out
    by_name = {str(f.get("name")): f for f in offered if isinstance(f, dict)}
    code = value["id"].startswith(_CODE)
    return Task(
        turns=tuple(tuple(_turn(turn, index)) for index, turn in enumerate(value["question"])),
        tools=tuple(_spec(f, code) for name, f in by_name.items() if name not in waiting),
        later={
            int(turn): tuple(_spec(by_name[n], code) for n in _names(names) if n in by_name)
            for turn, names in held.items()
            if str(turn).isdecimal() and len(str(turn)) < 9
        },
    )


def _names(listed: Any) -> Iterator[str]:
    for one in listed if isinstance(listed, list) else ():
        yield str(one.get("name")) if isinstance(one, dict) else str(one)


def _functions(
    value: Mapping[str, Any], documents: Mapping[str, Sequence[Any]]
) -> Iterator[Mapping[str, Any]]:
    listed = value.get("function")
    listed = [listed] if isinstance(listed, dict) else listed
    for function in listed if isinstance(listed, list) else ():
        if isinstance(function, dict):
            yield function
    classes = value.get("involved_classes")
    for name in classes if isinstance(classes, list) else ():
        yield from documents.get(DOCUMENTS.get(str(name), ""), ())


def _turn(turn: Any, index: int) -> Iterator[Message]:
    for row in turn if isinstance(turn, list) else [turn]:
        message = chat_message(row, f"/question/{index}")
        yield replace(message, actor="human") if message.role == "user" else message


def _spec(function: Mapping[str, Any], code: bool) -> ToolSpec:
    """In the Java and JavaScript questions every argument is offered as text."""
    if code:
        function = {**function, "parameters": _as_text(function.get("parameters"))}
    return replace(spec_of(function), source="given")


def _as_text(schema: Any) -> Any:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(schema, dict) or not isinstance(properties, dict):
        return schema
    return {**schema, "properties": {name: {"type": "string"} for name in properties}}


def asked(session: Session, task: Task) -> Session:
    """The session with the task's questions and tools where its log kept none."""
    messages: list[Message] = []
    contexts = list(session.contexts)
    turn = -1
    for message in session.messages:
        if message.role in ("user", "system"):
            opens = not messages or messages[-1].role not in ("user", "system")
            turn += opens
            if message.text.startswith(STAND_IN) and message.actor == "harness":
                held = task.turns[turn] if turn < len(task.turns) else ()
                messages += [replace(m, origins=message.origins) for m in held] or [message]
                continue
        elif message.role == "assistant" and not _offered(session, message):
            given = Context(tools=tuple(_tools(task, turn, session)))
            if given not in contexts:
                contexts.append(given)
            message = replace(message, context=contexts.index(given))
        messages.append(message)
    used = tuple(contexts)
    return replace(session, id=session_id(messages, used), messages=tuple(messages), contexts=used)


def _offered(session: Session, message: Message) -> bool:
    return message.context is not None and bool(session.contexts[message.context].tools)


def _tools(task: Task, turn: int, session: Session) -> Iterator[ToolSpec]:
    late = (spec for at, specs in sorted(task.later.items()) if at <= turn for spec in specs)
    offered = [*task.tools, *late]
    dotted = {tool.name for tool in offered if "." in tool.name}
    called = {call.name for message in session.messages for call in message.calls}
    for tool in offered:
        kept = bool(dotted & called)
        yield tool if kept else replace(tool, name=tool.name.replace(".", "_"))


def tasks_of(
    values: Iterable[Any], documents: Mapping[str, Sequence[Any]]
) -> Iterator[tuple[str, Task]]:
    """The tasks of question lines; what is no question is left out."""
    for value in values:
        if is_question(value):
            yield value["id"], task_of(value, documents)


def specs_of(functions: Any) -> tuple[ToolSpec, ...]:
    """Logged functions; those that are none are left out."""
    specs = []
    for function in functions if isinstance(functions, list) else ():
        try:
            specs.append(spec_of(function))
        except Misfit:
            continue
    return tuple(specs)


def lines_of(data: bytes) -> list[Any]:
    """JSON lines; a line that is no JSON ends in nothing.

    Raises:
        orjson.JSONDecodeError: a line is no JSON.
    """
    return [orjson.loads(line) for line in data.splitlines() if line.strip()]
