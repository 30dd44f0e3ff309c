"""What is done to a right call so that one code must be found."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

Spoiler = Callable[[str, dict[str, Any], dict[str, Any], random.Random], tuple[str, str] | None]
"""From tool, arguments, schema and draw: the spoilt tool and argument text; None where it cannot be
spoilt in this way."""


def _drop(tool: str, arguments: dict[str, Any], schema: Any, rnd: random.Random) -> Any:
    there = [key for key in schema.get("required", []) if key in arguments]
    if not there:
        return None
    lost = rnd.choice(there)
    return tool, json.dumps({k: v for k, v in arguments.items() if k != lost})


_WRONG = {
    "string": {"not": "a string"},
    "integer": "eleven",
    "number": "eleven",
    "boolean": "perhaps",
    "array": 7,
    "object": "nothing",
}


def _retype(tool: str, arguments: dict[str, Any], schema: Any, rnd: random.Random) -> Any:
    kinds = {k: schema["properties"].get(k, {}).get("type") for k in arguments}
    there = [key for key, kind in kinds.items() if isinstance(kind, str) and kind in _WRONG]
    if not there:
        return None
    key = rnd.choice(there)
    return tool, json.dumps(arguments | {key: _WRONG[kinds[key]]})


def _enum(tool: str, arguments: dict[str, Any], schema: Any, rnd: random.Random) -> Any:
    there = [k for k in arguments if "enum" in schema["properties"].get(k, {})]
    if not there:
        return None
    key = rnd.choice(there)
    value = arguments[key]
    return tool, json.dumps(arguments | {key: "no such value" if isinstance(value, str) else -99})


def _cut(tool: str, arguments: dict[str, Any], schema: Any, rnd: random.Random) -> Any:
    data = json.dumps(arguments, ensure_ascii=False).encode()
    return tool, data[: rnd.randrange(1, len(data))].decode("utf-8", "ignore")


def _quotes(tool: str, arguments: dict[str, Any], schema: Any, rnd: random.Random) -> Any:
    return (tool, json.dumps(arguments).replace('"', "'")) if arguments else None


def _written(around: str) -> Spoiler:
    def spoil(tool: str, arguments: dict[str, Any], schema: Any, rnd: random.Random) -> Any:
        return tool, around.replace("%s", json.dumps(arguments))

    return spoil


def _comma(tool: str, arguments: dict[str, Any], schema: Any, rnd: random.Random) -> Any:
    return (tool, json.dumps(arguments)[:-1] + ",}") if arguments else None


def _python(tool: str, arguments: dict[str, Any], schema: Any, rnd: random.Random) -> Any:
    literal = [k for k, v in arguments.items() if isinstance(v, bool)]
    text = json.dumps(arguments)
    return (
        (tool, text.replace(": true", ": True").replace(": false", ": False")) if literal else None
    )


SPOILERS: dict[str, tuple[str, Spoiler]] = {
    "a required argument dropped": ("MISSING_REQUIRED", _drop),
    "a value of another type": ("WRONG_TYPE", _retype),
    "a tool that is not offered": (
        "TOOL_UNKNOWN",
        lambda tool, arguments, _, rnd: (f"{tool}_all", json.dumps(arguments)),
    ),
    "an argument too many": (
        "UNEXPECTED_ARG",
        lambda tool, arguments, _, rnd: (tool, json.dumps(arguments | {"zz_extra": 1})),
    ),
    "a value outside its enum": ("ENUM", _enum),
    "single quotes": ("JSON_QUOTES", _quotes),
    "cut at a random byte": ("JSON_TRUNCATED", _cut),
    "fenced": ("JSON_FENCED", _written("```json\n%s\n```")),
    "fenced with prose": ("JSON_FENCED_PROSE", _written("Sure:\n```json\n%s\n```\nDone.")),
    "prose before": ("JSON_PROSE", _written("Here are the arguments: %s")),
    "prose behind": ("JSON_PROSE", _written("%s\nLet me know.")),
    "a trailing comma": ("JSON_TRAILING_COMMA", _comma),
    "Python's literals": ("JSON_PY_LITERAL", _python),
    "encoded twice": (
        "double_encoded",
        lambda tool, arguments, _, rnd: (tool, json.dumps(json.dumps(arguments))),
    ),
}
"""What is done to a right answer, and the code or tag that must be found."""
