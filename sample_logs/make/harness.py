"""The simulated harness: it sends a task to the agent, checks the call, and says what was wrong.

In: tasks and an agent (a function from prompts to answers). Out: `Run` values, one per sample of a
task, with everything a log needs. A call is checked against its tool's schema alone. Nothing is
ever put into the agent's mouth: every answer is what the model sampled, good or bad.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jsonschema_rs
from tasks import Task
from toolbox import BY_NAME, Tool, ToolFailed

from misstep.chat import tool_from_chat
from misstep.dialects import parse_answer
from misstep.types import Context, Message, Part, Role, ToolCall, ToolResult

SYSTEM = "Today is 2026-03-09."
ATTEMPTS = 3
ASK_AGAIN = "No tool call was found. Please call one of the tools."


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """What one log format keeps, and so what the agent is shown."""

    name: str
    system: bool
    """The format keeps the system prompt."""
    parsed: bool
    """The format keeps arguments as objects: a call that cannot be parsed stays text."""
    choice: str | None
    """The demand for a call that the request carries."""
    wrap: str = "{}"
    """How an error message is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """One answer of the agent."""

    text: str
    cut: bool
    """The token limit ended it."""
    prompt_tokens: int
    answer_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the harness returned for one call."""

    call: ToolCall
    text: str
    is_error: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One answer with what came back."""

    sampled: Sampled
    message: Message
    replies: tuple[Reply, ...]

    @property
    def good(self) -> bool:
        """The answer makes a call and every call was accepted."""
        return bool(self.replies) and not any(reply.is_error for reply in self.replies)


@dataclass(slots=True, kw_only=True)
class Run:
    """One sample of a task: its answers so far."""

    id: str
    task: Task
    style: Style
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def context(self) -> Context:
        """What every request of this run offers."""
        tools = tuple(tool_from_chat(BY_NAME[name].chat) for name in self.task.offered)
        return Context(tools=tools, tool_choice=self.style.choice)

    @property
    def messages(self) -> list[Message]:
        """The conversation so far, as the next request shows it."""
        shown = [_text("system", SYSTEM)] if self.style.system else []
        shown.append(_text("user", self.task.user))
        for attempt in self.attempts:
            shown.append(attempt.message)
            shown.extend(_results(attempt))
        return shown


Agent = Callable[[Sequence[Run], int], list[list[Sampled]]]
"""Takes runs and how many answers to give to each; gives them in that order."""


def play(
    tasks: Sequence[Task], style: Style, agent: Agent, *, samples: int, attempts: int
) -> list[Run]:
    """`samples` runs of every task, in the order of the tasks, of at most `attempts` answers."""
    firsts = [Run(id=f"{style.name}-{n}", task=task, style=style) for n, task in enumerate(tasks)]
    runs: list[Run] = []
    for first, answers in zip(firsts, agent(firsts, samples), strict=True):
        for n, answer in enumerate(answers):
            run = replace(first, id=f"{first.id}-{n}", attempts=[])
            run.attempts.append(attempt(run, answer))
            runs.append(run)
    for _ in range(attempts - 1):
        failed = [run for run in runs if not run.attempts[-1].good]
        for run, answers in zip(failed, agent(failed, 1), strict=True):
            run.attempts.append(attempt(run, answers[0]))
    return runs


def attempt(run: Run, sampled: Sampled) -> Attempt:
    """The answer as the format's server hands it on, and what the harness says to it."""
    parts = parse_answer(sampled.text, tools=run.task.offered)
    if run.style.parsed:
        parts = _as_objects(parts, sampled.text)
    message = Message(role="assistant", parts=parts)
    replies = tuple(_reply(run, call) for call in message.calls)
    return Attempt(sampled=sampled, message=message, replies=replies)


def _as_objects(parts: tuple[Part, ...], text: str) -> tuple[Part, ...]:
    """Calls with their arguments re-written as objects; plain text if one is no object."""
    made: list[Part] = []
    for part in parts:
        if part.call is not None:
            value = _object_or_none(part.call.arguments)
            if value is None:
                return (Part(kind="text", text=text),)
            compact = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
            part = replace(part, call=replace(part.call, arguments=compact))
        made.append(part)
    return tuple(made)


def _object_or_none(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text, parse_constant=_refuse)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _reply(run: Run, call: ToolCall) -> Reply:
    try:
        return Reply(call=call, text=_answer(run, call), is_error=False)
    except ToolFailed as fault:
        return Reply(call=call, text=run.style.wrap.format(fault), is_error=True)


def _answer(run: Run, call: ToolCall) -> str:
    if call.name not in run.task.offered:
        raise ToolFailed(f"there is no tool {call.name}")
    try:
        arguments = json.loads(call.arguments, parse_constant=_refuse)
    except ValueError:
        raise ToolFailed("the arguments are not valid JSON") from None
    tool = BY_NAME[call.name]
    faults = list(_validator(tool).iter_errors(arguments))
    if faults:
        raise ToolFailed("invalid arguments: " + "; ".join(map(_spell, faults[:2])))
    return tool.run(arguments)


def _validator(tool: Tool) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(tool.parameters, validate_formats=True)


def _spell(fault: jsonschema_rs.ValidationError) -> str:
    where = "/".join(map(str, fault.instance_path))
    return f"{where}: {fault.message}" if where else fault.message


def _results(attempt: Attempt) -> list[Message]:
    if not attempt.replies:
        return [_text("user", ASK_AGAIN)]
    return [
        Message(role="tool", parts=(Part(kind="result", result=ToolResult(text=reply.text)),))
        for reply in attempt.replies
    ]


def _text(role: Role, text: str) -> Message:
    return Message(role=role, parts=(Part(kind="text", text=text),))
