"""Planted faults, one or more for each of tracelint's rules, and right twins that resemble them.

`PLANTED`: (rule, whether it is a fault, what it is, the talk in OpenAI's form). `CONTRACT`: one
tools file in tracelint's own form, which misstep reads too.
"""

from __future__ import annotations

import json
from typing import Any

_ID = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}
_ANY = {"type": "object"}


def _tool(schema: dict[str, Any] = _ANY, **metadata: Any) -> dict[str, Any]:
    return {"schema": schema, "metadata": metadata}


CONTRACT: dict[str, Any] = {
    "off_limits": {"sources": ["bench.example"]},
    "tools": {
        "get_order": _tool(
            _ID, side_effecting=False, failure_when={"pointer": "/found", "equals": False}
        ),
        "refund": _tool(
            _ID, side_effecting=True, requires=[{"tool": "get_order", "same": ["order_id"]}]
        ),
        "pay": _tool(side_effecting=True, failure_when={"pointer": "/status", "in": ["declined"]}),
        "search": _tool(side_effecting=False),
        "fetch": _tool(side_effecting=False),
        "book": _tool(
            {
                "type": "object",
                "properties": {
                    "seat": {"enum": ["A12345", "B12345"]},
                    "trip_id": {"type": "string", "x-value-origin": "provided"},
                },
            },
            side_effecting=True,
        ),
        "batch": _tool(side_effecting=False),
        "count": {
            "schema": _ANY,
            "metadata": {"side_effecting": False},
            "output_schema": {"type": "object", "properties": {"n": {"type": "integer"}}},
        },
    },
}


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def _says(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def _talk(*turns: Any) -> list[dict[str, Any]]:
    """Messages; a tuple is a call with its result: (tool, arguments, result or None)."""
    out: list[dict[str, Any]] = []
    for at, turn in enumerate(turns):
        if isinstance(turn, dict):
            out.append(turn)
            continue
        name, arguments, result = turn
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        call = {"id": f"c{at}", "type": "function", "function": {"name": name, "arguments": text}}
        out.append({"role": "assistant", "content": None, "tool_calls": [call]})
        if result is not None:
            body = result if isinstance(result, str) else json.dumps(result)
            out.append({"role": "tool", "tool_call_id": f"c{at}", "content": body})
    return out


_ASK = _user("What about order W58213?")
_FOUND = ("get_order", {"order_id": "W58213"}, {"found": True})
_AGAIN = [("search", {"q": "x"}, "[]")] * 3

PLANTED: tuple[tuple[str, bool, str, Any], ...] = (
    (
        "R1",
        True,
        "a required argument is missing",
        _talk(_ASK, ("get_order", {}, {"found": False})),
    ),
    ("R1", False, "a call that fits", _talk(_ASK, _FOUND)),
    (
        "R2a",
        True,
        "a status 200 that the contract calls a failure",
        _talk(_ASK, ("pay", {"n": 1}, {"status": "declined"})),
    ),
    ("R2a", False, "no output is no error", _talk(_ASK, ("search", {"q": "x"}, ""))),
    (
        "R2a",
        False,
        "a file that speaks of errors",
        _talk(_ASK, ("fetch", {"p": "log"}, "All jobs\nerror: 0\nfailed: 0\nwell done")),
    ),
    (
        "R2b",
        True,
        "a value out of a failure, used in a payment",
        _talk(
            _ASK,
            ("get_order", {"order_id": "W58213"}, {"found": False, "account": "AC998877"}),
            ("pay", {"account": "AC998877"}, {"status": "ok"}),
        ),
    ),
    (
        "R2b",
        False,
        "a failure that tells the right value",
        _talk(
            _ASK,
            (
                "get_order",
                {"order_id": "W58213"},
                {"found": False, "error": "did you mean account AC998877?"},
            ),
            ("pay", {"account": "AC998877"}, {"status": "ok"}),
        ),
    ),
    (
        "R3",
        True,
        "an order number that nobody named",
        _talk(_user("Where is my order?"), ("get_order", {"order_id": "W58213"}, {"found": True})),
    ),
    (
        "R3",
        True,
        "the same, deep in a list",
        _talk(_user("All of them"), ("batch", {"items": [{"order_id": "W58213"}]}, "ok")),
    ),
    (
        "R3",
        True,
        "a provided argument that nobody provided",
        _talk(_user("Book it"), ("book", {"trip_id": "T-4417"}, "ok")),
    ),
    (
        "R3",
        True,
        "an id that only an echo of it supplied",
        _talk(
            _user("Pay it"),
            ("search", {"account": "AC998877"}, "Error: no account AC998877"),
            ("pay", {"account": "AC998877"}, {"status": "ok"}),
        ),
    ),
    (
        "R3",
        False,
        "a date by its month and day",
        _talk(_user("Trips on May 20th?"), ("search", {"date": "2024-05-20"}, "[]")),
    ),
    (
        "R3",
        False,
        "a choice out of words, an airport",
        _talk(_user("From New York"), ("search", {"origin": "JFK", "kind": "one_way"}, "[]")),
    ),
    (
        "R3",
        False,
        "a value out of the schema's enum",
        _talk(_user("Any seat"), ("book", {"seat": "A12345"}, "ok")),
    ),
    (
        "R3",
        False,
        "what the agent proposed and the user took",
        _talk(_user("Which one?"), _says("Order W58213?"), _user("Yes"), _FOUND),
    ),
    (
        "R3",
        False,
        "a command is the agent's own",
        _talk(_user("Look around"), ("search", {"command": "ls"}, "a")),
    ),
    ("R4", True, "the same call with the same result three times", _talk(_ASK, *_AGAIN)),
    (
        "R4",
        True,
        "the same, with other calls between",
        _talk(_ASK, *[t for one in _AGAIN for t in (one, ("count", {}, {"n": 1}))]),
    ),
    (
        "R4",
        False,
        "a poll that goes on",
        _talk(_ASK, *[("search", {"q": "x"}, f"[{i}]") for i in range(4)]),
    ),
    (
        "R5",
        True,
        "a look repeated, nothing between",
        _talk(
            _ASK,
            ("search", {"q": "x"}, "[]"),
            ("count", {}, {"n": 1}),
            ("search", {"q": "x"}, "[]"),
        ),
    ),
    (
        "R5",
        False,
        "a look repeated after a payment",
        _talk(
            _ASK,
            ("search", {"q": "x"}, "[]"),
            ("pay", {"n": 1}, {"status": "ok"}),
            ("search", {"q": "x"}, "[]"),
        ),
    ),
    ("R6", True, "arguments that are not JSON", _talk(_ASK, ("search", '{"q": "x"', "[]"))),
    ("R6", True, "arguments in an object's place", _talk(_ASK, ("search", '["x"]', "[]"))),
    ("R6", False, "no arguments at all", _talk(_ASK, ("search", "", "[]"))),
    ("R7", True, "a tool that is not offered", _talk(_ASK, ("serach", {"q": "x"}, "no such tool"))),
    ("R7", False, "a tool that is", _talk(_ASK, ("search", {"q": "x"}, "[]"))),
    ("R8", True, "paid twice", _talk(_ASK, *[("pay", {"n": 1}, {"status": "ok"})] * 2)),
    (
        "R8",
        False,
        "paid again after it was declined",
        _talk(_ASK, ("pay", {"n": 1}, {"status": "declined"}), ("pay", {"n": 1}, {"status": "ok"})),
    ),
    (
        "R8",
        False,
        "paid again because the user asked for it",
        _talk(
            _ASK,
            ("pay", {"n": 1}, {"status": "ok"}),
            _user("And the same once more, please"),
            ("search", {"q": "x"}, "[]"),
        ),
    ),
    ("R9", True, "a refund without a look", _talk(_ASK, ("refund", {"order_id": "W58213"}, "ok"))),
    (
        "R9",
        True,
        "a refund after a failed look",
        _talk(
            _ASK,
            ("get_order", {"order_id": "W58213"}, {"found": False}),
            ("refund", {"order_id": "W58213"}, "ok"),
        ),
    ),
    (
        "R9",
        False,
        "a refund after a look",
        _talk(_ASK, _FOUND, ("refund", {"order_id": "W58213"}, "ok")),
    ),
    ("R10", True, "a result that breaks its schema", _talk(_ASK, ("count", {}, {"n": "1"}))),
    ("R10", False, "a result that keeps it", _talk(_ASK, ("count", {}, {"n": 1}))),
    (
        "R12",
        True,
        "a payment of which nothing was heard",
        _talk(_ASK, ("pay", {"n": 1}, None), _says("Paid.")),
    ),
    ("R12", False, "a payment that came back", _talk(_ASK, ("pay", {"n": 1}, {"status": "ok"}))),
    (
        "R13",
        True,
        "a page that is off limits",
        _talk(_ASK, ("fetch", {"url": "https://www.bench.example/a"}, "x")),
    ),
    (
        "R13",
        True,
        "the same, in a list deep down",
        _talk(_ASK, ("batch", {"todo": [{"cmd": "curl https://bench.example/a"}]}, "x")),
    ),
    (
        "R13",
        False,
        "another page",
        _talk(_ASK, ("fetch", {"url": "https://example.org/bench"}, "x")),
    ),
)
