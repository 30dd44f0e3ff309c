"""What each validator costs: measured on the spot on a small built-in text, or as committed.

In: validators. Out: steps and megabytes a second of each one alone, on one core, everything that it
derives (parsed arguments, paired results) included. The built-in text is ordinary work: calls that
fit their schema with results, JSON answers, prose and code, so the figures say what validation
costs where nothing is wrong. A step's megabytes are its text, reasoning and arguments.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources

import msgspec

from misstep.types import Context, Finding, Message, Part, Session, ToolCall, ToolResult, ToolSpec
from misstep.validate.transcript import Transcript
from misstep.validate.validator import Settings, Step

Check = Callable[[Step], Iterable[Finding]]
_ROUNDS = 12
_SCHEMA = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "pattern": {"type": "string"},
        "limit": {"type": "integer", "minimum": 1},
        "kind": {"enum": ["file", "folder"]},
    },
    "required": ["path", "pattern"],
}
_PROSE = (
    "The {n} folders under {path} hold the readers, one to each kind of log. I looked at what "
    "they share: each takes a record, says what became of it, and gives sessions at the end. "
    "Reader {n} differs in that it waits for the other half of a pair before it speaks.\n\n"
    "```python\ndef read_{n}(record: dict) -> int:\n    total = record.get('size', {n})\n"
    "    return total if total > {n} else {n} * 2\n```\n\n"
)


class Cost(msgspec.Struct, frozen=True):
    """The speed of one validator alone, on one core."""

    steps: float
    """Steps a second."""
    megabytes: float
    """Megabytes of the steps' text a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The figures that were committed, and where they are from."""

    machine: str
    date: str
    costs: Mapping[str, Cost]


def committed() -> Committed:
    """The committed figures (benchmarks/parts/costs.py writes them)."""
    text = resources.files("misstep.validate").joinpath("costs.json").read_text("utf-8")
    found = json.loads(text)
    costs = {name: Cost(*pair) for name, pair in found["costs"].items()}
    return Committed(machine=found["machine"], date=found["date"], costs=costs)


def measure(check: Check, *, seconds: float = 0.3) -> Cost:
    """The speed of one check on the built-in text, over `seconds` at least; the best round."""
    sessions = tuple(_sessions())
    size = sum(_size(session.messages[i]) for session in sessions for i in session.steps)
    count = sum(1 for session in sessions for _ in session.steps)
    best, spent = float("inf"), 0.0
    while spent < seconds:
        took = _round(check, sessions)
        best, spent = min(best, took), spent + took
    return Cost(steps=count / best, megabytes=size / best / 1e6)


def _round(check: Check, sessions: Iterable[Session]) -> float:
    settings = Settings()
    start = time.perf_counter()
    for session in sessions:
        transcript = Transcript(session)
        for index in session.steps:
            step = Step(session=session, index=index, settings=settings, transcript=transcript)
            for _ in check(step):
                pass
    return max(time.perf_counter() - start, 1e-9)


def _size(message: Message) -> int:
    return sum(
        len((part.call.arguments if part.call else part.text or "").encode())
        for part in message.parts
    )


def _sessions() -> Iterator[Session]:
    """Sessions of a call, its result, a second call, a JSON answer and an answer in prose."""
    tool = ToolSpec(name="find_files", parameters=json.dumps(_SCHEMA))
    contexts = (
        Context(tools=(tool,)),
        Context(response_schema=json.dumps(_SCHEMA)),
    )
    for n in range(_ROUNDS):
        value = {"path": f"src/room_{n}", "pattern": f"*_{n}.py", "limit": n + 1, "kind": "file"}
        text = json.dumps(value)
        prose = "".join(_PROSE.format(n=7 * n + i, path=f"src/room_{n}_{i}") for i in range(3))
        yield Session(
            id=f"built-in-{n}",
            format="built-in",
            contexts=contexts,
            messages=(
                _said("user", f"Find the files of room src/room_{n} that match *_{n}.py."),
                *_called(f"a{n}", text, f"src/room_{n}/read_{n}.py\nsrc/room_{n}/write_{n}.py"),
                *_called(f"b{n}", json.dumps(value | {"kind": "folder"}), f"src/room_{n}/more"),
                _said("assistant", text, context=1),
                _said("user", "Tell me what they do."),
                _said("assistant", prose, context=0),
            ),
        )


def _said(role: str, text: str, context: int | None = None) -> Message:
    part = Part(kind="text", text=text)
    if role == "user":
        return Message(role="user", parts=(part,))
    return Message(role="assistant", parts=(part,), context=context, finish_reason="stop")


def _called(id: str, arguments: str, result: str) -> Iterator[Message]:
    call = ToolCall(name="find_files", arguments=arguments, id=id)
    yield Message(
        role="assistant",
        parts=(Part(kind="call", call=call),),
        context=0,
        finish_reason="tool_calls",
    )
    answer = ToolResult(text=result, call_id=id, name="find_files", is_error=False)
    yield Message(role="tool", parts=(Part(kind="result", result=answer),))
