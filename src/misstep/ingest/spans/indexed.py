"""OpenLLMetry and OpenInference: messages spread over attribute keys with numbers in them.

In: `gen_ai.prompt.N.*`, `gen_ai.completion.N.*`, `llm.request.functions.N.*` of OpenLLMetry;
`llm.input_messages.N.message.*`, `llm.output_messages.N.message.*`, `llm.tools.N.tool.json_schema`
of OpenInference, flat, nested, as a list, or as text of one. Out: histories, answers and tools.
"""

from __future__ import annotations

import ast
from functools import partial
from typing import Any

from msgspec.structs import replace

from misstep.ingest.format import Misfit
from misstep.ingest.messages import text_or_none
from misstep.ingest.spans.facts import parsed, texts_of
from misstep.ingest.spans.flat import Group, groups, hashable, nest, undotted
from misstep.ingest.spans.genai import Told, sequence, with_reasons
from misstep.ingest.spans.history import Histories, Keyed
from misstep.ingest.spans.rows import messages_of
from misstep.ingest.spans.span import Attributes
from misstep.types import Message

PROMPT = "gen_ai.prompt."
COMPLETION = "gen_ai.completion."
FUNCTIONS = "llm.request.functions."
INPUT = "llm.input_messages"
OUTPUT = "llm.output_messages"
TOOLS = "llm.tools"
_LONGEST_REPR = 1_000_000


def openllmetry(attributes: Attributes, histories: Histories) -> Told:
    """Prompts and completions by number.

    Raises:
        Misfit: a group is no message.
    """
    history: list[Keyed] = []
    asked, made = groups(attributes, PROMPT, COMPLETION)
    for group in asked:
        key = ("openllmetry", hashable(group))
        history.extend(histories.remembered(key, partial(_llmetry_said, group)))
    answers: list[Message] = []
    for group in made:
        row = _llmetry_row(group)
        if not isinstance(row, dict) or not any(k in row for k in _SPOKEN):
            continue
        reason = text_or_none(row.get("finish_reason"))
        found = messages_of({**row, "role": "assistant"}, f"/{COMPLETION}")
        answers.extend(replace(message, finish_reason=reason) for message in found)
    reasons = texts_of(attributes.get("gen_ai.response.finish_reasons"))
    return sequence(history, with_reasons(answers, reasons))


_SPOKEN = ("content", "tool_calls", "function_call", "role", "reasoning", "refusal")


def _llmetry_said(group: Group) -> list[Message]:
    return messages_of(_llmetry_row(group), f"/{PROMPT}")


def _llmetry_row(group: Group) -> Any:
    row = nest(group)
    if not isinstance(row, dict):
        return {"role": "user", "content": row}
    content = row.get("content")
    if isinstance(content, str) and content.startswith("[{"):
        inner = parsed(content)
        if isinstance(inner, list) and all(isinstance(p, dict) and "type" in p for p in inner):
            row["content"] = inner
    return row


def openllmetry_tools(attributes: Attributes) -> tuple[Any, Any]:
    """What makes the offered functions, and what stands for them as a dictionary key."""
    (found,) = groups(attributes, FUNCTIONS)
    return partial(_functions, found), tuple(hashable(group) for group in found)


def _functions(found: list[Group]) -> list[Any]:
    rows = []
    for group in found:
        row = nest(group)
        if isinstance(row, dict):
            schema = row.get("parameters", row.get("arguments"))
            given = parsed(schema) if isinstance(schema, str) else schema
            rows.append({**row, "parameters": given} if given is not None else row)
    return rows


def openinference(attributes: Attributes, histories: Histories) -> Told:
    """Input and output messages.

    Raises:
        Misfit: one of them is no message.
    """
    asked, made = groups(attributes, f"{INPUT}.", f"{OUTPUT}.")
    history = _inferred(attributes, asked, histories)
    answers: list[Message] = []
    for row in _rows(attributes, made):
        reason = text_or_none(row.get("finish_reason")) if isinstance(row, dict) else None
        found = messages_of(row, f"/{OUTPUT}", role="assistant")
        answers.extend(replace(message, finish_reason=reason) for message in found)
    return sequence(history, with_reasons(answers, _finish_reasons(attributes)))


