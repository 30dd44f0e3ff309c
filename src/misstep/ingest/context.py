"""What a request offered: tools, schema, choice and limits, from any of the spellings in use.

In: the plain fields of a request or a row. Out: `Context` values; equal tool lists are parsed once.
A field of an impossible shape is a `Misfit` with its JSON pointer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from misstep.chat import tool_from_chat
from misstep.ingest.echo import Tools
from misstep.ingest.format import Misfit
from misstep.ingest.messages import int_or_none, number_or_none
from misstep.types import Context, ToolSpec


def spec_of(tool: Any) -> ToolSpec:
    """One tool in any spelling; a hosted tool without a name goes by its type.

    Raises:
        Misfit: it is no object, or has neither a name nor a type.
    """
    body = tool
    if isinstance(tool, dict):
        if isinstance(tool.get("custom"), dict):
            body = tool["custom"]
        elif isinstance(tool.get("toolSpec"), dict):
            body = tool["toolSpec"]
        elif not isinstance(tool.get("function"), dict) and "name" not in tool:
            body = {"name": tool.get("type")}
    try:
        return tool_from_chat(body)
    except ValueError as error:
        raise Misfit("", str(error), "bad-tool") from None


class Contexts:
    """Builds contexts; keeps each distinct tool list once."""

    def __init__(self) -> None:
        self._tools: dict[bytes, tuple[ToolSpec, ...]] = {}
        self._known: dict[Context, Context] = {}
        self._made: dict[tuple[int, _Rest], Context] = {}
        self._kept: list[tuple[ToolSpec, ...]] = []
        """What the ids in `_made` are those of."""
        self._same: dict[int, tuple[Tools, tuple[ToolSpec, ...]]] = {}
        """Tools by the id of their list, for lists that are recognised by their bytes."""
        self._among: dict[tuple[int, frozenset[str]], tuple[ToolSpec, ...]] = {}
        """Those of a tool list, by its id, that a choice allows."""

    def of(self, request: Mapping[str, Any]) -> Context:
        """The context of one request.

        Raises:
            Misfit: tools or schema have a shape that no provider uses.
        """
        schema, json_mode = _schema(request)
        tools = self._allowed(request)
        rest = (
            schema,
            json_mode,
            _choice(request),
            int_or_none(request.get("max_tokens", request.get("max_completion_tokens"))),
            number_or_none(request.get("temperature")),
            number_or_none(request.get("top_p")),
        )
        known = self._made.get((id(tools), rest))  # a context hashes all its tools
        if known is None:
            known = _context(tools, rest)
            known = self._made[id(tools), rest] = self._known.setdefault(known, known)
            self._kept.append(tools)
        return known

    def _allowed(self, request: Mapping[str, Any]) -> tuple[ToolSpec, ...]:
        """The tools on offer: without the functions that an `allowed_tools` choice leaves out."""
        listed = request.get("tools")
        tools = self.tools(listed, request.get("functions"))
        names = _allowed_names(request.get("tool_choice"))
        if not names:
            return tools
        if (id(tools), names) not in self._among:
            rows = listed if isinstance(listed, list) else []
            hosted = {s.name for row, s in zip(rows, tools, strict=False) if _is_hosted(row)}
            kept = tuple(s for s in tools if s.name in names or s.name in hosted)
            self._among[id(tools), names] = kept or tools
        return self._among[id(tools), names]

    def tools(self, tools: Any, functions: Any = None) -> tuple[ToolSpec, ...]:
        """A tool list as a list or as JSON text."""
        listed, pointer = (functions, "/functions") if tools is None else (tools, "/tools")
        if type(listed) is Tools and id(listed) in self._same:
            return self._same[id(listed)][1]
        if listed is None or listed == "":
            return ()
        key = listed.encode() if isinstance(listed, str) else orjson.dumps(listed)
        if key not in self._tools:
            self._tools[key] = _specs(_parsed(listed, pointer), pointer)
        if type(listed) is Tools:
            self._same[id(listed)] = (listed, self._tools[key])
        return self._tools[key]


_Rest = tuple[str | None, bool, str | None, int | None, float | None, float | None]


def _context(tools: tuple[ToolSpec, ...], rest: _Rest) -> Context:
    schema, json_mode, choice, most, temperature, top_p = rest
    return Context(
        tools=tools,
        response_schema=schema,
        json_mode=json_mode,
        tool_choice=choice,
        max_tokens=most,
        temperature=temperature,
        top_p=top_p,
    )


def _parsed(listed: Any, pointer: str) -> Any:
    if not isinstance(listed, str):
        return listed
    try:
        return orjson.loads(listed)
    except orjson.JSONDecodeError as error:
        raise Misfit(pointer, f"tools as text, but not JSON: {error}", "bad-tool") from None


def _specs(listed: Any, pointer: str) -> tuple[ToolSpec, ...]:
    if listed is None:
        return ()
    if not isinstance(listed, list):
        said = f"expected a list of tools, got {type(listed).__name__}"
        raise Misfit(pointer, said, "bad-tool")
    specs = []
    for index, tool in enumerate(listed):
        try:
            specs.append(spec_of(tool))
        except Misfit as misfit:
            raise Misfit(f"{pointer}/{index}", misfit.said, misfit.reason) from None
    return tuple(specs)


_SCHEMAS = frozenset(("response_schema", "output_config", "response_format", "output_format"))
"""Fields that may ask for a schema."""


def _schema(request: Mapping[str, Any]) -> tuple[str | None, bool]:
    """The JSON Schema of the answer as text, and whether JSON without a schema was asked for."""
    if _SCHEMAS.isdisjoint(request):
        return None, False
    direct = request.get("response_schema")
    if isinstance(direct, str) and direct:
        return direct, False
    if isinstance(direct, dict):
        return orjson.dumps(direct).decode(), False
    output = request.get("output_config")
    wanted = next(
        (
            w
            for w in (
                request.get("response_format"),
                request.get("output_format"),
                output.get("format") if isinstance(output, dict) else None,
            )
            if isinstance(w, dict)
        ),
        None,
    )
    if wanted is None:
        return None, False
    named = wanted.get("json_schema")
    schema = named.get("schema") if isinstance(named, dict) else wanted.get("schema")
    if isinstance(schema, dict):
        return orjson.dumps(schema).decode(), False
    return None, wanted.get("type") in ("json_object", "json_schema")


_CHOICES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


def _choice(request: Mapping[str, Any]) -> str | None:
    choice = request.get("tool_choice", request.get("function_call"))
    if isinstance(choice, str):
        return _CHOICES.get(choice, choice)
    if not isinstance(choice, dict):
        return None
    function = choice.get("function", choice.get("custom"))
    name = function.get("name") if isinstance(function, dict) else choice.get("name")
    if isinstance(name, str):
        return name
    kind = choice.get("type")
    if kind == "allowed_tools":
        kind = _allowing(choice).get("mode")
    return _CHOICES.get(kind) if isinstance(kind, str) else None


def _allowing(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where a choice of the type `allowed_tools` keeps its mode and its tools."""
    allowed = choice.get("allowed_tools")
    return allowed if isinstance(allowed, dict) else choice


def _allowed_names(choice: Any) -> frozenset[str]:
    """The functions that a choice allows; none where it leaves all of them."""
    if not isinstance(choice, dict) or choice.get("type") != "allowed_tools":
        return frozenset()
    listed = _allowing(choice).get("tools")
    found = []
    for row in listed if isinstance(listed, list) else ():
        if isinstance(row, dict):
            inner = row.get("function", row.get("custom"))
            found.append(inner.get("name") if isinstance(inner, dict) else row.get("name"))
    return frozenset(name for name in found if isinstance(name, str))


def _is_hosted(row: Any) -> bool:
    return isinstance(row, dict) and row.get("type", "function") not in ("function", "custom")
