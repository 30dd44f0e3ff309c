"""What a tool promises beside the schema of its arguments: `ToolSpec.contract` as JSON text.

In: one entry of a tools file, or the stored text. Out: a frozen `Contract`. The stored text is an
object with any of these keys; what is absent is unknown, never assumed:

    failure_when    {"pointer": "/status", "in": ["declined"]}, or a list of such: a result that
                    matches is a failure whatever its transport said; one of `equals`, `in`,
                    `exists`, `contains`, `matches`; `cause` says whose failure it is
    side_effecting  true: the call changes the world; false: it only reads
    idempotent      true: a repeat changes nothing more
    polling         true: made to be called again and again
    requires        ["get_order", {"tool": "get_order", "same": ["order_id"], "succeeded": true}]
    output_schema   JSON Schema of a successful result
    provided        names of arguments whose values must come from something that the agent saw
    generated       names of arguments that the agent is free to make up
    off_limits      domains, paths or names that no call may ask for
    parameters      the given schema of the arguments, where the log holds another one

A tools file is checked when it is read (`contract_text` raises); a stored text never raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, get_args

import orjson

from misstep.types import Cause, ToolSpec

KEYS = (
    "failure_when",
    "side_effecting",
    "idempotent",
    "polling",
    "requires",
    "output_schema",
    "provided",
    "generated",
)
"""Keys of a contract that stand beside the schema in a tools file."""
ORIGIN = "x-value-origin"
"""Annotation of one property of an argument schema: `provided` or `generated`."""
_FLAGS = ("side_effecting", "idempotent", "polling")
_TESTS = ("equals", "in", "exists", "contains", "matches")
_CAUSES = frozenset(get_args(Cause))
MAX_TEXT = 20_000
"""Characters of a result that `contains` and `matches` look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One way in which a result says that it is a failure."""

    pointer: str
    test: str
    wanted: Any
    cause: Cause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A call that must have come back before this tool is called."""

    tool: str
    same: tuple[tuple[str, str], ...] = ()
    """(argument of this tool, argument of the required one) that must be equal."""
    succeeded: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What is known about a tool beside its arguments; see the head of this module."""

    failure_when: tuple[Failure, ...] = ()
    side_effecting: bool | None = None
    idempotent: bool = False
    polling: bool = False
    requires: tuple[Requirement, ...] = ()
    output_schema: str | None = None
    provided: frozenset[str] = frozenset()
    generated: frozenset[str] = frozenset()
    off_limits: tuple[str, ...] = ()
    parameters: str | None = None


EMPTY = Contract()


def contract_text(entry: Any) -> str | None:
    """The contract in one entry of a tools file as JSON text; None where it has none.

    Keys stand in the entry, in its `function`, in `contract` or `metadata`; MCP's `outputSchema`
    and the hints in `annotations` are read too.

    Raises:
        ValueError: a key of a contract has a shape that cannot be used.
    """
    if not isinstance(entry, Mapping):
        raise ValueError(f"tool: expected an object, got {type(entry).__name__}")
    found: dict[str, Any] = {}
    for key in ("function", "metadata", "contract"):
        if isinstance(entry.get(key), Mapping):
            found |= _told(entry[key])
    found |= _told(entry)
    if not found:
        return None
    _check(found)
    return orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode()


def _told(entry: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: entry[key] for key in KEYS if entry.get(key) is not None}
    if "outputSchema" in entry and "output_schema" not in told:
        told["output_schema"] = entry["outputSchema"]
    hints = entry.get("annotations")
    if isinstance(hints, Mapping):
        if isinstance(hints.get("readOnlyHint"), bool):
            told.setdefault("side_effecting", not hints["readOnlyHint"])
        if hints.get("idempotentHint") is True:
            told.setdefault("idempotent", True)
    return told


def _check(found: Mapping[str, Any]) -> None:
    for key in _FLAGS:
        if not isinstance(found.get(key, True), bool):
            raise ValueError(f"{key}: expected true or false, got {found[key]!r}")
    for key in ("provided", "generated"):
        if not _names(found.get(key, [])):
            raise ValueError(f"{key}: expected a list of argument names, got {found[key]!r}")
    if not isinstance(found.get("output_schema", {}), Mapping | bool):
        raise ValueError("output_schema: expected a JSON Schema")
    for item in _listed(found.get("failure_when")):
        if _failure(item) is None:
            raise ValueError(
                "failure_when: expected a JSON pointer and one of "
                f'{", ".join(_TESTS)}, such as {{"pointer": "/status", "in": ["declined"]}}; '
                f"got {item!r}"
            )
    for item in _listed(found.get("requires")):
        if _requirement(item) is None:
            raise ValueError(
                'requires: expected tool names or {"tool": "get_order", "same": ["order_id"]}; '
                f"got {item!r}"
            )


def off_limits_of(value: Any) -> tuple[str, ...]:
    """The sources of a tools file's `off_limits`: a list, or an object with `sources`.

    Raises:
        ValueError: it is neither.
    """
    listed = value.get("sources") if isinstance(value, Mapping) else value
    if not _names(listed) or not listed:
        raise ValueError('off_limits: expected a list of sources, such as ["example.org"]')
    return tuple(listed)


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name for name in value)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _failure(item: Any) -> Failure | None:
    if not isinstance(item, Mapping):
        return None
    tests = [test for test in _TESTS if test in item]
    pointer, cause = item.get("pointer", ""), item.get("cause")
    if len(tests) != 1 or not isinstance(pointer, str) or (pointer and pointer[0] != "/"):
        return None
    wanted = item[tests[0]]
    if not _fits(tests[0], wanted) or (cause is not None and cause not in _CAUSES):
        return None
    return Failure(pointer=pointer, test=tests[0], wanted=wanted, cause=cause)


def _fits(test: str, wanted: Any) -> bool:
    if test == "in":
        return isinstance(wanted, list)
    if test == "exists":
        return isinstance(wanted, bool)
    if test == "matches" and isinstance(wanted, str):
        try:
            re.compile(wanted)
        except re.error:
            return False
    return test == "equals" or isinstance(wanted, str)


def _requirement(item: Any) -> Requirement | None:
    if isinstance(item, str) and item:
        return Requirement(tool=item)
    if not isinstance(item, Mapping) or not isinstance(item.get("tool"), str):
        return None
    same, succeeded = item.get("same", []), item.get("succeeded", True)
    pairs = same.items() if isinstance(same, Mapping) else [(s, s) for s in _listed(same)]
    if not isinstance(succeeded, bool):
        return None
    if not all(isinstance(a, str) and isinstance(b, str) for a, b in pairs):
        return None
    return Requirement(tool=item["tool"], same=tuple(pairs), succeeded=succeeded)


def contract_of(spec: ToolSpec | None) -> Contract:
    """The contract of a tool; empty where nothing is known. What cannot be read is left out."""
    return EMPTY if spec is None else _contract(spec.contract, _annotated(spec.parameters))


def _annotated(parameters: str | None) -> str | None:
    return parameters if parameters is not None and ORIGIN in parameters else None


@lru_cache(maxsize=4096)
def _contract(text: str | None, parameters: str | None) -> Contract:
    if text is None and parameters is None:
        return EMPTY
    found = object_of(text)
    origins: dict[str, set[str]] = {}
    for name, origin in _origins(object_of(parameters)):
        origins.setdefault(origin, set()).add(name)
    side = found.get("side_effecting")
    return Contract(
        failure_when=tuple(f for i in _listed(found.get("failure_when")) if (f := _failure(i))),
        side_effecting=side if isinstance(side, bool) else None,
        idempotent=found.get("idempotent") is True,
        polling=found.get("polling") is True,
        requires=tuple(r for i in _listed(found.get("requires")) if (r := _requirement(i))),
        output_schema=_text(found.get("output_schema")),
        provided=_set(found.get("provided")) | origins.get("provided", set()),
        generated=_set(found.get("generated")) | origins.get("generated", set()),
        off_limits=tuple(sorted(_set(found.get("off_limits")))),
        parameters=_text(found.get("parameters")),
    )


def merged(text: str | None, more: Mapping[str, Any]) -> str | None:
    """A stored contract with more told of it; None where there is nothing to tell."""
    if not more:
        return text
    return orjson.dumps(object_of(text) | dict(more), option=orjson.OPT_SORT_KEYS).decode()


def object_of(text: str | None) -> dict[str, Any]:
    """The object in a JSON text; an empty one where there is none."""
    if text is None:
        return {}
    try:
        value = orjson.loads(text.encode("utf-8", "surrogatepass"))
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(schema: Any) -> str | None:
    return None if schema is None else orjson.dumps(schema).decode()


def _set(value: Any) -> frozenset[str]:
    return frozenset(value) if _names(value) else frozenset()


def _origins(schema: Any) -> Iterator[tuple[str, str]]:
    todo = [schema]
    while todo:
        at = todo.pop()
        if isinstance(at, list):
            todo.extend(at)
        elif isinstance(at, dict):
            named = at.get("properties")
            for name, part in named.items() if isinstance(named, dict) else ():
                if isinstance(part, dict) and isinstance(part.get(ORIGIN), str):
                    yield name, part[ORIGIN]
            todo.extend(part for part in at.values() if isinstance(part, dict | list))


def resolve(value: Any, pointer: str) -> tuple[bool, Any]:
    """Whether the JSON pointer leads somewhere in `value`, and where to."""
    for token in pointer.split("/")[1:]:
        token = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and token in value:
            value = value[token]
        elif isinstance(value, list) and token.isdecimal() and int(token) < len(value):
            value = value[int(token)]
        else:
            return False, None
    return True, value


def failed(contract: Contract, value: Any) -> Failure | bool | None:
    """The failure that a result is by its contract; False where it is none, None where unknown.

    Unknown: no `failure_when`, or none of its pointers leads anywhere in the result.
    """
    known: bool | None = None
    for failure in contract.failure_when:
        there, at = resolve(value, failure.pointer)
        if failure.test == "exists":
            hit = there is failure.wanted
        elif not there:
            continue
        else:
            hit = _hits(failure, at)
        if hit:
            return failure
        known = False
    return known


def _hits(failure: Failure, at: Any) -> bool:
    if failure.test == "equals":
        return _same(at, failure.wanted)
    if failure.test == "in":
        return any(_same(at, wanted) for wanted in failure.wanted)
    text = (at if isinstance(at, str) else orjson.dumps(at, default=str).decode())[:MAX_TEXT]
    if failure.test == "contains":
        return failure.wanted.casefold() in text.casefold()
    return re.search(failure.wanted, text) is not None


def _same(got: Any, wanted: Any) -> bool:
    """JSON equality: true is not 1."""
    return bool(got == wanted) and isinstance(got, bool) is isinstance(wanted, bool)
