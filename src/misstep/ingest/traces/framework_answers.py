"""What a traced model call answered, from any framework's or provider's output.

In: the decoded output of one call: a provider's response (OpenAI chat and Responses, Anthropic,
Gemini, Bedrock), LangChain's generations, a state that ends with the answer, a message, or text.
Out: the answers as `Message` values with finish reason, model, usage and time where told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec.structs import replace

from misstep.ingest.format import Misfit
from misstep.ingest.formats.openai_chat import refused_parts
from misstep.ingest.gemini_parts import unread_call
from misstep.ingest.messages import (
    content_hash,
    int_or_none,
    kind_of,
    text_or_none,
    unix_time,
    usage_of,
)
from misstep.ingest.stream import CUT
from misstep.ingest.traces.framework_parts import TOO_DEEP, numbered, opened, pieces, written
from misstep.ingest.traces.framework_printed import literal
from misstep.ingest.traces.frameworks import messages_of
from misstep.types import Message, Part, Usage

Body = Mapping[str, Any]


def answers(value: Any, pointer: str = "") -> list[Message]:
    """The answers in a call's output; none where it holds none.

    Raises:
        Misfit: an answer has no known shape.
    """
    value = opened(value)
    if len(pointer) > TOO_DEEP:
        raise Misfit(pointer, "an answer nested too deep")
    if value is None or value == "" or value == {} or value == []:
        return []
    if isinstance(value, str):
        return [Message(role="assistant", parts=(Part(kind="text", text=value),))]
    if isinstance(value, list):
        return _together(value, pointer)
    if not isinstance(value, dict):
        raise Misfit(pointer, f"expected what the model answered, got {kind_of(value)}")
    for key, make in _ANSWERS:
        held = opened(value.get(key))
        if isinstance(held, list) and held:
            return make(value, held, f"{pointer}/{key}")
    return _answer_body(value, pointer)


def _answer_body(body: Body, pointer: str) -> list[Message]:
    content = opened(body.get("content"))
    if isinstance(content, dict) and isinstance(content.get("parts"), list):
        return [_told_of(body, pieces(content["parts"]))]
    message = opened(body.get("message"))
    if isinstance(message, dict):
        said = answers(message, f"{pointer}/message")
        reason = text_or_none(body.get("finish_reason"))
        return [replace(m, finish_reason=m.finish_reason or reason) for m in said]
    for key in ("output", "response", "generation", "result"):
        if body.get(key) is not None and "role" not in body and "content" not in body:
            return answers(body[key], f"{pointer}/{key}")
    if "text" in body and "role" not in body and "content" not in body:
        listed = body.get("toolCalls", body.get("tool_calls"))
        calls = pieces([{"type": "function", **c} for c in _objects(listed)])
        return [_told_of(body, [*pieces(body.get("reasoning")), *pieces(body["text"]), *calls])]
    row = (
        body if "role" in body or "lc" in body or "type" in body else {**body, "role": "assistant"}
    )
    if row.get("type") == "message" and "role" in row:
        row = {key: held for key, held in row.items() if key != "type"}
    made = [m for m in messages_of(row, pointer) if m.role == "assistant"]
    if len(made) == 1 and not made[0].parts and _says_more(body):
        made = [replace(made[0], parts=(Part(kind="image", text=content_hash(written(body))),))]
    return [_with(m, body) for m in made]


def _says_more(body: Body) -> bool:
    """Whether an object that reads to nothing holds an answer: a sound, a parsed object."""
    return _SPOKEN.isdisjoint(body) and any(
        value not in (None, "", [], {}) for key, value in body.items() if key not in _AROUND
    )


def _objects(listed: Any) -> list[Body]:
    return [v for v in listed if isinstance(v, dict)] if isinstance(listed, list) else []


def _choices(body: Body, held: list[Any], pointer: str) -> list[Message]:
    made: list[Message] = []
    for index, choice in enumerate(held):
        at = f"{pointer}/{index}"
        said = choice.get("message") if isinstance(choice, dict) else None
        if isinstance(choice, dict) and said is None and isinstance(choice.get("text"), str):
            said = {"content": choice["text"]}
        if not isinstance(said, dict):
            raise Misfit(at, f"expected a choice object, got {kind_of(choice)}")
        told = messages_of({**said, "role": "assistant"}, f"{at}/message")
        reason = text_or_none(choice.get("finish_reason"))
        cut: Literal["complete", "cut"] = "cut" if choice.get(CUT) else "complete"
        told = [replace(m, finish_reason=reason, end=cut) for m in told]
        made.extend(_with(m, body, first=index == 0) for m in told)
    return made


def _candidates(body: Body, held: list[Any], pointer: str) -> list[Message]:
    made: list[Message] = []
    for candidate in held:
        if isinstance(candidate, dict):
            content = candidate.get("content")
            parts = content.get("parts") if isinstance(content, dict) else None
            said = _told_of(candidate, pieces(parts or []))
            made.append(_with(said, body, first=not made))
    return made


def _generations(body: Body, held: list[Any], pointer: str) -> list[Message]:
    """LangChain's result: lists of generations, each with a message or a text."""
    flat = held[0] if isinstance(held[0], list) else held
    made: list[Message] = []
    for index, generation in enumerate(flat):
        if not isinstance(generation, dict):
            raise Misfit(f"{pointer}/{index}", f"expected an object, got {kind_of(generation)}")
        message = generation.get("message")
        if message is None:
            made.append(_told_of({}, pieces(generation.get("text"))))
        else:
            made.extend(m for m in messages_of(message, pointer) if m.role == "assistant")
        info = generation.get("generation_info")
        if made and isinstance(info, dict) and made[-1].finish_reason is None:
            made[-1] = replace(made[-1], finish_reason=text_or_none(info.get("finish_reason")))
    output = body.get("llm_output")
    return [_with(m, output) for m in made] if isinstance(output, dict) else made


