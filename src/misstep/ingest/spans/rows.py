"""Messages as traces spell them: one row in any framework's form to `Message` values.

In: an object with a role and `parts`, `content` or `tool_calls`, in the spelling of OpenTelemetry
GenAI, OpenAI chat, Anthropic, Bedrock, Gemini, the Vercel AI SDK or LangChain. Out: messages
without origins; results stand in `tool` messages of their own, in the order of the parts. Argument
text stays as it is; a parsed object is rendered (`verbatim=False`); a call whose arguments were not
captured is no JSON (`syntax="text"`), so that nothing is held against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from misstep.ingest.format import Misfit
from misstep.ingest.messages import attached, content_hash, inline, kind_of, text_or_none
from misstep.ingest.spans.reprs import from_repr
from misstep.ingest.spans.results import dumped, id_of, result_part
from misstep.ingest.spans.span import first, text_at
from misstep.types import Message, Part, Role, ToolCall

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "agent": "assistant",
    "chatbot": "assistant",
    "tool": "tool",
    "function": "tool",
    "tool_response": "tool",
    "tool-response": "tool",
    "tool-call": "assistant",
    "ipython": "tool",
}
_CALLS = {"tool_call", "tool_use", "tool-call", "function_call", "server_tool_call"}
_CALLS |= {"server_tool_use", "mcp_tool_use", "custom_tool_call"}
_RESULTS = {"tool_call_response", "tool_result", "tool-result", "function_call_output"}
_RESULTS |= {"tool-error", "server_tool_call_response", "custom_tool_call_output"}
_THOUGHTS = {"reasoning", "thinking", "redacted_thinking"}
_TEXTS = {"text", "input_text", "output_text", "refusal"}


def messages_of(row: Any, pointer: str, *, role: str = "user") -> list[Message]:
    """The messages of one row.

    Args:
        role: for a row that says none.

    Raises:
        Misfit: it is no message.
    """
    if isinstance(row, str):
        return [Message(role=_ROLES.get(role, "user"), parts=_texts(row))]
    if not isinstance(row, dict):
        raise Misfit(pointer, f"expected a message object, got {kind_of(row)}")
    body = _unwrapped(row)
    raw = text_at(body, "role", "type")
    known = _ROLES.get((raw or role).lower())
    if known is None or raw is None:
        if not any(key in body for key in _HOLD):
            raise Misfit(f"{pointer}/role", f"neither a known role nor content: {raw!r}")
        known = known or _ROLES.get(role, "user")
    parts = _parts(body, known)
    return list(_split(known, parts))


_HOLD = ("content", "parts", "tool_calls", "toolCalls", "function_call", "reasoning_content")


def _unwrapped(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A LangChain message without its wrapping."""
    kwargs = row.get("kwargs")
    if isinstance(kwargs, dict) and "lc" in row:
        name = row["id"][-1] if isinstance(row.get("id"), list) and row["id"] else ""
        role = str(name).removesuffix("Chunk").removesuffix("Message").lower()
        return {**kwargs, "role": role}
    data = row.get("data")
    if isinstance(data, dict) and "role" not in row and isinstance(row.get("type"), str):
        return {**data, "role": row["type"]}
    return row


def _split(role: Role, parts: list[Part]) -> Iterator[Message]:
    """Results leave the messages of users and tools; those of hosted tools stay with the answer."""
    if role in ("assistant", "system"):
        yield Message(role=role, parts=tuple(parts))
        return
    if not parts:
        yield Message(role="user")
    for is_result, run in groupby(parts, key=lambda part: part.kind == "result"):
        yield Message(role="tool" if is_result else "user", parts=tuple(run))


def _parts(body: Mapping[str, Any], role: Role) -> list[Part]:
    content = body["parts"] if isinstance(body.get("parts"), list) else body.get("content")
    if role == "tool":
        inner = [p for p in _pieces(content, 0) if p.kind == "result"]
        return inner or [result_part(body, content)]
    found: list[Part] = []
    thought = body.get("reasoning_content") or body.get("reasoning") or body.get("thinking")
    if isinstance(thought, str):
        found.append(Part(kind="reasoning", text=thought))
    found.extend(_pieces(content, 0))
    if role == "assistant" and len(found) == 1 and _PRINTED in (found[0].text or "")[:2000]:
        found = _printed(found[0])
    refusal = text_or_none(body.get("refusal"))
    if refusal is not None and not found:
        found.append(Part(kind="text", text=refusal))
    known = {part.call.id for part in found if part.call is not None}
    for call in _listed_calls(body):
        if call.id is None or call.id not in known:
            found.append(Part(kind="call", call=call))
    if role == "assistant":
        found.extend(attached(body, found))
    return _numbered(found)


_PRINTED = "Calling tools:\n["


def _printed(part: Part) -> list[Part]:
    """Calls that smolagents writes into the text of its history, as Python prints them."""
    text, _, listed = (part.text or "").partition(_PRINTED)
    calls = from_repr("[" + listed)
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        return [part]
    return [*_texts(text.strip()), *(Part(kind="call", call=call_of(call)) for call in calls)]


