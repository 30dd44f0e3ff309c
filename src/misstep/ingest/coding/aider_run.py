"""One run of aider: its lines as blocks, its blocks as messages.

In: the lines of a run, its start line first. Out: `Block` values (start, command, user, answer,
told, output, blank) that hold each line once, and the messages that they make.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from misstep.types import Message, Origin, Part, Usage

_END = "  "
"""aider ends what it and the user say with two blanks; a text of several lines only its last."""
_UNFIT = "The LLM did not conform to the edit format."
_STOPPED = "^C again to exit"
_LIMIT = re.compile(r"Model .{1,200} has hit a token limit!")
_FAILED = re.compile(r"(?:litellm|openai)\.\w{1,60}(?:Error|Exception)\b")
_MODEL = re.compile(r"(?:Main model|Model): (\S+)")
_TOKENS = re.compile(r"Tokens: ([\d.,]+)(k|M)? sent,(?:.*?,)? ([\d.,]+)(k|M)? received")
_COMMAND = re.compile(r"/(?!ask\b|code\b|architect\b|context\b)[a-z][a-z-]*(?:\s|$)|!")
_TIMES = {"": 1, "k": 1000, "M": 1_000_000}


class Line(msgspec.Struct, frozen=True):
    """One line and its place."""

    text: str
    origin: Origin


class Block(msgspec.Struct):
    """Lines that one side wrote in one go."""

    kind: str
    lines: list[Line] = msgspec.field(default_factory=list)
    size: int = 0
    """Lines of the log, blank ones around the text included."""

    @property
    def text(self) -> str:
        """The lines without their marks."""
        mark = {"user": "####", "command": "####", "output": ">", "told": ">"}.get(self.kind)
        return "\n".join(_bare(line.text, mark) for line in self.lines).strip("\n")


def _bare(text: str, mark: str | None) -> str:
    if mark is None:
        return text
    if text == mark or text.startswith(f"{mark} "):
        text = text[len(mark) :].removeprefix(" ")
    return text.removesuffix(_END)


def blocks(lines: Sequence[Line]) -> list[Block]:
    """The lines of a run in blocks; blank lines go with the block before them."""
    found = [Block("start", [lines[0]], 1)]
    at = 1
    while at < len(lines):
        text = lines[at].text
        kind = _kind(text)
        end = at + 1
        if kind == "output" and not text.endswith(_END):
            end = _end_of(lines, at)
            kind = "output" if end > at + 1 else "answer"
        if kind == found[-1].kind or (kind == "blank" and found[-1].kind != "start"):
            block = found[-1]
        else:
            block = Block(kind)
            found.append(block)
        block.lines.extend(lines[at:end])
        block.size += end - at
        at = end
    return [_told_apart(block) for block in found]


def _kind(text: str) -> str:
    if not text.strip():
        return "blank"
    if text.startswith("#### ") and text.endswith(_END):
        return "user"
    return "output" if text.startswith("> ") or text == ">" else "answer"


def _end_of(lines: Sequence[Line], at: int) -> int:
    """One past the last line of the program's text that starts at `at`; `at + 1` for a quote."""
    for end in range(at + 1, len(lines)):
        text = lines[end].text
        if text.endswith(_END) and text.strip():
            return at + 1 if _kind(text) != "answer" else end + 1
    return at + 1


def _told_apart(block: Block) -> Block:
    commands = [line for line in block.lines if _COMMAND.match(_bare(line.text, "####"))]
    if block.kind == "user" and commands and commands[0] is block.lines[0]:
        block.kind = "command"
    if block.kind == "output" and any(_UNFIT in line.text for line in block.lines):
        block.kind = "told"
    return block


def messages_of(found: Sequence[Block], started: str) -> list[Message]:
    """The messages of a run; no answer to a prompt but a failed request is an answer's error.

    Args:
        started: the text of the start line after its mark.
    """
    time = _time(started)
    model: str | None = None
    messages: list[Message] = []
    for block in found:
        if block.kind in ("output", "told"):
            model = _named(block.text) or model
            messages = list(_after(messages, block, model))
        elif block.kind in ("user", "answer") and block.text:
            messages.append(_message(block, model))
    if messages:
        messages[0] = replace(messages[0], time=time)
    return messages


def _message(block: Block, model: str | None) -> Message:
    own = block.kind == "answer"
    return Message(
        role="assistant" if own else "user",
        parts=(Part(kind="text", text=block.text),),
        actor="agent" if own else "human",
        model=model if own else None,
        origins=(block.lines[0].origin,),
    )


def _after(messages: list[Message], block: Block, model: str | None) -> Iterator[Message]:
    """The messages with what the program said after the last of them."""
    text = block.text
    last = messages[-1] if messages else None
    if last is None:
        return
    yield from messages[:-1]
    if last.role == "assistant":
        yield _judged(last, block, text)
        if block.kind == "told":
            yield _told(block, text)
        return
    yield last
    failed = next((line for line in text.split("\n") if _FAILED.match(line)), None)
    if failed is not None and last.actor == "human":
        yield Message(
            role="assistant",
            actor="agent",
            error=failed,
            model=model,
            origins=(block.lines[0].origin,),
        )


def _judged(answer: Message, block: Block, text: str) -> Message:
    tokens = _TOKENS.search(text)
    if tokens is not None:
        answer = replace(answer, usage=_usage(tokens))
    if _LIMIT.search(text):
        answer = replace(answer, finish_reason="length")
    if _STOPPED in text:
        answer = replace(answer, end="cut", error="stopped by the user")
    if block.kind == "told":
        answer = replace(answer, fault=text[text.index(_UNFIT) :][:2000])
    return answer


def _told(block: Block, text: str) -> Message:
    said = text[text.index(_UNFIT) + len(_UNFIT) :].lstrip("\n")
    lines = said.split("\n")
    kept = lines[1:] if lines[:1] and lines[0].startswith("https://") else lines
    return Message(
        role="user",
        parts=(Part(kind="text", text="\n".join(kept)),),
        actor="harness",
        origins=(block.lines[0].origin,),
    )


def _named(text: str) -> str | None:
    found = next((m for line in text.split("\n") if (m := _MODEL.match(line))), None)
    return None if found is None else found[1]


def _usage(found: re.Match[str]) -> Usage:
    sent, received = _count(found[1], found[2]), _count(found[3], found[4])
    return Usage(input_tokens=sent, output_tokens=received)


def _count(digits: str, unit: str | None) -> int | None:
    try:
        return int(float(digits.replace(",", "")) * _TIMES[unit or ""])
    except (ValueError, OverflowError):
        return None


def _time(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None