def _items(body: Body, held: list[Any], pointer: str) -> list[Message]:
    if not all(isinstance(item, dict) for item in held):
        return answers(held, pointer)
    made = _together(held, pointer)
    reason = _incomplete(body) or body.get("status")
    return [_with(replace(m, finish_reason=text_or_none(reason)), body) for m in made]


def _incomplete(body: Body) -> Any:
    details = body.get("incomplete_details")
    return details.get("reason") if isinstance(details, dict) else None


def _history(body: Body, held: list[Any], pointer: str) -> list[Message]:
    """A state that ends with the answer."""
    made = messages_of(held[-1], f"{pointer}/{len(held) - 1}")
    return [m for m in made if m.role == "assistant"][-1:]


def _together(rows: Sequence[Any], pointer: str) -> list[Message]:
    """Items of one answer, as one message."""
    parts: list[Part] = []
    last = Message(role="assistant")
    for index, row in enumerate(rows):
        for message in _item(opened(row, 1), f"{pointer}/{index}"):
            if message.role == "assistant":
                parts.extend(message.parts)
                last = message
    return [replace(last, parts=tuple(numbered(parts)))] if parts else []


def _item(row: Any, pointer: str) -> list[Message]:
    if isinstance(row, str):
        return answers(row, pointer)
    if not isinstance(row, dict):
        return []
    if "role" not in row and row.get("type") in ("text", "output_text", "thinking"):
        return [Message(role="assistant", parts=tuple(pieces(row)))]
    if row.get("type") == "message":
        row = {"role": "assistant", **row, "type": None}
    return messages_of(row, pointer)


def _told_of(body: Body, parts: Sequence[Part]) -> Message:
    message = Message(role="assistant", parts=tuple(numbered(parts)))
    return _with(message, body)


_REASONS = ("finish_reason", "finishReason", "stop_reason", "stopReason")
_USAGES = ("usage", "token_usage", "usage_metadata", "usageMetadata")
_SPOKEN = frozenset(("role", "content", "type", "lc", "kind", "parts"))
"""Fields of what is a message, be it an empty one."""
_AROUND = frozenset((*_REASONS, *_USAGES, "id", "object", "model", "model_name", "created"))
"""Fields that say nothing of what was answered."""
_FAULTS = ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL")


def _with(message: Message, body: Body, first: bool = True) -> Message:
    """The message with what the response says around it."""
    reason = message.finish_reason or next(
        (body[key] for key in _REASONS if isinstance(body.get(key), str)), None
    )
    said = (body.get("finishMessage"), body.get("finish_message"), body.get("error_message"))
    told = next((text for text in map(text_or_none, said) if text), None)
    unread = unread_call(told) if told and reason in _FAULTS and not message.calls else None
    model = next(
        (n for k in ("model", "model_name", "modelVersion") if (n := text_or_none(body.get(k)))),
        None,
    )
    return replace(
        message,
        parts=(*message.parts, Part(kind="call", call=unread)) if unread else message.parts,
        finish_reason=reason,
        end="cut" if body.get(CUT) else message.end,
        fault=message.fault or ((told or reason) if reason in _FAULTS else None),
        model=message.model or model,
        usage=message.usage or (_usage(body) if first else None),
        time=message.time or unix_time(body.get("created", body.get("created_at"))),
    )


def _usage(body: Body) -> Usage | None:
    for key in _USAGES:
        told = body.get(key)
        if isinstance(told, dict):
            return counted(told)
    return None


def counted(told: Any) -> Usage | None:
    """Token counts in any spelling; None where there are none."""
    if not isinstance(told, dict):
        return None
    known = usage_of(told)
    if known is not None and known != Usage():
        return known
    ins = ("promptTokenCount", "prompt_token_count", "promptTokens", "inputTokens", "input")
    outs = (
        "candidatesTokenCount",
        "candidates_token_count",
        "completionTokens",
        "outputTokens",
        "output",
    )
    made = Usage(
        input_tokens=next((n for k in ins if (n := int_or_none(told.get(k))) is not None), None),
        output_tokens=next((n for k in outs if (n := int_or_none(told.get(k))) is not None), None),
    )
    return None if made == Usage() else made


def refused(error: str) -> tuple[Part, ...]:
    """The generation that a provider refused and quotes in its error (`failed_generation`)."""
    at = error.find("{")
    body = literal(error[at : error.rfind("}") + 1]) if "failed_generation" in error else None
    inner = body.get("error", body) if isinstance(body, dict) else None
    text = inner.get("failed_generation") if isinstance(inner, dict) else None
    return refused_parts(text) if isinstance(text, str) and text else ()


_ANSWERS = (
    ("choices", _choices),
    ("candidates", _candidates),
    ("generations", _generations),
    ("messages", _history),
    ("output", _items),
)
