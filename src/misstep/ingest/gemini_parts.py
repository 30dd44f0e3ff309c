"""Gemini contents to messages, and its schemas to JSON Schema; shared by formats that hold them.

In: `contents`, candidates and function declarations, in the wire's camelCase or in the snake_case
of its Python client. Out: parts, messages, tools. Arguments are parsed objects on this wire.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from misstep.ingest.format import Misfit
from misstep.ingest.messages import content_hash, inline, kind_of, text_or_none
from misstep.ingest.stream import CUT
from misstep.types import Message, Part, ToolCall, ToolResult

_CAMEL = re.compile(r"_([a-z])")
_HOSTED = ("executableCode", "toolCall")
_HOSTED_RESULTS = ("codeExecutionResult", "toolResponse")
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_CALLED = re.compile(
    r"(?:call:|print\()?\s*(?:default_api[.:])([A-Za-z_][\w.\-]*)\s*([({].*)", re.S
)


def camel(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object with its own keys in camelCase; what is inside stays as it is."""
    if not any("_" in key for key in value):
        return value
    return {_CAMEL.sub(lambda found: found[1].upper(), key): inner for key, inner in value.items()}


def inside(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An object inside another one, by its camelCase name; empty where there is none."""
    found = camel(value).get(key)
    return camel(found) if isinstance(found, dict) else {}


def content_parts(content: Any, pointer: str) -> tuple[Part, ...]:
    """All parts of a content object, in order.

    Raises:
        Misfit: it is no list of parts.
    """
    if isinstance(content, str):
        return (Part(kind="text", text=content),) if content else ()
    if content is None:
        return ()
    if not isinstance(content, dict):
        raise Misfit(pointer, f"expected a content object, got {kind_of(content)}")
    listed = content.get("parts")
    if listed is None:
        listed = [content] if "text" in content else []
    if not isinstance(listed, list):
        raise Misfit(f"{pointer}/parts", f"expected a list of parts, got {kind_of(listed)}")
    parts: list[Part] = []
    calls = 0
    for at, raw in enumerate(listed):
        if not isinstance(raw, (dict, str)):
            raise Misfit(f"{pointer}/parts/{at}", f"expected a part, got {kind_of(raw)}")
        part = _part({"text": raw} if isinstance(raw, str) else camel(raw), calls, pointer)
        if part is not None:
            calls += part.kind == "call"
            parts.append(part)
    return tuple(parts)


def _part(raw: Mapping[str, Any], calls: int, pointer: str) -> Part | None:
    if isinstance(raw.get("functionCall"), dict):
        return Part(kind="call", call=_call(raw["functionCall"], calls, pointer))
    if isinstance(raw.get("functionResponse"), dict):
        return Part(kind="result", result=result_of(raw["functionResponse"]))
    for name in _HOSTED:
        if isinstance(raw.get(name), dict):
            return Part(kind="call", call=_hosted(raw[name], calls))
    for name in _HOSTED_RESULTS:
        if isinstance(raw.get(name), dict):
            return Part(kind="result", result=_hosted_result(raw[name]))
    if isinstance(raw.get("text"), str):
        thought = raw.get("thought") is True
        part = Part(kind="reasoning" if thought else "text", text=raw["text"])
        return part if raw["text"] else None
    held = inside(raw, "fileData") or inside(raw, "inlineData")
    if not held:
        return None
    url = text_or_none(held.get("fileUri"))
    return Part(kind="image", text=url or inline(held) or content_hash(str(held.get("data"))))


def _call(raw: Mapping[str, Any], index: int, pointer: str) -> ToolCall:
    name = raw.get("name")
    if not isinstance(name, str):
        raise Misfit(f"{pointer}/parts", f"a function call without a name: {kind_of(name)}")
    arguments = raw.get("args")
    return ToolCall(
        name=name,
        arguments=orjson.dumps(arguments if arguments is not None else {}).decode(),
        index=index,
        id=text_or_none(raw.get("id")),
        verbatim=False,
    )


def _hosted(raw: Mapping[str, Any], index: int) -> ToolCall:
    code = raw.get("code")
    asked = code if isinstance(code, str) else orjson.dumps(raw.get("args", {})).decode()
    named = raw.get("name", raw.get("toolType", raw.get("tool_type")))
    return ToolCall(
        name=text_or_none(named) or "code_execution",
        arguments=asked,
        index=index,
        id=text_or_none(raw.get("id")),
        kind="hosted",
        syntax="code" if isinstance(code, str) else "json",
        verbatim=isinstance(code, str),
    )


def _hosted_result(raw: Mapping[str, Any]) -> ToolResult:
    outcome = text_or_none(raw.get("outcome"))
    told = raw.get("output", raw.get("response", ""))
    return ToolResult(
        text=told if isinstance(told, str) else orjson.dumps(told).decode(),
        call_id=text_or_none(raw.get("id")),
        is_error=None if outcome is None else outcome != "OUTCOME_OK",
        hint=outcome if outcome not in (None, "OUTCOME_OK") else None,
    )


def result_of(raw: Mapping[str, Any]) -> ToolResult:
    """A function's response: its one `output`, `result` or `error` if it has no more than that."""
    told = raw.get("response")
    failed = isinstance(told, dict) and bool(told.get("error")) and "output" not in told
    if isinstance(told, dict) and len(told) == 1:
        key = next(iter(told))
        told = told[key] if key in ("output", "result", "error") else told
    return ToolResult(
        text=told if isinstance(told, str) else orjson.dumps(told).decode(),
        call_id=text_or_none(raw.get("id")),
        name=text_or_none(raw.get("name")),
        is_error=True if failed else None,
    )


def content_messages(row: Any, pointer: str) -> list[Message]:
    """The messages of one content: the model's, or results and the user's words apart.

    Raises:
        Misfit: its role or its parts fit no known shape.
    """
    role = row.get("role") if isinstance(row, dict) else None
    parts = content_parts(row, pointer)
    if role in ("model", "assistant"):
        return [Message(role="assistant", parts=parts)]
    if role == "system":
        return [Message(role="system", parts=parts)]
    if role not in (None, "user", "function", "tool"):
        raise Misfit(f"{pointer}/role", f"unknown role {role!r}; expected user, model or function")
    results = tuple(part for part in parts if part.kind == "result")
    rest = tuple(part for part in parts if part.kind != "result")
    told = [Message(role="tool", parts=results)] if results else []
    return [*told, Message(role="user", parts=rest)] if rest or not told else told


def unread_call(said: str) -> ToolCall | None:
    """The call inside a `finishMessage` about a malformed one; None where it cannot be found."""
    found = _CALLED.search(said)
    if found is None:
        return None
    name, rest = found[1], found[2]
    if rest.startswith("("):
        return ToolCall(name=name, arguments=f"{name}{rest}", syntax="code", fault=said)
    return ToolCall(name=name, arguments=rest, fault=said)


def json_schema(schema: Any) -> Any:
    """An OpenAPI schema as JSON Schema: types in lower case, `nullable` as a type, counts as ints.

    Source: the `Schema` object of the Gemini API, a subset of OpenAPI 3.0 in proto JSON, where
    64-bit counts are strings.
    """
    if not isinstance(schema, dict):
        return schema
    plain = {key: _keyword(key, value) for key, value in camel(schema).items()}
    if plain.get("type") == "type_unspecified":
        del plain["type"]
    if plain.pop("nullable", None) is True:
        if isinstance(plain.get("type"), str):
            plain["type"] = [plain["type"], "null"]
        if isinstance(plain.get("enum"), list):
            plain["enum"] = [*plain["enum"], None]
    return plain


def _keyword(key: str, value: Any) -> Any:
    if key == "type" and isinstance(value, str):
        return value.lower()
    if key in ("properties", "$defs", "definitions", "defs") and isinstance(value, dict):
        return {name: json_schema(inner) for name, inner in value.items()}
    if key in ("items", "additionalProperties", "not"):
        return json_schema(value)
    if key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
        return [json_schema(inner) for inner in value]
    if key in _COUNTS and isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)
    return value


