"""smolagents memory dumps: the list that `agent.memory.get_full_steps()` gives, as JSON.

A unit is a step. The steps of a file are one conversation: the system prompt stands in the messages
that the first step sent. A CodeAgent's code is the call of `python_interpreter` (custom, code), the
text keeps what stands around it. Kept: parsing errors as the fault of the answer, failed requests
as its error, tool errors with their class as hint and, for bad arguments, the model as cause,
usage, times, and where the provider's answer is kept also model and finish reason. Argument text is
byte for byte only where it could not be parsed. Cannot tell: tool schemas, what a managed agent
did, what was wrong with a request that ended the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from misstep.chat import content_text
from misstep.ingest.build import linear
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.harnesses.harness import (
    around,
    call_part,
    items,
    list_at,
    mapping,
    object_at,
    rendered,
    text_part,
    tool_message,
)
from misstep.ingest.messages import place, text_or_none, unix_time, usage_of
from misstep.ingest.oneby import set_aside
from misstep.types import Message, Part, Session, ToolCall, ToolResult, content_id

NAME = "smolagents"
_INTERPRETER = "python_interpreter"
_PARSING, _GENERATION, _STEPS = "AgentParsingError", "AgentGenerationError", "AgentMaxStepsError"
_BAD_CALL = "AgentToolCallError"
_Placed = tuple[Record, Any, str]


class _Runs:
    """Reads memories; the steps of one file are one conversation."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._steps: list[_Placed] = []
        self._sessions: list[Session] = []

    def read(self, record: Record) -> None:
        """Take one step, or a whole memory."""
        value = record.value
        inner = value if isinstance(value, list) else mapping(value).get("steps")
        if inner is None:
            self._steps.append((record, value, ""))
            return
        below = "" if isinstance(value, list) else "/steps"
        try:
            steps = list_at(inner, below)
        except Misfit as misfit:
            set_aside(self._tally, record, misfit)
            return
        self._tally.unfold(len(steps))
        self._run([(record, step, f"{below}/{i}") for i, step in enumerate(steps)])

    def close_file(self) -> None:
        """A memory ends with its file."""
        if self._steps:
            self._run(self._steps)
            self._steps = []

    def finish(self) -> Sequence[Session]:
        """All memories."""
        return tuple(self._sessions)

    def _run(self, steps: Sequence[_Placed]) -> None:
        messages: list[Message] = []
        for record, step, pointer in steps:
            try:
                body = object_at(step, pointer)
                made = list(_messages(body, pointer, first=not messages))
            except Misfit as misfit:
                set_aside(self._tally, record, misfit)
                continue
            if _unanswered(body):
                self._tally.ignore("unanswered")
                continue
            self._tally.use()
            origins = (record.at(place(record, pointer), _number(step)),)
            messages.extend(replace(m, origins=origins) for m in made)
            if messages and messages[0].role != "system":
                messages[:0] = [replace(m, origins=origins) for m in _system(step)]
        if messages:
            task = next((m.text for m in messages if m.role == "user"), "")
            self._sessions.append(linear(NAME, messages, family=content_id(task)))


def _messages(step: Mapping[str, Any], pointer: str, *, first: bool) -> Iterator[Message]:
    """What one step adds.

    Raises:
        Misfit: it is no step of a memory.
    """
    if isinstance(step.get("system_prompt"), str):
        yield Message(role="system", parts=text_part(step["system_prompt"]))
    elif isinstance(step.get("task"), str):
        yield Message(role="user", parts=text_part(step["task"]), actor=None if first else "human")
    elif isinstance(step.get("plan"), str):
        said = mapping(step.get("model_output_message")).get("content")
        parts = text_part(content_text(said) or step["plan"])
        yield _timed(Message(role="assistant", parts=parts, actor="agent"), step)
        yield Message(
            role="user", parts=text_part("Now proceed and carry out this plan."), actor="harness"
        )
    elif "step_number" in step:
        yield from _action(step)
    elif "output" in step:
        return
    else:
        raise Misfit(pointer, "neither a task, a plan nor an action", "unknown-record")


def _system(step: Any) -> Iterator[Message]:
    """The system prompt, from the messages that an action sent."""
    sent = mapping(next(iter(items(mapping(step).get("model_input_messages"))), None))
    if sent.get("role") == "system":
        yield Message(role="system", parts=text_part(content_text(sent.get("content"))))


def _action(step: Mapping[str, Any]) -> Iterator[Message]:
    error = mapping(step.get("error"))
    kind, said = text_or_none(error.get("type")), str(error.get("message") or "")
    answer = _timed(Message(role="assistant", actor="agent"), step)
    if kind == _GENERATION:
        yield replace(answer, error=said)
        return
    if kind == _STEPS:
        final = step.get("action_output")
        yield replace(answer, parts=text_part(final if isinstance(final, str) else None))
        return
    answer = replace(answer, parts=tuple(_parts(step)))
    if kind == _PARSING:
        yield replace(answer, fault=said)
        yield Message(role="user", parts=text_part(said), actor="harness")
        return
    yield answer
    seen = step.get("observations")
    if not answer.calls or (seen is None and kind is None):
        if seen or kind:
            parts = text_part("\n".join(t for t in (seen, said) if isinstance(t, str) and t))
            yield Message(role="user", parts=parts, actor="harness")
        return
    yield tool_message(_result(seen, kind, said, answer))


