"""The messages of one Inspect sample: attachments put back, arguments as the model wrote them.

In: chat messages of a sample or of its model events. Out: `Message` values. Inspect keeps a call's
arguments parsed; the text itself stands in the provider's answer that a model event keeps, and,
for a call that could not be parsed, in the error that Inspect wrote about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson
from msgspec.structs import replace

from misstep.chat import content_text
from misstep.ingest.format import Misfit
from misstep.ingest.harnesses.harness import items, mapping, object_at, rendered
from misstep.ingest.messages import (
    content_hash,
    inline,
    int_or_none,
    kind_of,
    number_or_none,
    text_or_none,
)
from misstep.redact import clip
from misstep.types import Actor, Cause, Message, Outcome, Part, Role, ToolCall, ToolResult

_PROTOCOL = "attachment://"
_ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_USER_ACTORS: dict[Any, Actor | None] = {"input": None, "operator": "human"}
_CAUSES: dict[str, Cause] = {
    "parsing": "model",
    "timeout": "infrastructure",
    "unicode_decode": "tool",
    "limit": "tool",
    "output_limit": "tool",
    "approval": "human",
    "cancelled": "knock-on",
    "sandbox_unavailable": "infrastructure",
}
"""Inspect's error types by who caused them; a wrong path or a tool's own words leave it open."""
_UNPARSED = re.compile(
    r"\AError parsing the following tool call arguments:\n\n(.*)\n\nError details: ", re.S
)
_LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
"""Inspect's score letters: correct, incorrect, partial, no answer."""
_SHORTENED = "\n\n(arguments middle-truncated from "

Known = tuple[str, str, str]
"""What Inspect kept of a call: its id, its arguments as JSON, its parse error."""


class Chat:
    """Reads the messages of one sample."""

    def __init__(self, attachments: Any) -> None:
        self._attachments = mapping(attachments)
        self._raw: dict[Known, str] = {}

    def whole(self, value: Any) -> Any:
        """The value with every attachment in its place; decoded JSON is never deep."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.whole(item) for item in value]
        if isinstance(value, dict):
            return {key: self.whole(item) for key, item in value.items()}
        return value

    def text(self, text: str) -> str:
        """A text, or the attachment that it stands for."""
        if not text.startswith(_PROTOCOL):
            return text
        found = self._attachments.get(text.removeprefix(_PROTOCOL))
        return found if isinstance(found, str) else text

    def learn(self, message: Any, response: Any) -> None:
        """Take the argument texts of an answer from the provider's own response to it."""
        texts = dict(_wire_calls(self.whole(response)))
        for call in items(mapping(message).get("tool_calls")):
            known = self._known(call)
            if known is not None and known[0] in texts:
                self._raw[known] = texts[known[0]]

    def _known(self, call: Any) -> Known | None:
        body = mapping(call)
        name = body.get("id")
        if not isinstance(name, str):
            return None
        arguments = orjson.dumps(self.whole(body.get("arguments")), option=orjson.OPT_SORT_KEYS)
        return name, arguments.decode(), self.text(str(body.get("parse_error") or ""))

    def message(self, row: Any, pointer: str) -> Message:
        """One chat message.

        Raises:
            Misfit: it has no known role, or content of no known shape.
        """
        body = object_at(row, pointer)
        role = body.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise Misfit(f"{pointer}/role", f"expected a role, got {clip(repr(role), 160)}")
        if role == "tool":
            return self._result(body)
        parts = list(self._content(body.get("content"), f"{pointer}/content"))
        if isinstance(body.get("reasoning"), str) and body["reasoning"]:
            parts.insert(0, Part(kind="reasoning", text=self.text(body["reasoning"])))
        for index, call in enumerate(items(body.get("tool_calls"))):
            parts.append(Part(kind="call", call=self._call(call, index, f"{pointer}/tool_calls")))
        user = _USER_ACTORS.get(text_or_none(body.get("source")), "harness")
        return Message(
            role=_ROLES[role],
            parts=_numbered(parts),
            actor=user if role == "user" else "agent" if role == "assistant" else None,
        )

    def _result(self, body: Mapping[str, Any]) -> Message:
        error = body.get("error")
        text = self.whole(body.get("content"))
        kind = text_or_none(mapping(error).get("type"))
        said = text_or_none(mapping(error).get("message"))
        result = ToolResult(
            text=content_text(text) if said is None else self.text(said),
            call_id=text_or_none(body.get("tool_call_id")),
            name=text_or_none(body.get("function")),
            is_error=isinstance(error, dict),
            hint=kind,
            cause=_CAUSES.get(kind or ""),
        )
        return Message(role="tool", parts=(Part(kind="result", result=result),))

    def _call(self, call: Any, index: int, pointer: str) -> ToolCall:
        body = object_at(call, f"{pointer}/{index}")
        name = body.get("function")
        if not isinstance(name, str):
            raise Misfit(f"{pointer}/{index}/function", f"expected a name, got {kind_of(name)}")
        fault = self.text(str(body.get("parse_error") or "")) or None
        known = self._known(body)
        raw = self._raw.get(known) if known else None
        raw = _unparsed(fault) if raw is None and fault else raw
        custom = body.get("type") == "custom"
        parsed = self.whole(body.get("arguments"))
        return ToolCall(
            name=name,
            arguments=rendered(parsed if parsed is not None else {}) if raw is None else raw,
            id=text_or_none(body.get("id")),
            kind="custom" if custom else "function",
            syntax="text" if custom else "json",
            verbatim=raw is not None,
            fault=fault,
        )

    def _content(self, content: Any, pointer: str) -> Iterator[Part]:
        if content is None or isinstance(content, str):
            text = self.text(content or "")
            if text:
                yield Part(kind="text", text=text)
            return
        if not isinstance(content, list):
            raise Misfit(pointer, f"expected text or a list of parts, got {kind_of(content)}")
        for block in content:
            yield from _block(mapping(self.whole(block)))


