"""The steps of one ATIF trajectory as messages.

A step of the agent is its answer, then what came back: results of its calls, or what else it was
shown. A step in which no model was asked is the harness's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from misstep.chat import content_text
from misstep.ingest.format import Misfit, Record
from misstep.ingest.harnesses.harness import (
    call_part,
    items,
    mapping,
    object_at,
    rendered,
    text_part,
    tool_message,
)
from misstep.ingest.messages import int_or_none, kind_of, place, text_or_none, unix_time, usage_of
from misstep.types import Actor, Message, ToolCall, ToolResult

_TURNED_DOWN = "Previous response had parsing errors:"
_FAILED_MARK = re.compile(r"^\[error\] tool reported failure\s*$", re.M)
_STATUS = {"error": True, "failed": True, "failure": True, "success": False, "ok": False}


class Told:
    """The messages of one trajectory."""

    def __init__(self, record: Record, agent: Mapping[str, Any], *, sub_agent: bool) -> None:
        self.messages: list[Message] = []
        self.refers: list[str] = []
        self._record = record
        self._model = text_or_none(agent.get("model_name"))
        self._sub_agent = sub_agent

    def take(self, step: Mapping[str, Any], pointer: str) -> None:
        """Add one step.

        Raises:
            Misfit: it has no known source, or a call has no name.
        """
        origins = (self._record.at(place(self._record, pointer), _step_id(step)),)
        source = step.get("source")
        if source not in ("system", "user", "agent"):
            raise Misfit(
                f"{pointer}/source", f"expected system, user or agent, got {source!r}"[:99]
            )
        results = items(mapping(step.get("observation")).get("results"))
        time = unix_time(step.get("timestamp"))
        text = content_text(step.get("message"))
        if source == "agent" and step.get("llm_call_count") != 0:
            answer = self._answer(step, text, pointer)
            replies = list(_replies(answer, results))
            answer = replace(answer, fault=_fault(replies))
            made = [answer, *replies]
        else:
            shown = [text, *(content_text(mapping(r).get("content")) for r in results)]
            parts = text_part("\n".join(one for one in shown if one))
            begins = all(m.role == "system" for m in self.messages)
            if source == "system" and begins:
                made = [Message(role="system", parts=parts)]
            else:
                actor: Actor | None = None if source == "user" else "harness"
                made = [Message(role="user", parts=parts, actor=actor)]
        for result in results:
            self._refer(mapping(result).get("subagent_trajectory_ref"))
        self.messages.extend(replace(m, origins=origins, time=time) for m in made)

    def _answer(self, step: Mapping[str, Any], text: str, pointer: str) -> Message:
        parts = [*text_part(step.get("reasoning_content"), "reasoning"), *text_part(text)]
        for index, call in enumerate(items(step.get("tool_calls"))):
            body = object_at(call, f"{pointer}/tool_calls/{index}")
            name, arguments = body.get("function_name"), body.get("arguments")
            if not isinstance(name, str):
                at = f"{pointer}/tool_calls/{index}/function_name"
                raise Misfit(at, f"expected a name, got {kind_of(name)}")
            parts.append(
                call_part(
                    ToolCall(
                        name=name,
                        arguments=rendered({} if arguments is None else arguments),
                        index=index,
                        id=text_or_none(body.get("tool_call_id")),
                        verbatim=isinstance(arguments, str),
                    )
                )
            )
        return Message(
            role="assistant",
            parts=tuple(parts),
            actor="sub-agent" if self._sub_agent else "agent",
            model=text_or_none(step.get("model_name")) or self._model,
            usage=usage_of(step.get("metrics")),
        )

    def _refer(self, refs: Any) -> None:
        for ref in refs if isinstance(refs, list) else [refs]:
            body = mapping(ref)
            for key in ("trajectory_id", "trajectory_path", "session_id"):
                if isinstance(body.get(key), str):
                    self.refers.append(file_name(body[key]))


def _replies(answer: Message, results: Sequence[Any]) -> Iterator[Message]:
    """The results of an answer's calls, and what else it was shown.

    One result without an id beside calls without results is what came of all of them, as a
    terminal's screen is; it stands with the last.
    """
    bodies = [mapping(result) for result in results]
    names = [text_or_none(body.get("source_call_id")) for body in bodies]
    waiting = [c.id for c in answer.calls if c.id not in names]
    for name, body in zip(names, bodies, strict=True):
        if name is None and names.count(None) == 1 and waiting:
            name = waiting[-1]
        text = content_text(body.get("content"))
        if name is not None:
            yield tool_message(_result(body, text, name, answer))
        elif text:
            yield Message(role="user", parts=text_part(text), actor="harness")


def _result(body: Mapping[str, Any], text: str, call_id: str, answer: Message) -> ToolResult:
    extra = mapping(body.get("extra"))
    flags = [extra.get("is_error"), extra.get("tool_result_is_error")]
    status = _STATUS.get(str(extra.get("status")).strip().lower())
    flag = next((f for f in flags if isinstance(f, bool)), status)
    codes = [int_or_none(extra.get(k)) for k in ("exit_code", "return_code", "returncode")]
    return ToolResult(
        text=text,
        call_id=call_id,
        name=next((c.name for c in answer.calls if c.id == call_id), None),
        is_error=True if _FAILED_MARK.search(text) else flag,
        exit_code=next((c for c in codes if c is not None), None),
    )


def _fault(replies: Sequence[Message]) -> str | None:
    return next((m.text for m in replies if m.text.startswith(_TURNED_DOWN)), None)


def _step_id(step: Mapping[str, Any]) -> str | None:
    number = int_or_none(step.get("step_id"))
    return None if number is None else str(number)


def file_name(ref: str) -> str:
    """The file that a reference names, or the reference itself."""
    return ref.rpartition("/")[2] or ref
