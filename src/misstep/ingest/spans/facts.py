"""What every convention says about a span beside its messages: model, usage, errors, the offer.

In: a span's attributes under any of the names in use. Out: plain values, and contexts that are
built once for equal requests.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import orjson

from misstep.ingest.context import Contexts
from misstep.ingest.format import Misfit
from misstep.ingest.messages import int_or_none, text_or_none
from misstep.ingest.spans.results import dumped
from misstep.ingest.spans.span import Attributes, Span, first
from misstep.types import Context, Usage

MODELS = (
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.model_name",
    "ai.response.model",
    "ai.model.id",
    "llm.response.model",
    "llm.request.model",
)
CONVERSATIONS = (
    "gen_ai.conversation.id",
    "session.id",
    "langfuse.session.id",
    "traceloop.association.properties.session_id",
    "traceloop.association.properties.thread_id",
    "traceloop.association.properties.conversation_id",
    "ai.telemetry.metadata.sessionId",
    "ai.telemetry.metadata.chatId",
    "ai.telemetry.metadata.threadId",
)
_INPUTS = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "ai.usage.inputTokens",
    "ai.usage.promptTokens",
)
_OUTPUTS = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "ai.usage.outputTokens",
    "ai.usage.completionTokens",
)


def model_of(attributes: Attributes) -> str | None:
    """The model that answered, else the one that was asked."""
    return next((v for k in MODELS if isinstance(v := attributes.get(k), str) and v), None)


def conversation_of(attributes: Attributes) -> str:
    """The id of the conversation or session; empty where none is named."""
    return next((v for k in CONVERSATIONS if isinstance(v := attributes.get(k), str) and v), "")


def usage_of(attributes: Attributes) -> Usage | None:
    """Token counts."""
    told, made = (
        next((n for k in keys if (n := _count(attributes.get(k))) is not None), None)
        for keys in (_INPUTS, _OUTPUTS)
    )
    return None if told is None and made is None else Usage(input_tokens=told, output_tokens=made)


def _count(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return int_or_none(value)


def texts_of(value: Any) -> list[str | None]:
    """A list of texts, from a list, from JSON text of one, or from one text."""
    if isinstance(value, str):
        value = parsed(value) if value.startswith("[") else [value]
    if not isinstance(value, list):
        return []
    return [text_or_none(v) for v in value]


def parsed(text: str) -> Any:
    """JSON text as its value; None for anything else."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def trouble(span: Span) -> str | None:
    """What a failed span says about it; None where it did not fail."""
    kind = text_or_none(span.attributes.get("error.type"))
    if span.failed is not True and kind is None:
        return None
    for event in span.events:
        if event.name == "exception" or "exception.message" in event.attributes:
            said = text_or_none(event.attributes.get("exception.message"))
            name = text_or_none(event.attributes.get("exception.type"))
            if said or name:
                return f"{name}: {said}" if said and name and name not in said else said or name
    said = text_or_none(span.said)
    named = text_or_none(span.attributes.get("exception.message"))
    return said or named or kind or "the span has the status error"


class Offers:
    """What requests offered, in any convention's spelling; equal offers are read once."""

    def __init__(self) -> None:
        self._contexts = Contexts()
        self._known: dict[Hashable, Context] = {}

    def of(self, attributes: Attributes, tools: Any, key: Hashable = None) -> Context:
        """The context of one request.

        Args:
            tools: a list of tools, or JSON text of one, in any spelling, or what makes it; None
                where none is logged.
            key: what stands for a list of tools that cannot be hashed itself.

        Raises:
            Misfit: the tools have a shape that no convention uses.
        """
        told = tuple(attributes.get(name) for name in _OFFERED)
        whole = (key if key is not None else tools, told)
        try:
            known = self._known.get(whole)
        except TypeError:  # a list that cannot be hashed
            return self._build(attributes, tools)
        if known is None:
            known = self._known[whole] = self._build(attributes, tools)
        return known

    def _build(self, attributes: Attributes, tools: Any) -> Context:
        request: dict[str, Any] = {
            "tools": tools_of(tools() if callable(tools) else tools),
            "max_tokens": _count(attributes.get("gen_ai.request.max_tokens")),
            "temperature": attributes.get("gen_ai.request.temperature"),
            "top_p": attributes.get("gen_ai.request.top_p"),
        }
        choice = first(attributes, "gen_ai.request.tool_choice", "ai.prompt.toolChoice")
        if choice is not None:
            given = parsed(choice) if isinstance(choice, str) and choice[:1] == "{" else choice
            request["tool_choice"] = _vercel_choice(given)
        schema = first(attributes, "gen_ai.request.structured_output_schema", "ai.schema")
        if isinstance(schema, str) and schema.startswith("{"):
            request["response_schema"] = schema
        elif attributes.get("gen_ai.output.type") == "json":
            request["response_format"] = {"type": "json_object"}
        given = first(attributes, "llm.invocation_parameters", "gen_ai.request.parameters")
        if isinstance(given, str):
            given = parsed(given)
        if isinstance(given, dict):
            request.update({k: v for k, v in given.items() if k in _PARAMETERS and v is not None})
            if request["tools"] is None and isinstance(given.get("tools"), list):
                request["tools"] = tools_of(given["tools"])
        return self._contexts.of(request)


_OFFERED = (
    "gen_ai.request.max_tokens",
    "gen_ai.request.temperature",
    "gen_ai.request.top_p",
    "gen_ai.request.tool_choice",
    "ai.prompt.toolChoice",
    "gen_ai.request.structured_output_schema",
    "ai.schema",
    "gen_ai.output.type",
    "llm.invocation_parameters",
    "gen_ai.request.parameters",
)
_PARAMETERS = (
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "tool_choice",
    "function_call",
    "response_format",
    "functions",
)


def _vercel_choice(choice: Any) -> Any:
    if isinstance(choice, dict) and isinstance(choice.get("toolName"), str):
        return choice["toolName"]
    return choice


def tool_row(tool: Any) -> Any:
    """One tool definition as an object with a name; None where there is none."""
    if isinstance(tool, str):
        tool = parsed(tool)
    if not isinstance(tool, dict):
        return None
    inner = tool.get("function")
    body = inner if isinstance(inner, dict) else tool
    if not isinstance(body.get("name", tool.get("type")), str):
        return None
    schema = body.get("parameters_json_schema")
    if schema is not None and "parameters" not in body:
        return {**body, "parameters": schema}
    return tool


def tools_of(value: Any) -> Any:
    """A tool list as JSON text, or as a list of objects or of JSON texts; None where there is none.

    Raises:
        Misfit: it is text, but no JSON.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        listed = parsed(value)
        if listed is None and value != "null":
            raise Misfit("", "tool definitions as text, but not JSON", "bad-tool")
        value = listed
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        return None
    return [row for row in (tool_row(tool) for tool in value) if row is not None]


def argument_text(value: Any) -> str | None:
    """The arguments of a tool run as text; None where they were not captured."""
    return None if value is None else dumped(value)
