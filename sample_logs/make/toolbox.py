"""The tools that the simulated agent is offered: schemas and what they answer.

In: nothing. Out: `TOOLBOX`, a tuple of `Tool`. Every schema closes itself
(`additionalProperties: false`) and is kept small, because a prompt carries two or three of them.
The tools touch nothing real: `run` makes up a short answer from the arguments alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Args = dict[str, Any]
Schema = dict[str, Any]

DATE: Schema = {"type": "string", "format": "date"}
CLOCK: Schema = {"type": "string", "pattern": "^[0-9]{2}:[0-9]{2}$"}
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
CODE: Schema = {"type": "string", "pattern": "^[A-Z]{3}$"}
ORDER: Schema = {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{5}$"}
MAIL: Schema = {"type": "string", "format": "email"}


class ToolFailed(Exception):
    """The tool took the arguments and could not do it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool: what a request shows of it, and what it answers."""

    name: str
    description: str
    parameters: Schema
    run: Callable[[Args], str]

    @property
    def chat(self) -> Schema:
        """The tool in the spelling of OpenAI's chat requests."""
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": self.parameters,
            },
        }


def _object(required: str, **properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def _one_of(words: str) -> Schema:
    return {"enum": words.split()}


def _whole(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def _number(low: float, high: float) -> Schema:
    return {"type": "number", "minimum": low, "maximum": high}


def _list(item: Schema, most: int) -> Schema:
    return {"type": "array", "items": item, "minItems": 1, "maxItems": most}


def _say(text: str) -> Callable[[Args], str]:
    """A tool that answers one JSON line with `text` filled from the arguments."""
    return lambda args: json.dumps({"ok": True, "info": text.format_map(_Blank(args))})


class _Blank(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "-"


def _order(args: Args) -> str:
    digits = args["order_id"][-5:]
    if digits.endswith("0"):
        raise ToolFailed(f"no order {args['order_id']} in this account")
    state = ("packed", "shipped", "delivered")[int(digits) % 3]
    return json.dumps({"order_id": args["order_id"], "state": state})


def _weather(args: Args) -> str:
    high = 4 + sum(map(ord, args["city"])) % 24
    return json.dumps({"city": args["city"], "high": high, "sky": "cloudy" if high < 15 else "sun"})


TOOLBOX: tuple[Tool, ...] = (
    Tool(
        name="add_event",
        description="New calendar entry",
        parameters=_object("title date start", title=TEXT, date=DATE, start=CLOCK),
        run=_say("{title} on {date} at {start}"),
    ),
    Tool(
        name="set_reminder",
        description="Remind the user",
        parameters=_object("text due", text=TEXT, due=DATE, priority=_one_of("low high")),
        run=_say("will remind on {due}"),
    ),
    Tool(
        name="convert_money",
        description="Exchange rate",
        parameters=_object("amount source target", amount=NUMBER, source=CODE, target=CODE),
        run=_say("{amount} {source} converted to {target}"),
    ),
    Tool(
        name="get_weather",
        description="City forecast",
        parameters=_object(
            "city days", city=TEXT, days=_whole(1, 7), units=_one_of("metric imperial")
        ),
        run=_weather,
    ),
    Tool(
        name="order_status",
        description="Look up an order",
        parameters=_object("order_id", order_id=ORDER, items=FLAG),
        run=_order,
    ),
    Tool(
        name="draft_email",
        description="Prepare a mail",
        parameters=_object("to subject", to=_list(MAIL, 3), subject=TEXT, urgent=FLAG),
        run=_say("draft saved: {subject}"),
    ),
    Tool(
        name="set_heating",
        description="Room temperature",
        parameters=_object(
            "room celsius", room=_one_of("living bed office bath"), celsius=_number(5, 30)
        ),
        run=_say("{room} set to {celsius}"),
    ),
    Tool(
        name="book_table",
        description="Reserve in a restaurant",
        parameters=_object("place date guests", place=TEXT, date=DATE, guests=_whole(1, 12)),
        run=_say("table for {guests} at {place}"),
    ),
    Tool(
        name="find_files",
        description="Search files",
        parameters=_object(
            "words kind", words=_list(TEXT, 3), kind=_one_of("pdf image sheet"), limit=_whole(1, 50)
        ),
        run=_say("2 files of kind {kind}"),
    ),
    Tool(
        name="start_timer",
        description="Count down",
        parameters=_object("label minutes", label=TEXT, minutes=_whole(1, 240)),
        run=_say("{label}: {minutes} min"),
    ),
    Tool(
        name="translate",
        description="Translate a text",
        parameters=_object("text target", text=TEXT, target=_one_of("fr de es it nl pl")),
        run=_say("translated to {target}"),
    ),
)

BY_NAME: dict[str, Tool] = {tool.name: tool for tool in TOOLBOX}
