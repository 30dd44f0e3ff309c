"""OpenAI chat form: messages to plain dicts and back. The common tongue of rows and templates.

In: `Message` values or chat dicts. Out: the other. Argument text stays the string it is, valid or
not. What chat form cannot say (order of interleaved parts, origins, finish reason) is lost here
and only here; lossless storage is `store.encode`.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from misstep.types import Context, Message, Part, Role, Session, ToolCall, ToolResult, ToolSpec

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_ATTACHED = frozenset(
    {"input_audio", "audio", "audio_url", "file", "input_file", "video", "video_url", "document"}
)
"""Types of content parts that are neither text nor an image."""


def to_chat(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Chat dicts; a message with several tool results becomes one `tool` dict per result."""
    rows: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "tool":
            rows.extend(_result_row(result) for result in message.results)
        else:
            rows.append(_row(message))
    return rows


def _row(message: Message) -> dict[str, Any]:
    row: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.reasoning:
        row["reasoning_content"] = message.reasoning
    if message.calls:
        row["tool_calls"] = [
            {
                "id": call.id or f"call_{call.index}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.calls
        ]
    return row


def _result_row(result: ToolResult) -> dict[str, Any]:
    row: dict[str, Any] = {"role": "tool", "content": result.text}
    if result.call_id is not None:
        row["tool_call_id"] = result.call_id
    if result.name is not None:
        row["name"] = result.name
    return row


def from_chat(row: Mapping[str, Any]) -> Message:
    """One chat dict as a message.

    Raises:
        ValueError: the role is missing or unknown, or a field has a shape that chat form lacks.
    """
    raw = row.get("role")
    role = _ROLES.get(raw) if isinstance(raw, str) else None
    if role is None:
        raise ValueError(f"unknown role {raw!r}; expected one of {', '.join(_ROLES)}")
    if role == "tool":
        result = ToolResult(
            text=content_text(row.get("content")),
            call_id=_text_or_none(row.get("tool_call_id")),
            name=_text_or_none(row.get("name")),
            is_error=row["is_error"] if isinstance(row.get("is_error"), bool) else None,
        )
        return Message(role="tool", parts=(Part(kind="result", result=result),))
    return Message(role=role, parts=tuple(_parts(row)))


def _parts(row: Mapping[str, Any]) -> list[Part]:
    parts: list[Part] = []
    reasoning = row.get("reasoning_content") or row.get("reasoning")
    if isinstance(reasoning, str) and reasoning:
        parts.append(Part(kind="reasoning", text=reasoning))
    content = row.get("content")
    if isinstance(content, str):
        if content:
            parts.append(Part(kind="text", text=content))
    elif content is not None:
        parts.extend(content_parts(content))
    calls = row.get("tool_calls") or []
    if not isinstance(calls, Sequence) or isinstance(calls, str):
        raise ValueError(f"tool_calls: expected a list, got {type(calls).__name__}")
    for index, call in enumerate(calls):
        parts.append(Part(kind="call", call=call_from_chat(call, index)))
    legacy = row.get("function_call")
    if isinstance(legacy, Mapping):
        parts.append(Part(kind="call", call=call_from_chat({"function": legacy}, len(calls))))
    return parts


def content_hash(text: str) -> str:
    """How an attachment that is kept nowhere is named: by the hash of its text."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    return f"blake2b:{digest.hexdigest()}"


def content_parts(content: Any) -> Iterable[Part]:
    """Text and image parts of a chat `content`: a string, a list of parts, or nothing.

    A sound, a film or a file is an image part with the hash for its name: it was in the prompt, and
    no row can show it.
    """
    if isinstance(content, str):
        if content:
            yield Part(kind="text", text=content)
        return
    for item in content if isinstance(content, Sequence) else ():
        if isinstance(item, str):
            yield Part(kind="text", text=item)
        elif isinstance(item, Mapping):
            if isinstance(item.get("text"), str):
                yield Part(kind="text", text=item["text"])
            elif "image_url" in item:
                url = item["image_url"]
                got = url.get("url") if isinstance(url, Mapping) else url
                yield Part(kind="image", text=str(got))
            elif item.get("type") in _ATTACHED:
                yield Part(kind="image", text=content_hash(orjson.dumps(item).decode()))


def content_text(content: Any) -> str:
    """The text of a chat `content`, attachments by name; what is neither is written as JSON."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = list(content_parts(content))
    if not parts:
        return orjson.dumps(content).decode()
    texts = "".join(part.text or "" for part in parts if part.kind == "text")
    return "\n".join(filter(None, [texts, *(_named(p) for p in parts if p.kind == "image")]))


def _named(part: Part) -> str:
    text = part.text or ""
    return content_hash(text) if text.startswith("data:") else text


def call_from_chat(call: Any, index: int) -> ToolCall:
    """One element of `tool_calls`; `arguments` as text stays verbatim, as an object is rendered.

    Raises:
        ValueError: the element is not an object.
    """
    if not isinstance(call, Mapping):
        raise ValueError(f"tool_calls[{index}]: expected an object, got {type(call).__name__}")
    custom = call.get("custom")
    if isinstance(custom, Mapping):
        return ToolCall(
            name=str(custom.get("name") or ""),
            arguments=str(custom.get("input") or ""),
            index=index,
            id=_text_or_none(call.get("id")),
            kind="custom",
            syntax="text",
        )
    function = call.get("function")
    body: Mapping[str, Any] = function if isinstance(function, Mapping) else call
    arguments = body.get("arguments")
    verbatim = isinstance(arguments, str)
    text = arguments if isinstance(arguments, str) else orjson.dumps(arguments or {}).decode()
    return ToolCall(
        name=str(body.get("name") or ""),
        arguments=text,
        index=index,
        id=_text_or_none(call.get("id")),
        verbatim=verbatim,
    )


def tool_from_chat(tool: Any, source: str = "logged") -> ToolSpec:
    """One element of `tools` (OpenAI, flat, or Anthropic spelling).

    Raises:
        ValueError: the element is not an object or has no name.
    """
    if not isinstance(tool, Mapping):
        raise ValueError(f"tool: expected an object, got {type(tool).__name__}")
    inner = tool.get("function")
    body: Mapping[str, Any] = inner if isinstance(inner, Mapping) else tool
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError("tool: no name")
    schema = next(
        (body[k] for k in ("parameters", "input_schema", "inputSchema") if k in body), None
    )
    if isinstance(schema, Mapping) and set(schema) == {"json"}:
        schema = schema["json"]
    strict = body.get("strict")
    return ToolSpec(
        name=name,
        description=_text_or_none(body.get("description")),
        parameters=_schema_text(schema),
        source="given" if source == "given" else "logged",
        strict=strict if isinstance(strict, bool) else None,
    )


def tool_to_chat(tool: ToolSpec) -> dict[str, Any]:
    """A tool in OpenAI spelling; a schema that is not JSON is left out."""
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        with contextlib.suppress(orjson.JSONDecodeError):
            function["parameters"] = orjson.loads(tool.parameters)
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _schema_text(schema: Any) -> str | None:
    if schema is None:
        return None
    return schema if isinstance(schema, str) else orjson.dumps(schema).decode()


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def prompt_keys(session: Session, *, request: bool = True) -> dict[int, str]:
    """A content key of the prompt of each own step, so that equal prompts have equal keys.

    What counts: roles and texts of the messages before the step, the calls with their argument
    text, and, with `request`, the offered tools and the demanded output. What does not: ids of
    calls, times, origins, reasoning, sampling settings. One pass over the session.
    """
    steps = set(session.steps)
    requests = [_request_key(context) if request else b"" for context in session.contexts]
    unknown = _request_key(Context()) if request else b""
    digest, keys = hashlib.blake2b(digest_size=8), {}
    for at, message in enumerate(session.messages):
        if at in steps:
            here = digest.copy()
            here.update(unknown if message.context is None else requests[message.context])
            keys[at] = here.hexdigest()
        _feed(digest, message)
    return keys


def _request_key(context: Context) -> bytes:
    tools = sorted((t.name, t.description or "", t.parameters or "") for t in context.tools)
    rest = (context.response_schema, context.json_mode, context.tool_choice)
    return repr((tools, rest)).encode("utf-8", "surrogatepass")


def _feed(digest: hashlib.blake2b, message: Message) -> None:
    fields: list[str] = [message.role]
    for part in message.parts:
        if part.call is not None:
            fields += ["call", part.call.name, part.call.arguments]
        elif part.result is not None:
            fields += ["result", part.result.text]
        elif part.kind != "reasoning":
            fields += [part.kind, part.text or ""]
    for field in fields:
        data = field.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    digest.update(b"\xff" * 8)


def values_of(answer: Message) -> set[str]:
    """Casefolded text of every string and number in the arguments that is worth tracing.

    Strings of three characters and numbers of two digits or more: shorter ones are everywhere.
    """
    found: set[str] = set()
    for call in answer.calls:
        try:
            waiting = [orjson.loads(call.arguments)]
        except orjson.JSONDecodeError:
            continue
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                waiting.extend(value.values())
            elif isinstance(value, list):
                waiting.extend(value)
            elif isinstance(value, str) and len(value) >= 3:
                found.add(value.casefold())
            elif isinstance(value, (int, float)) and abs(value) >= 10:
                found.add(str(value))
    return found
