"""Runs as log lines: OpenAI pairs, Anthropic pairs, Claude Code transcripts, session rows.

In: `harness.Run` values. Out: JSON objects, one a line. Ids and times come from the run's own name,
so that the same runs give the same bytes.
"""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import ASK_AGAIN, SYSTEM, Attempt, Run
from toolbox import BY_NAME

from misstep.types import content_id

MODEL = "smollm2+sft-calls"
START = 1_773_050_400
"""2026-03-09 10:00 UTC; each run begins a minute after the one before it."""
Row = dict[str, Any]


def write(path: Path, rows: Iterable[Row]) -> int:
    """Write JSON lines, gzipped where the name ends in `.gz`; the bytes on disk."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    data = gzip.compress(text, mtime=0) if path.suffix == ".gz" else text
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return len(data)


def _id(run: Run, *names: object) -> str:
    return content_id(run.id, *map(str, names))


def _call_id(run: Run, turn: int, index: int) -> str:
    return f"call_{_id(run, turn, index)[:10]}"


# --- OpenAI ------------------------------------------------------------------------------------


def openai_pairs(run: Run, minute: int, limits: Row) -> Iterator[Row]:
    """One `{"request", "response"}` per answer; the last result is in no request."""
    for turn, attempt in enumerate(run.attempts):
        request = {
            "model": MODEL,
            "messages": chat_messages(run, turn),
            "tools": [BY_NAME[name].chat for name in run.task.offered],
            "tool_choice": run.style.choice,
            **limits,
        }
        answer = {"index": 0, "message": _chat_answer(run, turn), "finish_reason": _finish(attempt)}
        asked, given = attempt.sampled.prompt_tokens, attempt.sampled.answer_tokens
        response = {
            "id": f"chatcmpl-{_id(run, turn)}",
            "object": "chat.completion",
            "created": START + 60 * minute + 4 * turn,
            "model": MODEL,
            "choices": [answer],
            "usage": {
                "prompt_tokens": asked,
                "completion_tokens": given,
                "total_tokens": asked + given,
            },
        }
        yield {"request": request, "response": response}


def chat_messages(run: Run, turns: int) -> list[Row]:
    """The messages before answer number `turns`, in chat form."""
    rows: list[Row] = [{"role": "system", "content": SYSTEM}] if run.style.system else []
    rows.append({"role": "user", "content": run.task.user})
    for turn in range(turns):
        rows.append(_chat_answer(run, turn))
        rows.extend(_chat_results(run, turn))
    return rows


def _chat_answer(run: Run, turn: int) -> Row:
    message = run.attempts[turn].message
    row: Row = {"role": "assistant", "content": message.text or None}
    if message.calls:
        row["tool_calls"] = [
            {
                "id": _call_id(run, turn, call.index),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.calls
        ]
    return row


def _chat_results(run: Run, turn: int) -> list[Row]:
    replies = run.attempts[turn].replies
    if not replies:
        return [{"role": "user", "content": ASK_AGAIN}]
    return [
        {"role": "tool", "tool_call_id": _call_id(run, turn, r.call.index), "content": r.text}
        for r in replies
    ]


def _finish(attempt: Attempt) -> str:
    if attempt.sampled.cut:
        return "length"
    return "tool_calls" if attempt.message.calls else "stop"


# --- misstep's own rows ------------------------------------------------------------------------


def session_row(run: Run, limits: Row) -> Row:
    """The whole run in one row, the last result included."""
    rows = chat_messages(run, len(run.attempts))
    finishes = iter(_finish(attempt) for attempt in run.attempts)
    for row in rows:
        if row["role"] == "assistant":
            row["finish_reason"] = next(finishes)
    if not run.attempts[-1].replies:
        rows.pop()
    return {
        "id": run.id,
        "family": run.id.rsplit("-", 1)[0],
        "model": MODEL,
        "messages": rows,
        "tools": [BY_NAME[name].chat for name in run.task.offered],
        "tool_choice": run.style.choice,
        **limits,
    }


# --- Anthropic ---------------------------------------------------------------------------------


def anthropic_pairs(run: Run, limits: Row) -> Iterator[Row]:
    """One `{"request", "response"}` per answer; arguments are objects, errors are flagged."""
    for turn in range(len(run.attempts)):
        request = {
            "model": MODEL,
            "system": SYSTEM,
            "messages": _block_messages(run, turn),
            "tools": [_anthropic_tool(name) for name in run.task.offered],
            "tool_choice": {"type": "any"},
            **limits,
        }
        response = {"type": "message", **_block_message(run, turn)}
        yield {"request": request, "response": response}


def _anthropic_tool(name: str) -> Row:
    tool = BY_NAME[name]
    return {"name": name, "description": tool.description, "input_schema": tool.parameters}


def _block_messages(run: Run, turns: int) -> list[Row]:
    rows: list[Row] = [{"role": "user", "content": run.task.user}]
    for turn in range(turns):
        rows.append({"role": "assistant", "content": _blocks(run, turn)})
        rows.append({"role": "user", "content": _block_results(run, turn)})
    return rows


def _block_message(run: Run, turn: int) -> Row:
    attempt = run.attempts[turn]
    stop = "tool_use" if attempt.message.calls else "end_turn"
    return {
        "id": f"msg_{_id(run, turn)}",
        "role": "assistant",
        "model": MODEL,
        "content": _blocks(run, turn),
        "stop_reason": "max_tokens" if attempt.sampled.cut else stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": attempt.sampled.prompt_tokens,
            "output_tokens": attempt.sampled.answer_tokens,
        },
    }


def _blocks(run: Run, turn: int) -> list[Row]:
    blocks: list[Row] = []
    for part in run.attempts[turn].message.parts:
        if part.call is not None:
            block = {"type": "tool_use", "id": f"toolu_{_id(run, turn, part.call.index)}"}
            block |= {"name": part.call.name, "input": json.loads(part.call.arguments)}
            blocks.append(block)
        elif part.text:
            blocks.append({"type": "text", "text": part.text})
    return blocks


def _block_results(run: Run, turn: int) -> list[Row]:
    replies = run.attempts[turn].replies
    if not replies:
        return [{"type": "text", "text": ASK_AGAIN}]
    return [
        {
            "type": "tool_result",
            "tool_use_id": f"toolu_{_id(run, turn, reply.call.index)}",
            "content": reply.text,
            "is_error": reply.is_error,
        }
        for reply in replies
    ]


# --- Claude Code -------------------------------------------------------------------------------


def transcript(run: Run, minute: int) -> list[Row]:
    """One session as transcript lines, linked by uuid; each block of an answer has its own line."""
    lines = _Lines(run, START + 60 * minute)
    lines.add("user", {"role": "user", "content": run.task.user})
    for turn in range(len(run.attempts)):
        whole = _block_message(run, turn)
        for block in whole["content"]:
            lines.add("assistant", {**whole, "type": "message", "content": [block]})
        results = _block_results(run, turn)
        for result in results:
            said = result.get("content", "")
            extra = {"toolUseResult": f"Error: {said}"} if result.get("is_error") else {}
            if "text" not in result or turn + 1 < len(run.attempts):
                lines.add("user", {"role": "user", "content": [result]}, **extra)
    return lines.rows


class _Lines:
    """The lines of one transcript; each names the one before it as its parent."""

    def __init__(self, run: Run, start: int) -> None:
        self.rows: list[Row] = []
        self._run, self._time = run, start
        self._last: str | None = None

    def add(self, kind: str, message: Row, **extra: Any) -> None:
        at = datetime.fromtimestamp(self._time + 2 * len(self.rows), UTC)
        own = str(uuid.uuid5(uuid.NAMESPACE_OID, _id(self._run, len(self.rows))))
        self.rows.append(
            {
                "parentUuid": self._last,
                "isSidechain": False,
                "userType": "external",
                "cwd": "/home/ada/desk",
                "sessionId": session_uuid(self._run),
                "version": "0.0.0",
                "gitBranch": "",
                "type": kind,
                "message": message,
                **extra,
                "uuid": own,
                "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            }
        )
        self._last = own


def session_uuid(run: Run) -> str:
    """The session id of a run's transcript, which is also its file name."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, _id(run, "session")))
