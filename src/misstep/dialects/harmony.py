"""OpenAI's harmony: messages with a channel and a recipient.

A message to `functions.NAME` is a call; the `analysis` channel is reasoning; `final` is text. Where
a server has cut the leading marks off, the rest is read all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from misstep.dialects.found import Found, Given, call_of
from misstep.types import Part

_BODY = "<|message|>"
_WINDOW = 500
_HEAD = re.compile(
    r"(?:<\|start\|>)?[^<>]{0,200}(?:<\|channel\|>[^<>]{0,200})?(?:<\|constrain\|>[^<>]{0,60})?\Z"
)
_END = re.compile(r"<\|(?:end|call|return|start)\|>")
_TO = re.compile(r"\bto=(?:functions\.)?(?P<name>[\w.-]{1,256})")
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)")


def messages(text: str) -> Iterator[tuple[int, int, str, str]]:
    """Start, end, head and body of each message."""
    at = 0
    while (mark := text.find(_BODY, at)) >= 0:
        first = max(at, mark - _WINDOW)
        head = _HEAD.search(text[first:mark])
        start = mark if head is None else first + head.start()
        end = _END.search(text, mark + len(_BODY))
        stop = len(text) if end is None else end.start()
        yield start, _after(end, stop), text[start:mark], text[mark + len(_BODY) : stop]
        at = _after(end, stop)


def _after(end: re.Match[str] | None, stop: int) -> int:
    """Where the next message may begin; its own `<|start|>` belongs to it."""
    return stop if end is None or end.group() == "<|start|>" else end.end()


def harmony(text: str, given: Given) -> Iterator[Found]:
    """The messages that are calls."""
    for start, end, head, body in messages(text):
        to = _TO.search(head)
        if to is not None:
            yield Found(start, end, (call_of(to["name"], body.strip()),))


def parts(text: str) -> tuple[Part, ...] | None:
    """A whole harmony answer: reasoning, calls and text in their order; None where it is none."""
    read: list[Part] = []
    for _, _, head, body in messages(text):
        to, channel = _TO.search(head), _CHANNEL.search(head)
        if to is not None:
            read.append(Part(kind="call", call=call_of(to["name"], body.strip())))
        elif channel is not None and channel[1] == "analysis":
            read.append(Part(kind="reasoning", text=body))
        elif body:
            read.append(Part(kind="text", text=body))
    return tuple(read) if read else None