def _block(block: Mapping[str, Any]) -> Iterable[Part]:
    kind = block.get("type")
    if kind in ("text", "reasoning"):
        text = block.get(kind) or block.get("summary")
        if kind == "reasoning" and block.get("redacted") is True:
            text = block.get("summary")
        if isinstance(text, str) and text:
            yield Part(kind="text" if kind == "text" else "reasoning", text=text)
    elif kind == "tool_use":
        yield from _hosted(block)
    elif block:
        source = block.get(kind) if isinstance(kind, str) else None
        url = source if isinstance(source, str) and source.startswith("http") else None
        named = url or inline(block) or content_hash(orjson.dumps(dict(block)).decode())
        yield Part(kind="image", text=named)


def _hosted(block: Mapping[str, Any]) -> Iterable[Part]:
    """A tool that the provider ran itself, with what it gave."""
    name, error = str(block.get("name") or ""), text_or_none(block.get("error"))
    called = text_or_none(block.get("id"))
    arguments = rendered(block.get("arguments") or "{}")
    yield Part(kind="call", call=ToolCall(name=name, arguments=arguments, id=called, kind="hosted"))
    text = error or content_text(block.get("result"))
    result = ToolResult(text=text, call_id=called, name=name, is_error=error is not None)
    yield Part(kind="result", result=result)


def _numbered(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The parts with their calls counted from 0."""
    out: list[Part] = []
    calls = 0
    for part in parts:
        if part.call is None or part.call.index == calls:
            out.append(part)
        else:
            out.append(replace(part, call=replace(part.call, index=calls)))
        calls += part.call is not None
    return tuple(out)


def _unparsed(fault: str) -> str | None:
    """The arguments that Inspect quotes in a parse error; None where it shortened them."""
    found = _UNPARSED.match(fault)
    return None if found is None or _SHORTENED in found.group(1) else found.group(1)


def _wire_calls(response: Any) -> Iterator[tuple[str, str]]:
    """Call ids and argument texts in a response of OpenAI's chat or Responses API."""
    body = mapping(response)
    for choice in items(body.get("choices")):
        for call in items(mapping(mapping(choice).get("message")).get("tool_calls")):
            inner = mapping(mapping(call).get("function")) or mapping(mapping(call).get("custom"))
            yield from _wire_call(mapping(call).get("id"), inner)
    for item in items(body.get("output")):
        yield from _wire_call(mapping(item).get("call_id"), mapping(item))


def _wire_call(name: Any, body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    text = body.get("arguments", body.get("input"))
    if isinstance(name, str) and isinstance(text, str):
        yield name, text


def indices(refs: Iterable[Any], size: int) -> Iterator[int]:
    """Places in the pool, from ranges `[start, end)` or from single numbers."""
    for ref in refs:
        pair = ref if isinstance(ref, list) and len(ref) == 2 else [ref, None]
        start = int_or_none(pair[0])
        if start is None or start < 0:
            continue
        end = int_or_none(pair[1])
        yield from range(start, min(start + 1 if end is None else end, size))


def outcome_of(scores: Any, limit: Any = None) -> Outcome | None:
    """The first score that is a number, a letter or a yes or no; the limit that was hit."""
    scored, kind = _scored(scores), text_or_none(mapping(limit).get("type"))
    if kind is None:
        return scored
    return replace(scored or Outcome(), limit=kind)


def _scored(scores: Any) -> Outcome | None:
    for score in mapping(scores).values():
        value = mapping(score).get("value")
        if isinstance(value, str) and value in _LETTERS:
            return Outcome(reward=_LETTERS[value], resolved=value == "C")
        if isinstance(value, bool):
            return Outcome(reward=float(value), resolved=value)
        number = number_or_none(value)
        if number is not None:
            return Outcome(reward=number)
    return None
