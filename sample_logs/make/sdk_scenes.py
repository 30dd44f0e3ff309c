"""Scripted conversations for the samples that real SDKs record: what the model says, what tools do.

In: nothing. Out: `SCENES` by name (a user's request and the replies that `model_server` plays), the
tools in OpenAI's spelling, and `use`, which runs one simulated call. Every scene fails, or does
not, in a way that its name says.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from model_wires import Call, Reply

TOOLS: dict[str, tuple[str, dict[str, Any]]] = {
    "get_weather": (
        "The weather in a city today.",
        {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    ),
    "get_order": (
        "The state of an order.",
        {
            "type": "object",
            "properties": {"order_id": {"type": "integer"}},
            "required": ["order_id"],
            "additionalProperties": False,
        },
    ),
}
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
_WEATHER = {"Oslo": "rain, 7 degrees", "Bergen": "wind, 9 degrees"}


@dataclass(frozen=True)
class Scene:
    """One conversation."""

    user: str
    replies: tuple[Reply, ...]
    stream: bool = False
    schema: dict[str, Any] | None = None
    """JSON Schema that the answer must meet."""
    rounds: int = 6
    """Requests after which the agent gives up."""


def _weather(city: str, **more: str) -> Call:
    return Call("get_weather", json.dumps({"city": city, **more}))


SCENES: dict[str, Scene] = {
    "clean": Scene(
        "Do I need an umbrella in Oslo or Bergen?",
        (
            Reply(
                "I look at both.",
                calls=(_weather("Oslo"), _weather("Bergen", unit="celsius")),
                reasoning="Two cities, two calls.",
            ),
            Reply("In Oslo, yes: it rains. In Bergen it is only windy."),
        ),
    ),
    "broken arguments, streamed": Scene(
        "How warm is it in Oslo?",
        (
            Reply(calls=(Call("get_weather", '{"city": "Oslo", "unit": celsius}'),)),
            Reply(calls=(_weather("Oslo", unit="celsius"),)),
            Reply("It is 7 degrees in Oslo."),
        ),
        stream=True,
    ),
    "unknown tool": Scene(
        "Will it rain in Bergen tomorrow?",
        (
            Reply(calls=(Call("get_forecast", '{"city": "Bergen"}'),)),
            Reply("I can only see today's weather."),
        ),
    ),
    "breaks the schema": Scene(
        "Where is my order 17?",
        (
            Reply("Let me see.", calls=(Call("get_order", '{"order_id": "seventeen"}'),)),
            Reply(calls=(Call("get_order", '{"order_id": 17}'),)),
            Reply("Order 17 is on its way."),
        ),
    ),
    "tool fails": Scene(
        "Where is my order 404?",
        (
            Reply(calls=(Call("get_order", '{"order_id": 404}'),)),
            Reply("There is no order 404."),
        ),
    ),
    "structured": Scene(
        "Give me Bergen as JSON.",
        (Reply('{"city": "Bergen", "people": 291000}'),),
        schema=CITY,
    ),
    "structured, broken": Scene(
        "Give me Oslo as JSON.",
        (Reply('```json\n{"city": "Oslo", "people": "many"}\n```'),),
        schema=CITY,
    ),
    "refusal": Scene(
        "Give me the home address of the mayor as JSON.",
        (Reply(refusal="I cannot help with that."),),
        schema=CITY,
    ),
    "too long": Scene(
        "Tell me everything about rain.",
        (Reply("Rain is water that falls from clouds, and", finish="length"),),
    ),
    "rate limit": Scene(
        "Is it cold in Oslo?",
        (Reply(status=429), Reply(calls=(_weather("Oslo"),)), Reply("A little: 7 degrees.")),
    ),
    "cut stream": Scene(
        "How is the weather in Bergen?",
        (Reply(calls=(_weather("Bergen"),), cut_after=3),),
        stream=True,
        rounds=1,
    ),
}


def use(name: str, arguments: str | dict[str, Any]) -> tuple[str, bool]:
    """What a tool gives back, and whether it failed."""
    if name not in TOOLS:
        return f"Error: there is no tool {name!r}", True
    try:
        given = json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError as error:
        return f"Error: the arguments are not JSON: {error}", True
    if name == "get_weather":
        return _WEATHER.get(str(given.get("city")), "no report"), False
    order = given.get("order_id")
    if not isinstance(order, int):
        return f"Error: order_id must be an integer, got {order!r}", True
    return ("Error: no such order", True) if order == 404 else ("shipped on Monday", False)
