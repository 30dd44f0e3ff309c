"""Content blocks of any framework or provider as parts: one table, by the block's type.

In: one element of a message's content. Out: a `Part`, or None for a block that says nothing.
Known spellings: OpenAI chat and Responses, Anthropic, Bedrock, Gemini (snake and camel case),
OpenTelemetry GenAI, LangChain, Vercel AI SDK, pydantic-ai. Argument text stays as it is where the
block holds text; an object is rendered (`verbatim=False`). A block of an unknown type is kept as
the hash of its content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
from msgspec.structs import replace

from misstep.chat import content_text
from misstep.ingest.blocks import RAW_INPUT
from misstep.ingest.decode import depth
from misstep.ingest.messages import content_hash, inline, text_or_none
from misstep.types import Part, ToolCall, ToolResult

Block = Mapping[str, Any]
_OPENS, _CLOSES = ("{", "[", '"'), ("}", "]", '"')
_DEEPEST = 200
"""Levels of JSON inside a string; deeper text stays text, so that it can be written again."""
TOO_DEEP = 200
"""Characters of a JSON pointer below which wrappers are no longer opened."""


def pieces(content: Any) -> list[Part]:
    """The parts of a content: text, one block, or a list of both; calls are numbered."""
    blocks = content if isinstance(content, list) else [content]
    return numbered(part for block in blocks if (part := piece(block)) is not None)


def numbered(parts: Iterable[Part]) -> list[Part]:
    """The parts with the index of each call among the calls."""
    made: list[Part] = []
    calls = 0
    for part in parts:
        if part.call is not None:
            part = replace(part, call=replace(part.call, index=calls))
            calls += 1
        made.append(part)
    return made


def piece(block: Any) -> Part | None:
    """One block."""
    if block is None or block == "":
        return None
    if isinstance(block, str):
        return Part(kind="text", text=block)
    if not isinstance(block, dict):
        return Part(kind="text", text=written(block))
    kind = block.get("type", block.get("part_kind"))
    make = _TYPES.get(kind) if isinstance(kind, str) else None
    if make is not None:
        return make(block)
    for name, build in _KEYS:
        if block.get(name) is not None:
            return build(block)
    return Part(kind="image", text=inline(block) or content_hash(written(block)))


def opened(value: Any, times: int = 2) -> Any:
    """JSON inside a string, as exports hold it; other text stays text."""
    while times and isinstance(value, str) and value[:1] in _OPENS and value[-1:] in _CLOSES:
        data = value.encode("utf-8", "surrogatepass")
        if depth(data, _DEEPEST) > _DEEPEST:
            return value
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            return value
        times -= 1
    return value


def written(value: Any) -> str:
    """A value as JSON text."""
    return orjson.dumps(value, default=str).decode()


def call_of(
    name: Any, arguments: Any, id: Any = None, *, kind: str = "function", fault: Any = None
) -> ToolCall:
    """A call from its pieces; text stays verbatim, anything else is rendered."""
    verbatim = isinstance(arguments, str)
    return ToolCall(
        name=name if isinstance(name, str) else "",
        arguments=arguments if isinstance(arguments, str) else written(arguments or {}),
        id=text_or_none(id),
        kind="custom" if kind == "custom" else "hosted" if kind == "hosted" else "function",
        syntax="text" if kind == "custom" else "json",
        verbatim=verbatim,
        fault=text_or_none(fault),
    )


def result_part(
    content: Any, id: Any = None, *, name: Any = None, flag: Any = None, hint: Any = None
) -> Part:
    """A tool result; `flag` is the log's own error flag, if it is a boolean."""
    result = ToolResult(
        text=content_text(content),
        call_id=text_or_none(id),
        name=text_or_none(name),
        is_error=flag if isinstance(flag, bool) else None,
        hint=text_or_none(hint),
    )
    return Part(kind="result", result=result)


def _text(block: Block) -> Part | None:
    text = next((block[k] for k in ("text", "content", "refusal") if block.get(k)), None)
    return Part(kind="text", text=text) if isinstance(text, str) else None


def _thought(block: Block) -> Part | None:
    keys = ("thinking", "text", "reasoning", "content", "reasoningText")
    text = next((block[k] for k in keys if isinstance(block.get(k), str)), None)
    if text is None:
        said = block.get("summary", block.get("reasoningContent"))
        text = content_text(said) if isinstance(said, list) and said else None
    return Part(kind="reasoning", text=text) if text else None


_NAMES = ("name", "toolName", "tool_name")
_ARGUMENTS = ("arguments", "args", "input", "action", "code")
_IDS = ("call_id", "toolCallId", "tool_call_id", "toolUseId", "tool_use_id", "id")
_OUTPUTS = ("output", "result", "response", "content")


def _first(block: Block, keys: Iterable[str]) -> Any:
    return next((block[key] for key in keys if block.get(key) is not None), None)