def _inferred(attributes: Attributes, asked: list[Group], histories: Histories) -> list[Keyed]:
    whole = attributes.get(INPUT)
    if whole is not None:
        return histories.listed(_as_list(whole, INPUT), f"/{INPUT}", shape=_undotted_row)
    history: list[Keyed] = []
    for group in asked:
        key = ("openinference", hashable(group))
        history.extend(histories.remembered(key, partial(_inferred_said, group)))
    return history


def _rows(attributes: Attributes, made: list[Group]) -> list[Any]:
    whole = attributes.get(OUTPUT)
    if whole is not None:
        return [_undotted_row(row) for row in _as_list(whole, OUTPUT)]
    return [inference_row(nest(group)) for group in made]


def _undotted_row(row: Any) -> Any:
    return inference_row(undotted(row))


def _as_list(value: Any, name: str) -> list[Any]:
    """Messages of a cell: a list, or what JSON or a data frame's text makes of one."""
    if isinstance(value, str):
        value = parsed(value) or _literal(value)
    if isinstance(value, dict):
        value = nest(tuple((str(k), v) for k, v in value.items()))
    if not isinstance(value, list):
        raise Misfit(f"/{name}", "expected a list of messages")
    return value


def _literal(text: str) -> Any:
    """A list as Python writes it, which is how data frames write cells into CSV."""
    if len(text) > _LONGEST_REPR:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _inferred_said(group: Group) -> list[Message]:
    return messages_of(inference_row(nest(group)), f"/{INPUT}")


def inference_row(row: Any) -> Any:
    """An OpenInference message as a chat row."""
    if not isinstance(row, dict):
        return row
    body = row.get("message", row)
    if not isinstance(body, dict):
        return body
    found: dict[str, Any] = dict(body)
    pieces = body.get("contents")
    if isinstance(pieces, list) and pieces:
        found["content"] = [_content(piece) for piece in pieces]
    calls = body.get("tool_calls")
    if isinstance(calls, list):
        found["tool_calls"] = [_call(call) for call in calls]
    legacy = body.get("function_call_name")
    if isinstance(legacy, str) and legacy:
        arguments = body.get("function_call_arguments_json")
        found["function_call"] = {"name": legacy, "arguments": arguments}
    return {key: value for key, value in found.items() if value is not None}


def _call(call: Any) -> Any:
    inner = call.get("tool_call") if isinstance(call, dict) else None
    return inner if isinstance(inner, dict) else call


def _content(piece: Any) -> Any:
    inner = piece.get("message_content") if isinstance(piece, dict) else None
    if not isinstance(inner, dict):
        return piece
    call = inner.get("tool_call")
    if isinstance(call, dict):
        return {**call, "type": "tool_use"}
    image = inner.get("image")
    if isinstance(image, dict):
        held = image.get("image", image)
        return {"type": "image", "image": held}
    return inner


def _finish_reasons(attributes: Attributes) -> list[str | None]:
    """Reasons as an attribute, or in the raw response that the span keeps as its output."""
    told = texts_of(attributes.get("llm.finish_reason"))
    told = told or texts_of(attributes.get("gen_ai.response.finish_reasons"))
    if told:
        return told
    raw = attributes.get("output.value")
    body = parsed(raw) if isinstance(raw, str) and raw[:1] == "{" else raw
    if not isinstance(body, dict):
        return []
    choices = body.get("choices")
    if isinstance(choices, list):
        return [text_or_none(c.get("finish_reason")) for c in choices if isinstance(c, dict)]
    reason = text_or_none(body.get("stop_reason"))
    return [reason] if reason else []


def openinference_tools(attributes: Attributes) -> tuple[Any, Any]:
    """What makes the offered tools, and what stands for them as a dictionary key."""
    whole = attributes.get(TOOLS)
    if whole is not None:
        return [_schema_of(undotted(row)) for row in _as_list(whole, TOOLS)], None
    (found,) = groups(attributes, TOOLS + ".")
    return partial(_schemas, found), tuple(hashable(group) for group in found)


def _schemas(found: list[Group]) -> list[Any]:
    return [_schema_of(nest(group)) for group in found]


def _schema_of(row: Any) -> Any:
    tool = row.get("tool", row) if isinstance(row, dict) else row
    if isinstance(tool, dict) and "json_schema" in tool:
        return tool["json_schema"]
    return tool
