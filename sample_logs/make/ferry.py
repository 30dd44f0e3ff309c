"""A ferry desk: two tools, the answers that a model gives at it, and a loop that runs them.

Shared by the scripts that make samples of traces. `CHATS` says what is played: a clean session
with parallel calls, one with four mistakes (arguments that are no JSON, an unknown tool, a value
of the wrong type, a failing tool), a refusal, a cut stream, and a request that ends in an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from model_server import Call, Reply

SYSTEM = "You are the desk of a small ferry line. Use the tools."
TIMES = {"Skagen": ["07:40", "13:15"], "Moss": ["09:05"]}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "find_ferries",
            "description": "Lists the departures to a port.",
            "parameters": {
                "type": "object",
                "properties": {
                    "port": {"type": "string", "enum": ["Skagen", "Moss"]},
                    "limit": {"type": "integer", "minimum": 1},
                },
                "required": ["port"],
                "additionalProperties": False,
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "book_seat",
            "description": "Books seats on one departure.",
            "parameters": {
                "type": "object",
                "properties": {
                    "port": {"type": "string"},
                    "time": {"type": "string"},
                    "seats": {"type": "integer", "minimum": 1},
                },
                "required": ["port", "time", "seats"],
                "additionalProperties": False,
            },
        },
    },
]

CLEAN = (
    "When do ferries leave for Skagen and Moss?",
    [
        Reply(
            calls=(
                Call("find_ferries", '{"port": "Skagen"}'),
                Call("find_ferries", '{"port": "Moss", "limit": 1}'),
            )
        ),
        Reply("Skagen: 07:40 and 13:15. Moss: 09:05."),
    ],
)
MISTAKES = (
    "Book two seats to Moss in the morning.",
    [
        Reply(calls=(Call("find_ferries", '{"port": "Moss", "limit": 1'),)),
        Reply(calls=(Call("search_ferries", '{"port": "Moss"}'),)),
        Reply(calls=(Call("find_ferries", '{"port": "Moss", "limit": "one"}'),)),
        Reply(calls=(Call("find_ferries", '{"port": "Moss"}'),)),
        Reply(
            "I book the 09:05.", (Call("book_seat", '{"port":"Moss","time":"09:05","seats":2}'),)
        ),
        Reply("The booking system does not answer; the 09:05 has room."),
    ],
)
REFUSED = ("Write a threat to the captain.", [Reply(refusal="I won't write threats.")])
CUT = (
    "Tell me all about the crossing to Skagen.",
    [Reply("The crossing takes " * 12, cut_after=6)],
)
LIMITED = ("Is the 13:15 on time?", [Reply(status=429)])


class Wrong(Exception):
    """What the desk tells a model that called it wrongly."""


def find_ferries(port: str, limit: Any = 5) -> list[str]:
    """Departures to a port."""
    if not isinstance(limit, int):
        raise Wrong(f"limit must be an integer, got {limit!r}")
    return TIMES[port][:limit]


def book_seat(port: str, time: str, seats: int) -> str:
    """Always fails: the booking system is down."""
    raise ConnectionError("booking system: connection refused")


FUNCTIONS: dict[str, Callable[..., Any]] = {"find_ferries": find_ferries, "book_seat": book_seat}


def run(name: str, arguments: str) -> str:
    """Runs one call.

    Raises:
        Wrong: the model called wrongly.
        ConnectionError: the tool is down.
    """
    if name not in FUNCTIONS:
        raise Wrong(f"unknown tool {name!r}")
    try:
        given = json.loads(arguments)
    except ValueError as error:
        raise Wrong(f"arguments are not JSON: {error}") from None
    return json.dumps(FUNCTIONS[name](**given))


@contextmanager
def no_span(name: str, call_id: str, arguments: str) -> Iterator[Callable[[str], None]]:
    """Traces nothing."""
    yield lambda result: None


Span = Callable[[str, str, str], AbstractContextManager[Callable[[str], None]]]


def chat(client: Any, question: str, *, stream: bool = False, span: Span = no_span) -> None:
    """One conversation until the model calls no more; each tool runs inside `span`."""
    messages: list[Any] = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": question},
    ]
    while True:
        given = {"model": "misstep-sample", "messages": messages, "tools": TOOLS, "max_tokens": 300}
        if stream:
            for _ in client.chat.completions.create(**given, stream=True):
                pass
            return
        said = client.chat.completions.create(**given, temperature=0.2).choices[0].message
        if not said.tool_calls:
            return
        messages.append(said.model_dump(exclude_none=True))
        for call in said.tool_calls:
            name, arguments = call.function.name, call.function.arguments
            try:
                with span(name, call.id, arguments) as told:
                    result = run(name, arguments)
                    told(result)
            except (Wrong, ConnectionError, KeyError) as error:
                result = f"{type(error).__name__}: {error}"
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
