"""BFCL's own right answers must pass; the same answers spoilt must be found with the right code.

`run` needs the data of the package `bfcl-eval` (`pip install --no-deps bfcl-eval`, or its wheel
unpacked with BFCL_EVAL naming the folder `bfcl_eval`). Every possible answer of the single-turn
Python categories becomes a call of a closed (strict) tool whose schema is in BFCL's dialect
(`dict`, `float`, `tuple`, `any`), and goes through `validate` as a logged step. A defect on one is
a false alarm unless a second validator (jsonschema, over a translation of its own) says that BFCL's
answer breaks BFCL's schema, too; each is listed with what it breaks.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import jsonschema

from misstep.types import Context, Message, Part, Session, ToolCall, ToolSpec
from misstep.validate import Settings, validate
from misstep.validate.schema import compiled

CATEGORIES = (
    "simple_python",
    "multiple",
    "parallel",
    "parallel_multiple",
    "live_simple",
    "live_multiple",
    "live_parallel",
    "live_parallel_multiple",
)
Case = tuple[str, tuple[ToolSpec, ...], list[tuple[str, dict[str, Any]]]]
Spoiler = Callable[[str, dict[str, Any], dict[str, Any], random.Random], tuple[str, str] | None]


def run(quick: bool) -> dict[str, Any]:
    """Every category; `quick` spoils every fourth answer only."""
    rows, alarms, flagged, judged = [], 0, 0, 0
    spoilt: Counter[tuple[str, bool]] = Counter()
    missed: list[dict[str, Any]] = []
    start = time.perf_counter()
    for category in CATEGORIES:
        cases = list(_cases(_data(), category))
        row = _clean(category, cases)
        rows.append(row)
        alarms += row["false_alarms"]
        flagged += row["flagged"]
        judged += row["n"]
        for number, case in enumerate(cases):
            if number % 4 == 0 or not quick:
                _spoil(case, spoilt, missed)
    for name in SPOILERS:
        found, lost = spoilt[name, True], spoilt[name, False]
        of = [one for one in missed if one["how"] == name][:5]
        rows.append({"arm": "misstep", "work": name, "n": found + lost, "found": found, "lost": of})
    rows[-1]["seconds"] = round(time.perf_counter() - start, 1)
    found = sum(count for (_, right), count in spoilt.items() if right)
    return {
        "rows": rows,
        "ratios": {
            "bfcl_clean_share": 1 - alarms / judged,
            "bfcl_unflagged_share": 1 - flagged / judged,
            "bfcl_found_share": found / spoilt.total(),
        },
    }


def _data() -> Path:
    named = os.environ.get("BFCL_EVAL")
    if named:
        return Path(named) / "data"
    spec = importlib.util.find_spec("bfcl_eval")
    if spec is None or spec.origin is None:
        raise SystemExit("bfcl-eval is missing: pip install --no-deps bfcl-eval, or set BFCL_EVAL")
    return Path(spec.origin).parent / "data"


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    yield from map(json.loads, path.read_text(encoding="utf-8").splitlines())


def _cases(data: Path, category: str) -> Iterator[Case]:
    name = f"BFCL_v4_{category}.json"
    answers = {row["id"]: row["ground_truth"] for row in _lines(data / "possible_answer" / name)}
    for row in _lines(data / name):
        tools = tuple(
            ToolSpec(name=f["name"], parameters=json.dumps(f["parameters"]), strict=True)
            for f in row["function"]
        )
        calls = [(name, given) for one in answers[row["id"]] for name, given in one.items()]
        yield row["id"], tools, calls


def variants(given: dict[str, list[Any]], required: Collection[str]) -> Iterator[dict[str, Any]]:
    """Every possible value once, the others at their first.

    "" means that the argument may be left out, which BFCL's own checker accepts of optional ones.
    """
    options = {
        key: [one for one in some if one != "" or key not in required] or some or [[]]
        for key, some in given.items()
    }
    first = {key: some[0] for key, some in options.items()}
    yield _plain(first)
    for key, some in options.items():
        for option in some[1:]:
            yield _plain(first | {key: option})


def _required(tools: tuple[ToolSpec, ...], tool: str) -> list[str]:
    text = next(t.parameters or "" for t in tools if t.name == tool)
    required = json.loads(text).get("required", [])
    return [str(key) for key in required]


def _plain(given: dict[str, Any]) -> dict[str, Any]:
    return {key: _value(value) for key, value in given.items() if value != ""}


def _value(value: Any) -> Any:
    """BFCL writes the values inside an object as lists of possible ones, too."""
    if isinstance(value, list):
        return [_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    inner = {k: v[0] if isinstance(v, list) and v else v for k, v in value.items()}
    return {k: _value(v) for k, v in inner.items() if v != ""}


def _judged(tools: tuple[ToolSpec, ...], calls: list[tuple[str, str]]) -> list[Any]:
    made = (
        ToolCall(name=name, arguments=text, index=at, id=f"c{at}")
        for at, (name, text) in enumerate(calls)
    )
    parts = tuple(Part(kind="call", call=call) for call in made)
    answer = Message(role="assistant", parts=parts, context=0, finish_reason="tool_calls")
    asked = Message(role="user", parts=(Part(kind="text", text="go on"),))
    session = Session(
        id="bfcl", format="bfcl", messages=(asked, answer), contexts=(Context(tools=tools),)
    )
    return [f for f in validate(session, Settings()).findings if f.level == "defect"]


def _clean(category: str, cases: list[Case]) -> dict[str, Any]:
    count, listed = 0, []
    for name, tools, calls in cases:
        for tool, given in calls:
            for arguments in variants(given, _required(tools, tool)):
                count += 1
                found = _judged(tools, [(tool, json.dumps(arguments))])[:1]
                listed.extend(
                    {
                        "id": name,
                        "code": f.code,
                        "where": f.where,
                        "why": f.evidence[:160],
                        "breaks_its_schema": _breaks(tools, tool, arguments),
                    }
                    for f in found
                )
    return {
        "arm": "misstep",
        "work": f"{category}: possible answers",
        "n": count,
        "flagged": len(listed),
        "false_alarms": sum(not one["breaks_its_schema"] for one in listed),
        "items": len({one["id"] for one in listed}),
        "listed": listed,
    }


def _breaks(tools: tuple[ToolSpec, ...], tool: str, arguments: dict[str, Any]) -> bool:
    """What another validator (jsonschema, formats on, closed objects) says of the same call."""
    text = next(t.parameters or "" for t in tools if t.name == tool)
    schema = _closed(json.loads(text))
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return not jsonschema.Draft202012Validator(schema, format_checker=checker).is_valid(arguments)


_NAMES = {"dict": "object", "float": "number", "tuple": "array", "any": None}


def _closed(schema: Any) -> Any:
    """A BFCL schema as JSON Schema, written apart from misstep's own reading of it."""
    out = dict(schema)
    kind = out.pop("type", None)
    kind = _NAMES.get(str(kind).lower(), str(kind).lower()) if kind is not None else None
    if kind is not None:
        out["type"] = kind
    if isinstance(out.get("properties"), dict):
        out["properties"] = {k: _closed(v) for k, v in out["properties"].items()}
        out["additionalProperties"] = False
    if isinstance(out.get("items"), dict):
        out["items"] = _closed(out["items"])
    return out


def _spoil(case: Case, spoilt: Counter[tuple[str, bool]], missed: list[dict[str, Any]]) -> None:
    name, tools, calls = case
    rnd = random.Random(name)
    tool, given = calls[0]
    arguments = next(variants(given, _required(tools, tool)))
    if _judged(tools, [(tool, json.dumps(arguments))]):
        return  # the answer breaks its schema as it stands
    text = next(t.parameters or "" for t in tools if t.name == tool)
    schema = compiled(text).schema
    for how, (wanted, spoil) in SPOILERS.items():
        made = spoil(tool, arguments, schema, rnd)
        if made is None:
            continue
        got = _judged(tools, [made])
        right = any(f.code == wanted or wanted in f.tags for f in got)
        spoilt[how, right] += 1
        if not right:
            codes = [f.code for f in got]
            missed.append({"how": how, "id": name, "call": made[1][:200], "got": codes})


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