def declared(tools: Any) -> Iterator[Any]:
    """The tools of a request, hosted ones by their field's name.

    Raises:
        Misfit: it is no list of objects.
    """
    for entry in tools if isinstance(tools, list) else [tools]:
        if not isinstance(entry, dict):
            raise Misfit("/tools", f"expected a tool object, got {kind_of(entry)}", "bad-tool")
        for key, value in camel(entry).items():
            if key == "functionDeclarations" and isinstance(value, list):
                yield from (_declaration(one) for one in value)
            elif value is not None:
                yield {"type": key}


def _declaration(raw: Any) -> Any:
    if not isinstance(raw, dict):
        return raw
    plain = camel(raw)
    schema = plain.get("parametersJsonSchema")
    if schema is None:
        schema = json_schema(plain.get("parameters"))
    told = {"name": plain.get("name"), "description": plain.get("description")}
    return told if schema is None else {**told, "parameters": schema}


def join_generated(stream: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The chunks of a stream to one response; a stream without a finish reason was cut."""
    whole: dict[str, Any] = {}
    found: dict[int, dict[str, Any]] = {}
    for chunk in stream:
        body = camel(chunk)
        if isinstance(body.get("response"), dict):
            body = camel(body["response"])
        if body.get("error"):
            return {"error": body["error"]}
        whole |= {key: value for key, value in body.items() if key != "candidates"}
        listed = body.get("candidates")
        for raw in listed if isinstance(listed, list) else ():
            if isinstance(raw, dict):
                _grow(found, camel(raw))
    for candidate in found.values():
        if candidate.get("finishReason") is None:
            candidate[CUT] = True
    return {**whole, "candidates": [found[index] for index in sorted(found)]} if found else whole


def _grow(found: dict[int, dict[str, Any]], piece: Mapping[str, Any]) -> None:
    index = piece.get("index")
    at = index if isinstance(index, int) else 0
    known = found.setdefault(at, {"content": {"role": "model", "parts": []}})
    known |= {key: value for key, value in piece.items() if key != "content"}
    content = piece.get("content")
    listed = content.get("parts") if isinstance(content, dict) else None
    parts = known["content"]["parts"]
    for part in listed if isinstance(listed, list) else ():
        if _goes_on(parts[-1:], part):
            parts[-1] = {**parts[-1], **part, "text": parts[-1]["text"] + part["text"]}
        else:
            parts.append(part)


def _goes_on(last: Sequence[Any], part: Any) -> bool:
    pair = [*last, part]
    texts = all(isinstance(p, dict) and isinstance(p.get("text"), str) for p in pair)
    return len(pair) == 2 and texts and pair[0].get("thought") == pair[1].get("thought")
