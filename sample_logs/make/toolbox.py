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
CLOCK: Schema = {"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$"}
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
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
        description="Put an event into a calendar.",
        parameters=_object(
            "title date start calendar",
            title=TEXT,
            date=DATE,
            start=CLOCK,
            minutes=_whole(5, 480),
            calendar=_one_of("CAL_HOME CAL_WORK CAL_TEAM"),
        ),
        run=_say("{title} on {date} at {start}"),
    ),
    Tool(
        name="set_reminder",
        description="Remind the user of something.",
        parameters=_object(
            "text due priority", text=TEXT, due=DATE, priority=_one_of("P1 P2 P3"), repeat=FLAG
        ),
        run=_say("will remind on {due}"),
    ),
    Tool(
        name="convert_currency",
        description="Convert money at today's rate.",
        parameters=_object(
            "amount source target",
            amount=_number(0.01, 1_000_000),
            source={"type": "string", "pattern": "^[A-Z]{3}$"},
            target={"type": "string", "pattern": "^[A-Z]{3}$"},
        ),
        run=_say("{amount} {source} converted to {target}"),
    ),
    Tool(
        name="convert_unit",
        description="Convert a quantity.",
        parameters=_object(
            "value from_unit to_unit",
            value={"type": "number"},
            from_unit=_one_of("km mi kg lb l gal"),
            to_unit=_one_of("km mi kg lb l gal"),
        ),
        run=_say("{value} {from_unit} given in {to_unit}"),
    ),
    Tool(
        name="get_weather",
        description="Forecast for a city.",
        parameters=_object(
            "city days units",
            city=TEXT,
            days=_whole(1, 7),
            units=_one_of("metric imperial"),
        ),
        run=_weather,
    ),
    Tool(
        name="order_status",
        description="Look up an order.",
        parameters=_object(
            "order_id with_items",
            order_id={"type": "string", "pattern": "^[A-Z]{2}-[0-9]{5}$"},
            with_items=FLAG,
        ),
        run=_order,
    ),
    Tool(
        name="draft_email",
        description="Write a draft; nothing is sent.",
        parameters=_object(
            "to subject body",
            to={"type": "array", "items": MAIL, "minItems": 1},
            subject={"type": "string", "maxLength": 40},
            body=TEXT,
            urgent=FLAG,
        ),
        run=_say("draft saved: {subject}"),
    ),
    Tool(
        name="set_thermostat",
        description="Set the heating of a room.",
        parameters=_object(
            "room celsius mode",
            room=_one_of("living_room bed_room office bath_room"),
            celsius=_number(5, 30),
            mode=_one_of("heat cool eco"),
        ),
        run=_say("{room} set to {celsius}"),
    ),
    Tool(
        name="book_table",
        description="Reserve a table.",
        parameters=_object(
            "place date time guests",
            place=TEXT,
            date=DATE,
            time=CLOCK,
            guests=_whole(1, 12),
            area=_one_of("inside terrace bar"),
        ),
        run=_say("table for {guests} at {place}"),
    ),
    Tool(
        name="find_files",
        description="Search the user's files.",
        parameters=_object(
            "words kind limit",
            words={"type": "array", "items": TEXT, "minItems": 1, "maxItems": 3},
            kind=_one_of("pdf image sheet slides"),
            limit=_whole(1, 50),
            after=DATE,
        ),
        run=_say("2 files of kind {kind}"),
    ),
    Tool(
        name="start_timer",
        description="Count down.",
        parameters=_object(
            "label seconds", label=TEXT, seconds=_whole(1, 86_400), sound=_one_of("bell chime off")
        ),
        run=_say("{label}: {seconds} s"),
    ),
    Tool(
        name="translate",
        description="Translate a text.",
        parameters=_object(
            "text target tone",
            text=TEXT,
            target={"type": "string", "pattern": "^[a-z]{2}$"},
            tone=_one_of("plain polite"),
        ),
        run=_say("translated to {target}"),
    ),
)

BY_NAME: dict[str, Tool] = {tool.name: tool for tool in TOOLBOX}
