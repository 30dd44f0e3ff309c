"""Images on their way through a chat template: each keeps its place between the texts around it.

In: messages. Out: messages in which a mark in the text stands for each image, and, behind the
rendering of turns, chat dicts whose content is a list of parts again (or text, where a template
takes no parts). The mark stands in no text of the conversation, so logged text cannot forge one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from misstep.errors import ModelError
from misstep.models.eye import Eye
from misstep.types import Message, Part

_OPEN, _CLOSE = "\ue005", "\ue006"
_ROLES = ("system", "user")
"""Whose images are shown; an agent's own messages hold none that a template renders."""


def names(messages: Sequence[Message]) -> list[str]:
    """The images of the messages, in the order in which they are rendered."""
    return [
        part.text or ""
        for message in messages
        for part in message.parts
        if part.kind == "image" and message.role in _ROLES
    ]


def marked(messages: Sequence[Message]) -> tuple[Sequence[Message], str]:
    """The messages with a text part in place of each image, and the mark that it holds."""
    if not names(messages):
        return messages, ""
    mark = _unused(messages)
    stand_in = Part(kind="text", text=mark)
    return [
        replace(m, parts=tuple(stand_in if p.kind == "image" else p for p in m.parts))
        if m.role in _ROLES
        else m
        for m in messages
    ], mark


def filled(
    rows: Sequence[dict[str, Any]], mark: str, token: str, *, parts: bool
) -> list[dict[str, Any]]:
    """Chat dicts with images in place of the marks: as parts, or as the placeholder's spelling."""
    if not parts:
        return [{**row, "content": _spelled(row.get("content"), mark, token)} for row in rows]
    return [{**row, "content": list(_parts(row.get("content") or "", mark))} for row in rows]


def _spelled(content: Any, mark: str, token: str) -> Any:
    return content.replace(mark, token) if mark and isinstance(content, str) else content


def _parts(content: str, mark: str) -> Iterator[dict[str, Any]]:
    for at, text in enumerate(content.split(mark) if mark else [content]):
        if at:
            yield {"type": "image"}
        if text:
            yield {"type": "text", "text": text}


def _unused(messages: Sequence[Message]) -> str:
    texts = [part.text or "" for message in messages for part in message.parts]
    texts += [call.arguments for message in messages for call in message.calls]
    texts += [result.text for message in messages for result in message.results]
    number = 0
    while any(f"{_OPEN}{number}{_CLOSE}" in text for text in texts):
        number += 1
    return f"{_OPEN}{number}{_CLOSE}"


@dataclass(slots=True)
class Looking:
    """Encodes the pieces of one rendered prompt, the images in their order."""

    eye: Eye
    waiting: list[str] = field(default_factory=list)

    def encode(self, piece: str) -> list[int]:
        """Token ids of a piece, with stand-ins for its images."""
        count = piece.count(self.eye.mark)
        if count > len(self.waiting):
            raise ModelError("the chat template writes more images than the conversation holds")
        here, self.waiting = self.waiting[:count], self.waiting[count:]
        return self.eye.encode(piece, here)

    def check(self) -> None:
        """Every image was rendered.

        Raises:
            ModelError: the template left one out.
        """
        if self.waiting:
            raise ModelError(f"the chat template leaves {len(self.waiting)} images out")


def looking(eye: Eye, names: Sequence[str]) -> Looking:
    """What encodes a prompt that holds these images."""
    return Looking(eye, list(names))
