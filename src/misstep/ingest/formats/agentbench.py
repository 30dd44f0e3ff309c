"""AgentBench runs (`runs.jsonl`): `{index, error, info, output: {status, result, history}, time}`.

Kept: the conversation (actions are text, or chat-form tool calls in its function-calling version),
the result as outcome, the task's index as family. A status that says that the agent's last answer
was no valid action is that answer's fault. The format keeps no tool schemas, no model, no usage,
and no error flag; the time is that of the whole run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from msgspec.structs import replace

from misstep.ingest.build import linear
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.messages import chat_message, kind_of, number_or_none, place, unix_time
from misstep.ingest.oneby import OneByOne
from misstep.redact import clip
from misstep.types import Message, Outcome, Session

NAME = "agentbench"
_INVALID = frozenset({"agent validation failed", "agent invalid action"})
"""Statuses by which AgentBench says that it could not use the agent's last answer."""


def _run(record: Record, tally: Tally) -> Sequence[Session]:
    run = record.value
    if not isinstance(run, dict):
        raise Misfit("", f"expected a run object, got {kind_of(run)}", "unknown-record")
    output = run.get("output")
    if not isinstance(output, dict):
        said = f"a run without output: error {clip(str(run.get('error')), 200)!r}"
        raise Misfit("/output", said, "no-answer")
    history = output.get("history")
    if not isinstance(history, list) or not history:
        raise Misfit("/output/history", f"expected a list of messages, got {kind_of(history)}")
    time = _time(run)
    messages = []
    for index, row in enumerate(history):
        pointer = f"/output/history/{index}"
        origins = (record.at(place(record, pointer), _word(run.get("index"))),)
        messages.append(replace(_message(row, pointer), time=time, origins=origins))
    status = output.get("status")
    if isinstance(status, str) and status in _INVALID:
        _blame(messages, f"status: {status}")
    family = f"{PurePosixPath(record.origin.file).parent.name}-{_word(run.get('index')) or ''}"
    return [linear(NAME, messages, family=family, outcome=_outcome(output.get("result")))]


def _message(row: Any, pointer: str) -> Message:
    if isinstance(row, dict) and row.get("role") == "agent":
        row = {**row, "role": "assistant"}
    message = chat_message(row, pointer)
    if message.role == "tool":
        return message
    return replace(message, actor="agent" if message.role == "assistant" else "harness")


def _blame(messages: list[Message], said: str) -> None:
    """The run ended because the last answer was none that the task takes."""
    for at in range(len(messages) - 1, -1, -1):
        if messages[at].role == "assistant":
            messages[at] = replace(messages[at], fault=said)
            return


def _word(value: Any) -> str | None:
    return str(value)[:200] if isinstance(value, (str, int)) else None


def _time(run: Mapping[str, Any]) -> float | None:
    """`time` is `{timestamp, str}`."""
    time = run.get("time")
    return unix_time(time.get("timestamp") if isinstance(time, dict) else time)


def _outcome(result: Any) -> Outcome | None:
    """Tasks say it as `true`, or in an object as `result`, `success`, `score` or `reward`."""
    said = result if isinstance(result, dict) else {"result": result}
    resolved = next((said[k] for k in ("result", "success") if isinstance(said.get(k), bool)), None)
    found = (number_or_none(said.get(k)) for k in ("reward", "score", "result"))
    reward = next((n for n in found if n is not None), None)
    outcome = Outcome(reward=reward, resolved=resolved)
    return None if outcome == Outcome() else outcome


def _weigh(value: dict[str, Any]) -> float:
    output = value.get("output")
    if not isinstance(output, dict) or "index" not in value:
        return 0.3 if {"index", "error", "info", "output"} <= value.keys() else 0.0
    return 1.0 if "status" in output and "history" in output else 0.0


def sniff(peek: Peek) -> float:
    """Objects with an index and an output that has a status and a history."""
    return share(peek, _weigh) if peek.kind == "json" else 0.0


def _reader(tally: Tally) -> OneByOne:
    return OneByOne(tally, _run)


FORMAT = Format(
    name=NAME,
    about="AgentBench runs with their status; actions mostly as text, no schemas, no model",
    unit="line",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    evidence="documentation",
)
