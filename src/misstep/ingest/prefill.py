"""Answers that the caller began: the last message of a request is the head of what comes back.

In: the history of a request, and its answers. Out: each answer as one text, the caller's beginning
and what the model wrote behind it, with the length of the beginning in `Message.prefilled`. Such a
beginning is no step of its own. What the model itself had said (a paused or cut answer that is sent
back to go on) is none: it stays the step that it was.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from misstep.ingest.halves import Body
from misstep.ingest.threads import Turn
from misstep.types import Message, Part

_FLAGS = ("prefix", "partial")
"""What Mistral and DeepSeek, and Moonshot and Qwen, set on such a message."""


def ends_with_assistant(request: Body) -> bool:
    """Whether an assistant's message is the last of a request."""
    messages = request.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    return isinstance(last, dict) and last.get("role") == "assistant"


def says_so(request: Body) -> bool:
    """The same, and the request says that it is to be gone on with: not every server does."""
    if not ends_with_assistant(request):
        return False
    flagged = any(request["messages"][-1].get(flag) is True for flag in _FLAGS)
    return flagged or request.get("continue_final_message") is True


def beginning(history: Sequence[Turn], said: Collection[bytes]) -> str:
    """The text that the caller began the answer with; empty where the history ends otherwise.

    Args:
        said: the keys of all answers so far.
    """
    if not history:
        return ""
    last = history[-1]
    spoken = last.message.role == "assistant" and last.key not in said
    plain = spoken and all(part.kind == "text" for part in last.message.parts)
    return last.message.text if plain else ""


def joined(answer: Message, head: str, *, echoed: bool) -> Message:
    """An answer behind its beginning; one that holds nothing but an error stays as it is.

    Args:
        echoed: whether the server was asked to repeat the beginning.
    """
    if answer.error is not None and not answer.parts:
        return answer
    if echoed and answer.text.startswith(head):
        return replace(answer, prefilled=len(head))
    parts = list(answer.parts)
    at = next((i for i, part in enumerate(parts) if part.kind == "text"), None)
    if at is None:
        at = sum(1 for part in parts if part.kind == "reasoning")
        parts.insert(at, Part(kind="text", text=head))
    else:
        parts[at] = Part(kind="text", text=head + (parts[at].text or ""))
    return replace(answer, parts=tuple(parts), prefilled=len(head))