def _call(block: Block, kind: str = "function") -> Part:
    inner = block.get("function")
    body = inner if isinstance(inner, dict) else block
    custom = block.get("custom")
    if isinstance(custom, dict):
        body, kind = custom, "custom"
    fault = _first(block, ("error",)) if block.get("type") == "invalid_tool_call" else None
    raw = block.get(RAW_INPUT)
    call = call_of(
        _first(body, _NAMES),
        raw if isinstance(raw, str) else _first(body, _ARGUMENTS),
        _first(block, _IDS),
        kind=kind,
        fault=fault,
    )
    return Part(kind="call", call=call)


def _hosted(block: Block) -> Part:
    part = _call(block, "hosted")
    if part.call is not None and not part.call.name:
        name = str(block.get("type")).removesuffix("_call")
        part = replace(part, call=replace(part.call, name=name))
    return part


def _result(block: Block) -> Part:
    flag = block.get("is_error", block.get("isError"))
    status = block.get("status")
    if status == "error" or block.get("type") == "tool-error":
        flag = True
    output = _first(block, (*_OUTPUTS, "error"))
    if isinstance(output, dict) and "value" in output and isinstance(output.get("type"), str):
        flag = True if output["type"].startswith("error") else flag
        output = output["value"]
    return result_part(output, _first(block, _IDS), name=_first(block, _NAMES), flag=flag)


def _retry(block: Block) -> Part:
    """pydantic-ai's answer to a call or an output that did not validate."""
    if block.get("tool_name") is None:
        return Part(kind="text", text=content_text(block.get("content")))
    part = result_part(block.get("content"), block.get("tool_call_id"), flag=True)
    result = part.result
    if result is None:
        return part
    wrong = isinstance(block.get("content"), list)
    return replace(
        part,
        result=replace(
            result, name=text_or_none(block["tool_name"]), cause="model" if wrong else None
        ),
    )


def _image(block: Block) -> Part:
    source = _first(block, ("image_url", "source", "file", "image", "input_audio", "data", "url"))
    if isinstance(source, dict):
        source = _first(source, ("url", "data", "file_id")) or source
    text = source if isinstance(source, str) else written(block)
    short = text.startswith(("http://", "https://")) and len(text) < 2000
    return Part(kind="image", text=text if short else inline(block) or content_hash(text))


def _nothing(block: Block) -> None:
    return None


def _inside(key: str, make: Callable[[Block], Part | None]) -> Callable[[Block], Part | None]:
    def build(block: Block) -> Part | None:
        inner = block[key]
        return make(inner) if isinstance(inner, dict) else None

    return build


def _gemini_text(block: Block) -> Part | None:
    return _thought(block) if block.get("thought") is True else _text(block)


_TYPES: dict[str, Callable[[Block], Part | None]] = {
    "text": _gemini_text,
    "input_text": _text,
    "output_text": _text,
    "refusal": _text,
    "system-prompt": _text,
    "user-prompt": _text,
    "thinking": _thought,
    "reasoning": _thought,
    "redacted_thinking": _nothing,
    "redacted-reasoning": _nothing,
    "step-start": _nothing,
    "tool_use": _call,
    "tool_call": _call,
    "tool-call": _call,
    "function": _call,
    "function_call": _call,
    "invalid_tool_call": _call,
    "custom_tool_call": lambda block: _call(block, "custom"),
    "custom": _call,
    "server_tool_use": _hosted,
    "server_tool_call": _hosted,
    "mcp_tool_use": _hosted,
    "mcp_call": _hosted,
    "web_search_call": _hosted,
    "file_search_call": _hosted,
    "code_interpreter_call": _hosted,
    "image_generation_call": _hosted,
    "builtin-tool-call": _hosted,
    "tool_result": _result,
    "tool-result": _result,
    "tool-error": _result,
    "tool_call_response": _result,
    "server_tool_result": _result,
    "web_search_tool_result": _result,
    "function_call_output": _result,
    "custom_tool_call_output": _result,
    "tool-return": _result,
    "builtin-tool-return": _result,
    "retry-prompt": _retry,
    "image": _image,
    "image_url": _image,
    "input_image": _image,
    "file": _image,
    "document": _image,
    "input_audio": _image,
}
_KEYS: tuple[tuple[str, Callable[[Block], Part | None]], ...] = (
    ("function_call", _inside("function_call", _call)),
    ("functionCall", _inside("functionCall", _call)),
    ("function_response", _inside("function_response", _result)),
    ("functionResponse", _inside("functionResponse", _result)),
    ("toolUse", _inside("toolUse", _call)),
    ("toolResult", _inside("toolResult", _result)),
    ("reasoningContent", _inside("reasoningContent", _thought)),
    ("tool_call_id", _result),
    ("arguments", _call),
    ("text", _gemini_text),
    ("thinking", _thought),
    ("image_url", _image),
)
"""For blocks without a type: the first key that is there says what it is."""
