"""Small logs for tests of the command line and the pipeline: a tool, right calls, wrong calls."""

from __future__ import annotations

import json
from pathlib import Path

TOOL = {
    "type": "function",
    "function": {
        "name": "set_timer",
        "parameters": {
            "type": "object",
            "properties": {"minutes": {"type": "integer", "minimum": 1}},
            "required": ["minutes"],
            "additionalProperties": False,
        },
    },
}
RIGHT = '{"minutes": %d}'
WRONG = '{"minutes": "%d"}'


def answer(arguments: str) -> dict:
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "set_timer", "arguments": arguments},
    }
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def session(task: int, arguments: str, **more: object) -> dict:
    """One session row: a request, one call, and what the tool said."""
    return {
        "messages": [
            {"role": "user", "content": f"Please start a timer of {task} minutes for task {task}."},
            answer(arguments),
            {"role": "tool", "tool_call_id": "c1", "content": "done"},
        ],
        "tools": [TOOL],
        "tool_choice": "required",
        **more,
    }


def write(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def mixed(path: Path, tasks: int, **more: object) -> Path:
    """A log in which every task was answered twice, once right and once wrong."""
    rows = [session(n, RIGHT % n, **more) for n in range(1, tasks + 1)]
    rows += [session(n, WRONG % n, **more) for n in range(1, tasks + 1)]
    return write(path, rows)
