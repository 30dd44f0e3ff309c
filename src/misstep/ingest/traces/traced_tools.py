"""Tool runs of a trace, and the calls that started them.

In: the runs of tools and the model's answers, in the order of their start. Out: for each call the
run that it started: by its id where the trace has it, else the first run of the same name that no
other call has, one with the same arguments before others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson
from msgspec.structs import replace

from misstep.chat import content_text
from misstep.ingest.messages import text_or_none
from misstep.ingest.traces.framework_parts import opened
from misstep.ingest.traces.framework_printed import literal
from misstep.ingest.traces.langchain_messages import unwrapped
from misstep.ingest.traces.traced import Run
from misstep.types import Message, Part, ToolCall, ToolResult


class Ran(msgspec.Struct, frozen=True, eq=False):
    """A tool's run, read."""

    run: Run
    call_id: str | None
    arguments: Any
    text: str
    failed: bool


class ToolRuns:
    """The tool runs of one trace."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._free: dict[str, Ran] = {}
        """Runs that no call has, by their id."""
        self._asked: dict[str, list[Ran]] = {}
        """Runs by the id of the call that they name."""
        self._named: dict[str, list[Ran]] = {}
        for ran in (_ran(run) for run in runs if run.kind == "tool"):
            self._free[ran.run.id] = ran
            if ran.call_id is not None:
                self._asked.setdefault(ran.call_id, []).append(ran)
            for name in {ran.run.name, ran.run.name.split(" ")[-1]}:
                self._named.setdefault(name, []).append(ran)
        self._marked = {id for run in runs for id in run.failed}
        self._of_call: dict[tuple[int, int], Ran] = {}
        self._by_id: dict[str, Ran] = {}
        self.starter: dict[str, Run] = {}
        """The model's run that started a tool's run, by the id of the tool's run."""

    def claim(self, model: Run) -> None:
        """Give the calls of a model's answers their runs."""
        for number, answer in enumerate(model.answers):
            for call in answer.calls:
                place = (id(model), number * 10_000 + call.index)
                ran = self._find(call, model) if place not in self._of_call else None
                if ran is None:
                    continue
                del self._free[ran.run.id]
                self._of_call[place] = ran
                self.starter[ran.run.id] = model
                if call.id is not None:
                    self._by_id.setdefault(call.id, ran)

    def _find(self, call: ToolCall, model: Run) -> Ran | None:
        for ran in self._asked.get(call.id, ()) if call.id is not None else ():
            if ran.run.id in self._free:
                return ran
        begin = model.start or 0.0
        listed = self._named.get(call.name, [])
        listed[:] = [ran for ran in listed if ran.run.id in self._free]
        named = [
            ran
            for ran in listed
            if (ran.call_id is None or call.id is None)
            and (ran.run.start is None or ran.run.start >= begin)
        ]
        wanted = _plain(call.arguments)
        same = [ran for ran in named if _plain(ran.arguments) == wanted]
        return next(iter(same or named), None)

    def results(self, model: Run, number: int) -> Message | None:
        """The results of one answer's calls as a message; None where no tool ran."""
        answer = model.answers[number]
        parts = []
        for call in answer.calls:
            ran = self._of_call.get((id(model), number * 10_000 + call.index))
            if ran is not None:
                told = ToolResult(text=ran.text, call_id=call.id, name=call.name)
                parts.append(Part(kind="result", result=_flagged(told, ran)))
        return Message(role="tool", parts=tuple(parts)) if parts else None

    def first(self, model: Run, number: int) -> Run | None:
        """The first run that one answer's calls started."""
        calls = model.answers[number].calls
        found = (self._of_call.get((id(model), number * 10_000 + call.index)) for call in calls)
        return next((ran.run for ran in found if ran is not None), None)

    def told(self, message: Message) -> Message:
        """A history's message with the error flags that the tools' runs carry."""
        if not any(self._failed(part) for part in message.parts):
            return message
        return replace(message, parts=tuple(map(self._marked_part, message.parts)))

    def _marked_part(self, part: Part) -> Part:
        result = part.result
        if result is None or result.call_id is None or not self._failed(part):
            return part
        ran = self._by_id.get(result.call_id)
        if ran is None or not ran.failed:
            return replace(part, result=replace(result, is_error=True))
        return replace(part, result=_flagged(result, ran))

    def _failed(self, part: Part) -> bool:
        id = part.result.call_id if part.result is not None else None
        if id is None:
            return False
        ran = self._by_id.get(id)
        return id in self._marked or (ran is not None and ran.failed)

    def unclaimed(self) -> list[Run]:
        """Runs that no call started."""
        return [ran.run for ran in self._free.values()]


def _flagged(result: ToolResult, ran: Ran) -> ToolResult:
    if not ran.failed:
        return result
    hint = result.hint if result.hint or ran.run.error == result.text else ran.run.error
    return replace(result, is_error=True, hint=hint)


def _ran(run: Run) -> Ran:
    call_id, arguments = run.call_id, opened(run.input)
    if isinstance(arguments, dict):
        if arguments.get("type") == "tool_call" and "args" in arguments:
            call_id = call_id or text_or_none(arguments.get("id"))
            arguments = arguments["args"]
        elif set(arguments) == {"input"}:
            arguments = opened(arguments["input"])
    text, told, failed = _output(opened(run.output))
    failed = failed or run.error is not None
    if not text and run.error is not None:
        text = run.error
    return Ran(run, call_id or told, arguments, text, failed)


def _output(value: Any) -> tuple[str, str | None, bool]:
    """A tool's output as the model would have seen it, the call's id, whether it says it failed."""
    if isinstance(value, dict) and set(value) == {"output"}:
        value = opened(value["output"])
    found = unwrapped(value)
    if found is not None:
        body = found[1]
        failed = body.get("status") == "error"
        return content_text(body["content"]), text_or_none(body.get("tool_call_id")), failed
    if isinstance(value, dict) and isinstance(value.get("content"), (str, list)):
        failed = value.get("isError") is True or value.get("is_error") is True
        return content_text(value["content"]), None, failed
    return content_text(value), None, False


def _plain(arguments: Any) -> bytes:
    """Arguments without their spelling; some tracers print them as a Python dict."""
    value = literal(arguments) if isinstance(arguments, str) else arguments
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return b""