def _result(seen: Any, kind: str | None, said: str, answer: Message) -> ToolResult:
    one = answer.calls[0] if len(answer.calls) == 1 else None
    texts = [seen if isinstance(seen, str) else "", said]
    return ToolResult(
        text="\n".join(text for text in texts if text),
        call_id=one.id if one else None,
        name=one.name if one else None,
        is_error=kind is not None,
        hint=kind,
        cause="model" if kind == _BAD_CALL else None,
    )


def _parts(step: Mapping[str, Any]) -> Iterator[Part]:
    message = mapping(step.get("model_output_message"))
    said = mapping(_choice(message).get("message")).get("content")
    text = said if isinstance(said, str) else content_text(step.get("model_output"))
    yield from text_part(message.get("reasoning_content"), "reasoning")
    code = text_or_none(step.get("code_action"))
    calls = [mapping(call) for call in items(step.get("tool_calls"))]
    if code is not None or any(_name(call) == _INTERPRETER for call in calls):
        whole = code or str(mapping(calls[0].get("function")).get("arguments") or "")
        before, after, found = around(text, whole)
        name = text_or_none(calls[0].get("id")) if calls else None
        call = ToolCall(
            name=_INTERPRETER,
            arguments=whole,
            id=name,
            kind="custom",
            syntax="code",
            verbatim=found,
        )
        yield from (*text_part(before), call_part(call), *text_part(after))
        return
    yield from text_part(text)
    raw = {_id(c): c for c in map(mapping, items(message.get("tool_calls")))}
    for index, made in enumerate(calls or list(raw.values())):
        yield call_part(_call(made, mapping(raw.get(_id(made))), index))


def _call(made: Mapping[str, Any], raw: Mapping[str, Any], index: int) -> ToolCall:
    written = mapping(raw.get("function")).get("arguments")
    parsed = mapping(made.get("function")).get("arguments")
    kept = written if isinstance(written, str) else parsed
    return ToolCall(
        name=_name(made),
        arguments=rendered({} if kept is None else kept),
        index=index,
        id=text_or_none(made.get("id")),
        verbatim=isinstance(written, str),
    )


def _id(call: Mapping[str, Any]) -> str:
    return str(call.get("id"))


def _name(call: Mapping[str, Any]) -> str:
    return str(mapping(call.get("function")).get("name") or "")


def _choice(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The provider's own answer, before smolagents completed it."""
    return mapping(next(iter(items(mapping(message.get("raw")).get("choices"))), None))


def _unanswered(step: Mapping[str, Any]) -> bool:
    """An action whose request ended the run; nothing of it was kept."""
    told = ("model_output", "model_output_message", "tool_calls", "error", "action_output")
    return "step_number" in step and not any(step.get(name) for name in told)


def _number(step: Any) -> str | None:
    number = mapping(step).get("step_number")
    return str(number) if isinstance(number, int) else None


def _timed(message: Message, step: Mapping[str, Any]) -> Message:
    used = usage_of(step.get("token_usage"))
    time = unix_time(mapping(step.get("timing")).get("start_time"))
    raw = mapping(mapping(step.get("model_output_message")).get("raw"))
    choice = _choice(mapping(step.get("model_output_message")))
    return replace(
        message,
        usage=used,
        time=time,
        model=text_or_none(raw.get("model")),
        finish_reason=text_or_none(choice.get("finish_reason")),
    )


def _weigh(value: dict[str, Any]) -> float:
    if "model_input_messages" in value and "timing" in value:
        return 1.0 if "step_number" in value or "plan" in value else 0.0
    if isinstance(value.get("task"), str) and "task_images" in value:
        return 1.0
    if "step_number" in value and "code_action" in value and "observations" in value:
        return 1.0
    if "system_prompt" in value and len(value) == 1:
        return 0.5
    steps = [s for s in items(value.get("steps")) if isinstance(s, dict) and "steps" not in s]
    return max((_weigh(step) for step in steps), default=0.0)


def sniff(peek: Peek) -> float:
    """Steps with timing and the messages that they sent, or a task with its images."""
    rows = [list(v) for v in peek.values if isinstance(v, list)]
    if rows and len(rows) == len(peek.values):
        flat = [s for row in rows for s in row[:5]]
        return share(replace(peek, values=tuple(flat)), _weigh)
    return share(peek, _weigh)


def _reader(tally: Tally) -> _Runs:
    return _Runs(tally)


FORMAT = Format(
    name=NAME,
    about="smolagents memory dumps of tool-calling and code agents; no tool schemas",
    unit="step",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
)
