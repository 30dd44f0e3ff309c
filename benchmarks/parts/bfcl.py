"""BFCL's own right answers must pass; the same answers spoilt must be found with the right code.

`run` needs the data of the package `bfcl-eval` (`pip install --no-deps bfcl-eval`, or its wheel
unpacked with BFCL_EVAL naming the folder `bfcl_eval`). Every expected call of the single-turn
Python categories is made with each of its possible values, over a schema in BFCL's dialect (`dict`,
`float`, `tuple`, `any`), and goes through `validate` as a logged step: offered as BFCL offers it,
and once more by a closed (strict) tool, as the spoilt ones are. A call is right where some of its
possible values are. A call with a defect whatever its value is a false alarm unless a second
validator (jsonschema, over a translation of its own) says that BFCL's answer breaks BFCL's schema,
too; each is listed with its reason and with what BFCL's own checker says of it.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import random
import time
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
from parts import bfcl_own
from parts.bfcl_spoilt import SPOILERS

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


def run(quick: bool) -> dict[str, Any]:
    """Every category; `quick` spoils every fourth answer only."""
    rows: list[dict[str, Any]] = []
    spoilt: Counter[tuple[str, bool]] = Counter()
    missed: list[dict[str, Any]] = []
    start = time.perf_counter()
    for category in CATEGORIES:
        cases = list(_cases(data(), category))
        rows.append(_clean(category, cases))
        for number, case in enumerate(cases):
            if number % 4 == 0 or not quick:
                _spoil(case, spoilt, missed)
    total: Counter[str] = Counter()
    for row in rows:
        total.update({key: count for key, count in row.items() if isinstance(count, int)})
    for name in SPOILERS:
        found, lost = spoilt[name, True], spoilt[name, False]
        of = [one for one in missed if one["how"] == name][:5]
        rows.append({"arm": "misstep", "work": name, "n": found + lost, "found": found, "lost": of})
    rows[-1]["seconds"] = round(time.perf_counter() - start, 1)
    found = sum(count for (_, right), count in spoilt.items() if right)
    return {
        "rows": rows,
        "ratios": {
            "bfcl_clean_share": 1 - total["false_alarms"] / total["n"],
            "bfcl_unflagged_calls_share": 1 - total["flagged"] / total["n"],
            "bfcl_unflagged_of_accepted_share": 1
            - total["flagged_of_these"] / max(total["accepted_by_bfcl"], 1),
            "bfcl_unflagged_closed_calls_share": 1 - total["flagged_closed"] / total["n"],
            "bfcl_unflagged_values_share": 1 - total["values_flagged"] / total["values"],
            "bfcl_found_share": found / spoilt.total(),
        },
    }


def data() -> Path:
    """The folder of BFCL's data."""
    named = os.environ.get("BFCL_EVAL")
    if named:
        return Path(named) / "data"
    spec = importlib.util.find_spec("bfcl_eval")
    if spec is None or spec.origin is None:
        raise SystemExit("bfcl-eval is missing: pip install --no-deps bfcl-eval, or set BFCL_EVAL")
    return Path(spec.origin).parent / "data"


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file."""
    yield from map(json.loads, path.read_text(encoding="utf-8").splitlines())


def _cases(data: Path, category: str) -> Iterator[Case]:
    name = f"BFCL_v4_{category}.json"
    answers = {row["id"]: row["ground_truth"] for row in lines(data / "possible_answer" / name)}
    for row in lines(data / name):
        tools = tuple(
            ToolSpec(name=f["name"], parameters=json.dumps(f["parameters"]))
            for f in row["function"]
        )
        calls = [(name, given) for one in answers[row["id"]] for name, given in one.items()]
        yield row["id"], tools, calls


def options(given: dict[str, list[Any]], required: Collection[str]) -> dict[str, list[Any]]:
    """The values that each argument may have; `LEFT_OUT` is one of them where it may be left out.

    BFCL writes that as "", and its own checker takes it of optional arguments. Of a required one ""
    is a text like any other, and counts only where nothing else is possible.
    """
    made: dict[str, list[Any]] = {}
    for key, some in given.items():
        if key in required:
            made[key] = [_value(one) for one in some if one != ""] or ["" for _ in some] or [[]]
        else:
            made[key] = [LEFT_OUT if one == "" else _value(one) for one in some] or [[]]
    return made


LEFT_OUT = object()


def variants(given: dict[str, list[Any]], required: Collection[str]) -> Iterator[dict[str, Any]]:
    """Every possible value once, the others at their first."""
    known = options(given, required)
    first = {key: some[0] for key, some in known.items()}
    yield _made(first)
    for key, some in known.items():
        for option in some[1:]:
            yield _made(first | {key: option})


def combinations(
    given: dict[str, list[Any]], required: Collection[str]
) -> Iterator[dict[str, Any]]:
    """Every combination of possible values, 2,000 at most."""
    known = options(given, required)
    for values in itertools.islice(itertools.product(*known.values()), 2000):
        yield _made(dict(zip(known, values, strict=True)))


def _made(chosen: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in chosen.items() if value is not LEFT_OUT}


def _required(tools: tuple[ToolSpec, ...], tool: str) -> list[str]:
    text = next(t.parameters or "" for t in tools if t.name == tool)
    required = json.loads(text).get("required", [])
    return [str(key) for key in required]


def _value(value: Any) -> Any:
    """BFCL writes the values inside an object as lists of possible ones, too; "" leaves one out."""
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
    count: Counter[str] = Counter()
    listed = []
    rows = lines(data() / f"BFCL_v4_{category}.json")
    functions = {row["id"]: {f["name"]: f for f in row["function"]} for row in rows}
    for name, tools, calls in cases:
        for tool, given in calls:
            count["calls"] += 1
            accepted = _accepted(functions[name], tool, given)
            count["accepted_by_bfcl"] += accepted is True
            required = _required(tools, tool)
            made = list(variants(given, required))
            wrong = [bool(_judged(tools, [(tool, json.dumps(one))])) for one in made]
            closed = [bool(_judged(strict(tools), [(tool, json.dumps(one))])) for one in made]
            count["values"] += len(made)
            count["values_flagged"] += sum(wrong)
            count["values_flagged_closed"] += sum(closed)
            if any(closed):
                every = list(combinations(given, required))
                listed.append(_told(name, tools, tool, every) | {"accepted_by_bfcl": accepted})
    hopeless = [one for one in listed if not one["some_value_fits"]]
    return {
        "arm": "misstep",
        "work": f"{category}: possible answers",
        "n": count["calls"],
        "flagged": sum(not one["only_where_closed"] for one in hopeless),
        "flagged_closed": len(hopeless),
        "accepted_by_bfcl": count["accepted_by_bfcl"],
        "flagged_of_these": sum(
            bool(one["accepted_by_bfcl"]) and not one["only_where_closed"] for one in hopeless
        ),
        "false_alarms": sum(not one["breaks_its_schema"] for one in hopeless),
        **{key: count[key] for key in ("values", "values_flagged", "values_flagged_closed")},
        "listed": listed,
    }


def strict(tools: tuple[ToolSpec, ...]) -> tuple[ToolSpec, ...]:
    """The same tools, closed: what a schema does not name is forbidden."""
    return tuple(replace(tool, strict=True) for tool in tools)


def _told(
    name: str, tools: tuple[ToolSpec, ...], tool: str, every: list[dict[str, Any]]
) -> dict[str, Any]:
    """Why a call is flagged: the finding about its first value that breaks the schema."""
    said = [_judged(strict(tools), [(tool, json.dumps(one))]) for one in every]
    found = next(some[0] for some in said if some)
    return {
        "id": name,
        "tool": tool,
        "code": found.code,
        "where": found.where,
        "why": found.evidence[:160],
        "some_value_fits": not all(said),
        "only_where_closed": not all(_judged(tools, [(tool, json.dumps(o))]) for o in every),
        "breaks_its_schema": all(
            _breaks(tools, tool, one) for one, some in zip(every, said, strict=True) if some
        ),
    }


def _accepted(
    functions: dict[str, dict[str, Any]], tool: str, given: dict[str, list[Any]]
) -> bool | None:
    """What BFCL's own checker says of the call's possible values; None where it is missing."""
    document = functions[tool]
    every = variants(given, document["parameters"].get("required", []))
    said = [bfcl_own.accepts(data().parent, document, one, given) for one in every]
    return None if None in said else any(said)


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
    tools = strict(tools)
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
