"""Taking an answer apart: text, reasoning and calls, in any dialect of the table.

In: the text, and the dialect's name or None to recognise it. Out: parts; argument text as it
stands. Reading never mends: what a call lacks is in its `fault`, and whether it is right is for the
validators.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

import orjson

from misstep.dialects import harmony as harmonies
from misstep.dialects.finding import markup
from misstep.dialects.found import Found, Given, Types, untyped
from misstep.dialects.hermes import parse_answer, split_thought
from misstep.dialects.table import DIALECTS, UNMARKED
from misstep.types import Part, ToolSpec

__all__ = ["Types", "dialect_of", "read_answer", "types_of"]

_BY_NAME = {dialect.name: dialect for dialect in (*DIALECTS, *UNMARKED)}


def dialect_of(text: str, tools: Collection[str]) -> str | None:
    """The dialect of the first call markup that names an offered tool; None without one."""
    found = markup(text, tools)
    return found[0].dialect if found else None


def read_answer(
    text: str,
    *,
    dialect: str | None = None,
    tools: Collection[str] = (),
    types: Types = untyped,
) -> tuple[Part, ...]:
    """The parts of one answer.

    Args:
        dialect: a name of the table; None takes the one whose markup names one of `tools`.
        tools: the offered names.
        types: says of which type an argument is, for dialects that keep no types.

    Raises:
        KeyError: there is no such dialect.
    """
    name = dialect or dialect_of(text, tools) or "hermes"
    if name == "hermes":
        return parse_answer(text, tools=tools)
    if name == "harmony":
        whole = harmonies.parts(text)
        if whole is not None:
            return _numbered(whole)
    reasoning, start = split_thought(text)
    lead = [] if reasoning is None else [Part(kind="reasoning", text=reasoning)]
    rest = text[start:]
    found = list(_BY_NAME[name].read(rest, Given(tools=tools, types=types)))
    return _numbered((*lead, *_parts(rest, found)))


def _parts(text: str, found: Iterable[Found]) -> Iterable[Part]:
    at = 0
    any_call = False
    for one in found:
        before = text[at : one.start]
        if before.strip():
            yield Part(kind="text", text=before)
        yield from (Part(kind="call", call=call) for call in one.calls)
        any_call = True
        at = one.end
    rest = text[at:]
    if rest.strip() if any_call else rest:
        yield Part(kind="text", text=rest)


def _numbered(parts: Iterable[Part]) -> tuple[Part, ...]:
    made: list[Part] = []
    index = 0
    for part in parts:
        if part.call is None:
            made.append(part)
        else:
            made.append(replace(part, call=replace(part.call, index=index)))
            index += 1
    return tuple(made)


def types_of(tools: Iterable[ToolSpec]) -> Types:
    """The types that the tools' schemas state for their top-level arguments."""
    known: dict[tuple[str, str], str] = {}
    for tool in tools:
        try:
            schema = orjson.loads(tool.parameters or "{}")
        except orjson.JSONDecodeError:
            continue
        listed = schema.get("properties") if isinstance(schema, dict) else None
        for name, rule in listed.items() if isinstance(listed, dict) else ():
            kind = rule.get("type") if isinstance(rule, dict) else None
            if isinstance(kind, str):
                known[tool.name, name] = kind
    return lambda tool, argument: known.get((tool, argument))