def _numbered(parts: list[Part]) -> list[Part]:
    at = 0
    for index, part in enumerate(parts):
        if part.call is not None:
            if part.call.index != at:
                parts[index] = Part(kind="call", call=_again(part.call, at))
            at += 1
    return parts


def _again(call: ToolCall, index: int) -> ToolCall:
    return ToolCall(
        name=call.name,
        arguments=call.arguments,
        index=index,
        id=call.id,
        kind=call.kind,
        syntax=call.syntax,
        verbatim=call.verbatim,
        fault=call.fault,
    )


def _listed_calls(body: Mapping[str, Any]) -> Iterator[ToolCall]:
    raw = body.get("additional_kwargs")
    texts = _raw_texts(raw.get("tool_calls")) if isinstance(raw, dict) else {}
    for key in ("tool_calls", "toolCalls"):
        for entry in body[key] if isinstance(body.get(key), list) else ():
            if isinstance(entry, dict):
                yield call_of(entry, texts=texts)
    broken = body.get("invalid_tool_calls")
    for entry in broken if isinstance(broken, list) else ():
        if isinstance(entry, dict):
            fault = text_or_none(entry.get("error")) or "the arguments could not be parsed"
            yield call_of(entry, fault=fault)
    legacy = body.get("function_call")
    if isinstance(legacy, dict):
        yield call_of(legacy)


def _raw_texts(listed: Any) -> dict[str, str]:
    """The argument text that LangChain keeps beside the parsed arguments, by call id."""
    found: dict[str, str] = {}
    for entry in listed if isinstance(listed, list) else ():
        function = entry.get("function") if isinstance(entry, dict) else None
        if isinstance(function, dict) and isinstance(function.get("arguments"), str):
            found[str(entry.get("id"))] = function["arguments"]
    return found


def call_of(
    entry: Mapping[str, Any], *, texts: Mapping[str, str] | None = None, fault: str | None = None
) -> ToolCall:
    """One call in any spelling; its index is not set."""
    wrapped = ("function", "custom", "functionCall", "toolUse")
    inner = next((entry[k] for k in wrapped if isinstance(entry.get(k), dict)), entry)
    call_id = id_of(entry) or id_of(inner)
    name = text_at(inner, "name", "toolName", "tool_name", "function") or ""
    given = first(inner, "arguments", "args", "input", "parameters")
    if texts and call_id is not None and call_id in texts:
        given = texts[call_id]
    kind = text_at(entry, "type")
    hosted = kind in ("server_tool_call", "server_tool_use", "mcp_tool_use")
    custom = kind in ("custom", "custom_tool_call")
    return ToolCall(
        name=name,
        arguments="" if given is None else dumped(given),
        id=call_id,
        kind="hosted" if hosted else "custom" if custom else "function",
        syntax="text" if given is None or custom else "json",
        verbatim=isinstance(given, str),
        fault=fault,
    )


def _texts(text: str) -> tuple[Part, ...]:
    return (Part(kind="text", text=text),) if text else ()


def _pieces(content: Any, depth: int) -> Iterator[Part]:
    if isinstance(content, str):
        yield from _texts(content)
    elif isinstance(content, dict):
        yield from _piece(content, depth)
    elif isinstance(content, list):
        for piece in content:
            if isinstance(piece, str):
                yield from _texts(piece)
            elif isinstance(piece, dict):
                yield from _piece(piece, depth)


def _piece(piece: Mapping[str, Any], depth: int) -> Iterator[Part]:
    kind = text_at(piece, "type")
    if kind is None or kind == "function":
        kind = _unnamed(piece)
    if kind in _TEXTS:
        yield from _texts(text_at(piece, "text", "content", "refusal") or "")
    elif kind in _THOUGHTS:
        text = text_at(piece, "content", "text", "thinking")
        if text:
            yield Part(kind="reasoning", text=text)
    elif kind in _CALLS:
        yield Part(kind="call", call=call_of(piece))
    elif kind in _RESULTS:
        yield result_part(piece, None)
    else:
        yield Part(kind="image", text=_attachment(piece))


def _unnamed(piece: Mapping[str, Any]) -> str | None:
    """What a piece without a type is: Bedrock and Gemini name it by its key."""
    for key, kind in (
        ("text", "text"),
        ("toolUse", "tool_use"),
        ("functionCall", "tool_use"),
        ("function", "tool_use"),
        ("toolResult", "tool_result"),
        ("functionResponse", "tool_result"),
        ("function_response", "tool_result"),
    ):
        if isinstance(piece.get(key), (dict, str)):
            return kind
    return None


def _attachment(piece: Mapping[str, Any]) -> str:
    for key in ("image_url", "uri", "url", "file_id", "image"):
        value = piece.get(key)
        inner = value.get("url") if isinstance(value, dict) else value
        if isinstance(inner, str) and inner and not inner.startswith("data:"):
            return inner
    return inline(piece) or content_hash(dumped(piece))
