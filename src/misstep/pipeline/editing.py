"""An answer as text that a person edits, and back.

In: a message. Out: its text, or JSON where it calls tools or holds characters that nobody sees; and
the message that the edited text says. Calls that nobody touched keep their bytes.
"""

from __future__ import annotations

import json
from typing import Any

from misstep import report
from misstep.chat import from_chat
from misstep.types import Message, Part, ToolCall


def editable(message: Message) -> str:
    """An answer as text to be edited: the text itself, or JSON where it calls or hides something.

    Arguments that are an object are laid out; anything else stands there as a string.
    """
    if not message.calls and report.visible(message.text) == message.text:
        return message.text
    calls = [{"name": call.name, "arguments": _laid(call)} for call in message.calls]
    plain = all(report.visible(text) == text for text in (message.text, *map(_all, message.calls)))
    body = {"content": message.text, "tool_calls": calls}
    return json.dumps(body, indent=2, ensure_ascii=not plain)


def _all(call: ToolCall) -> str:
    return call.name + call.arguments


def _laid(call: ToolCall) -> Any:
    try:
        value = json.loads(call.arguments)
    except ValueError:
        return call.arguments
    return value if isinstance(value, dict) else call.arguments


def edited(text: str, before: Message) -> Message:
    """The answer that `editable` text says; arguments that nobody changed keep their bytes.

    Raises:
        ValueError: the text is neither what `editable` gives nor like it.
    """
    if not before.calls and editable(before) == before.text:
        return Message(role="assistant", parts=(Part(kind="text", text=text),) if text else ())
    try:
        body = json.loads(text)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(body, dict) or not set(body) <= {"content", "tool_calls"}:
        raise ValueError('expected an object with "content" and "tool_calls"')
    calls = [_call(call, before, at) for at, call in enumerate(body.get("tool_calls") or [])]
    return from_chat({"role": "assistant", "content": body.get("content"), "tool_calls": calls})


def _call(call: Any, before: Message, at: int) -> dict[str, Any]:
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        raise ValueError('each of "tool_calls" is an object with "name" and "arguments"')
    arguments = call.get("arguments")
    old = before.calls[at] if at < len(before.calls) else None
    if old is not None and arguments == _laid(old):
        text = old.arguments
    elif isinstance(arguments, str):
        text = arguments
    else:
        text = json.dumps(arguments if arguments is not None else {}, ensure_ascii=False)
    return {"name": call["name"], "arguments": text, "id": old.id if old is not None else None}
