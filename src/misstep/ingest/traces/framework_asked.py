"""What a traced model call was asked, from any framework's or provider's input.

In: the decoded input of one call. Out: `Asked`, the elements of its history and what was offered.
JSON inside strings is opened; tool definitions that pose as messages of the role `tool` become
tools. An input that holds no messages is a `Misfit`, so that nothing is taken for a conversation
that is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from misstep.ingest.format import Misfit
from misstep.ingest.gemini_parts import json_schema
from misstep.ingest.messages import kind_of, number_or_none
from misstep.ingest.traces.framework_parts import TOO_DEEP, opened, pieces
from misstep.ingest.traces.frameworks import is_tool_definition, transcript
from misstep.types import Message

Body = Mapping[str, Any]


class Asked(msgspec.Struct, frozen=True):
    """A model call's input."""

    rows: tuple[tuple[Any, str], ...]
    """Elements of the history, each with its JSON pointer."""
    offer: dict[str, Any]
    """What was offered, in the spelling of a chat request (`context.Contexts.of`)."""


def asked(value: Any, pointer: str = "") -> Asked:
    """The messages and offers of a call's input.

    Raises:
        Misfit: nothing in it is a conversation.
    """
    value = opened(value)
    if len(pointer) > TOO_DEEP:
        raise Misfit(pointer, "messages nested too deep")
    if isinstance(value, str):
        rows = [(message, pointer) for message in transcript(value)]
        return Asked(tuple(rows), {})
    if isinstance(value, list):
        return _asked_list(value, pointer, {})
    if not isinstance(value, dict):
        raise Misfit(pointer, f"expected what the model was asked, got {kind_of(value)}")
    for key in ("kwargs", "inputs", "request", "parameters"):
        inner = opened(value.get(key))
        if isinstance(inner, dict) and _told(inner):
            return asked(inner, f"{pointer}/{key}")
    return _asked_body(value, pointer)


_HISTORIES = ("messages", "contents", "input", "prompt", "prompts", "input_messages")


def _told(body: Body) -> bool:
    return any(body.get(key) for key in _HISTORIES)


def _asked_body(body: Body, pointer: str) -> Asked:
    for key in _HISTORIES:
        history = opened(body.get(key))
        if isinstance(history, list) and history:
            found = _asked_list(history, f"{pointer}/{key}", body)
            return replace(found, rows=(*_system(body, pointer), *found.rows))
        if isinstance(history, str) and history:
            rows = [(message, f"{pointer}/{key}") for message in transcript(history)]
            return Asked((*_system(body, pointer), *rows), offer_of(body))
        if isinstance(history, dict):
            found = asked(history, f"{pointer}/{key}")
            return replace(found, offer={**offer_of(body), **found.offer})
    if "role" in body or "lc" in body or "parts" in body:
        return Asked(((body, pointer),), {})
    keys = ", ".join(list(body)[:6])
    raise Misfit(pointer, f"no messages in what the model was asked; it has {keys or 'no fields'}")


def _asked_list(rows: Sequence[Any], pointer: str, body: Body) -> Asked:
    """A history; LangChain puts it into a list of one more level."""
    if len(rows) == 1 and isinstance(rows[0], list) and len(pointer) < TOO_DEEP:
        return _asked_list(rows[0], f"{pointer}/0", body)
    offer = offer_of(body)
    history: list[tuple[Any, str]] = []
    tools: list[Any] = []
    for index, row in enumerate(rows):
        row = opened(row, 1)
        if is_tool_definition(row):
            tools.append(row["content"])
        else:
            history.append((row, f"{pointer}/{index}"))
    if tools and not offer.get("tools"):
        offer["tools"] = tools
    if not history:
        raise Misfit(pointer, "the list of messages is empty")
    return Asked(tuple(history), offer)


def _system(body: Body, pointer: str) -> Iterable[tuple[Any, str]]:
    config = opened(body.get("config"))
    inner: Body = config if isinstance(config, dict) else {}
    keys = ("system", "instructions", "system_instruction", "systemInstruction", "systemPrompt")
    for key in keys:
        said = body.get(key, inner.get(key))
        parts = said.get("parts", said) if isinstance(said, dict) else said
        if parts:
            told = tuple(p for p in pieces(parts) if p.kind == "text")
            yield Message(role="system", parts=told), f"{pointer}/{key}"
            return


def offer_of(body: Body) -> dict[str, Any]:
    """Tools, schema, choice and limits of a request in any provider's spelling."""
    config = opened(body.get("config"))
    inner = config if isinstance(config, dict) else {}
    whole: dict[str, Any] = {**inner, **body}
    limits = whole.get("generationConfig", whole.get("inferenceConfig"))
    if isinstance(limits, dict):
        whole = {**limits, **whole}
    offer = {key: opened(whole[key]) for key in _OFFERED if whole.get(key) is not None}
    renamed = {ours: whole[theirs] for theirs, ours in _RENAMED if whole.get(theirs) is not None}
    offer = {**renamed, **offer}
    limit = number_or_none(opened(offer.get("max_tokens")))
    if limit is not None and limit < 0:
        del offer["max_tokens"]
    tools = tools_of(whole.get("tools", _nested(whole, "toolConfig", "tools")))
    if tools:
        offer["tools"] = tools
    form = _nested(whole, "text", "format")
    if isinstance(form, dict) and "response_format" not in offer:
        offer["response_format"] = form
    return offer


_OFFERED = (
    *("functions", "response_format", "response_schema", "output_config", "tool_choice"),
    *("function_call", "max_tokens", "max_completion_tokens", "temperature", "top_p"),
)
_RENAMED = (
    ("max_output_tokens", "max_tokens"),
    ("maxOutputTokens", "max_tokens"),
    ("maxTokens", "max_tokens"),
    ("topP", "top_p"),
    ("toolChoice", "tool_choice"),
    ("response_json_schema", "response_schema"),
    ("responseSchema", "response_schema"),
)


def tools_of(listed: Any) -> list[Any]:
    """A flat list of tools, from a list or a table by name, of objects or of JSON texts."""
    listed = opened(listed)
    if isinstance(listed, dict):
        named = [(name, opened(tool)) for name, tool in listed.items()]
        listed = [{"name": name, **tool} for name, tool in named if isinstance(tool, dict)]
    flat: list[Any] = []
    for tool in listed if isinstance(listed, list) else ():
        tool = opened(tool)
        if not isinstance(tool, dict):
            continue
        declared = tool.get("function_declarations", tool.get("functionDeclarations"))
        if isinstance(declared, list):
            flat.extend(_declared(d) for d in declared if isinstance(d, dict))
        elif tool.get("type") == "namespace" and isinstance(tool.get("tools"), list):
            flat.extend(t for t in tool["tools"] if isinstance(t, dict))
        else:
            flat.append(tool)
    return flat


def _declared(tool: Body) -> Body:
    """A function declaration of Gemini; its own kind of schema becomes JSON Schema."""
    schema = tool.get("parametersJsonSchema", tool.get("parameters_json_schema"))
    if schema is None and isinstance(tool.get("parameters"), dict):
        schema = json_schema(tool["parameters"])
    return {**tool, "parameters": schema} if schema is not None else tool


def _nested(body: Body, outer: str, inner: str) -> Any:
    held = opened(body.get(outer))
    return held.get(inner) if isinstance(held, dict) else None
