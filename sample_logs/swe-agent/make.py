"""Writes trajectories as SWE-agent 1.x writes them (its source, `sweagent/agent/agents.py`).

    python sample_logs/swe-agent/make.py sample_logs/swe-agent

SWE-agent is on no registry and needs a container, so these are written after its source.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

Row = dict[str, Any]
TASK = "The lowest height is wrong. Fix tides.py."
BAD_FORMAT = "Your output was not formatted correctly. Include exactly one command."


class Run:
    """Grows history and trajectory side by side, as the agent does."""

    def __init__(self, system: str) -> None:
        self.history: list[Row] = [
            said("system", system, "system_prompt"),
            said("user", TASK, "observation"),
        ]
        self.steps: list[Row] = []
        self._query = [*self.history]

    def turned_down(self, output: str, error: str, action: str = "") -> None:
        """An answer that is asked for again."""
        self._step(output, action, "")
        again = [said("assistant", output, "assistant"), said("user", error, "user")]
        self._query = [*self.history, *again]

    def turn(
        self, output: str, action: str, seen: str, call: Row | None = None, query: bool = True
    ) -> None:
        """An answer that was carried out."""
        self._step(output, action, seen, query=query)
        answer = said("assistant", output, "action")
        self.history.append(answer | {"thought": output, "action": action, "thinking_blocks": []})
        reply = said("user" if call is None else "tool", seen, "observation")
        if call is not None:
            self.history[-1]["tool_calls"] = [call]
            reply["tool_call_ids"] = [call["id"]]
        self.history.append(reply)
        self._query = [*self.history]

    def _step(self, output: str, action: str, seen: str, *, query: bool = True) -> None:
        step = {"action": action, "observation": seen, "response": output, "thought": output}
        rest = {"execution_time": 0.1, "state": {}, "extra_info": {}}
        self.steps.append(step | rest | {"query": self._query if query else [{}]})

    def write(self, path: Path, exit_status: str) -> None:
        """The file."""
        model = {"name": "misstep-sample", "temperature": 0.0, "top_p": 1.0}
        value = {
            "trajectory": self.steps,
            "history": self.history,
            "info": {"exit_status": exit_status, "submission": None, "model_stats": {}},
            "replay_config": json.dumps({"agent": {"name": "main", "model": model}}),
            "environment": "main",
        }
        path.write_text(json.dumps(value, indent=1) + "\n")


def said(role: str, text: str, kind: str) -> Row:
    """An entry of the history."""
    return {"role": role, "content": text, "agent": "main", "message_type": kind}


def call(number: int, name: str, arguments: str) -> Row:
    """A tool call as the model wrote it."""
    function = {"name": name, "arguments": arguments}
    return {"id": f"call_{number}", "type": "function", "function": function}


def main(out: Path) -> None:
    """One run with tool calls, one that writes its commands as text and gives up."""
    run = Run("Use the tools.")
    run.turn(
        "I look.", "cat tides.py", "low = max(h)", call(1, "bash", '{"command":"cat tides.py"}')
    )
    run.turned_down("Then I change it.", BAD_FORMAT)
    run.turned_down("I will change it now.", BAD_FORMAT)
    edit = '{"path": "tides.py", "old": "max", "new": "min" }'
    run.turn("I change it.", "edit tides.py max min", "Edited.", call(2, "edit", edit))
    run.turn("Check.", "python tides.py", "1.2", call(3, "bash", '{"command": "python tides.py"}'))
    run.turn("Done.", "submit", "diff --git a/tides.py", call(4, "submit", "{}"))
    run.write(out / "tides-1.traj", "submitted")
    run = Run("One command in a block.")
    run.turn("I look.\n```\ncat tides.py\n```", "cat tides.py", "low = max(h)")
    run.turn("And\n```\npython tide.py\n```", "python tide.py", "python: can't open file 'tide.py'")
    run.turned_down(
        "I open it.\n```\nvim tides.py\n```", "vim is not supported here.", "vim tides.py"
    )
    run.turned_down("Two:\n```\nls\n```\nor\n```\ncat\n```", BAD_FORMAT)
    run.turned_down("Nothing.", BAD_FORMAT)
    last = "Exit due to repeated format/blocklist/bash syntax errors"
    run.turn(last, "", "Exited (autosubmitted)", query=False)
    run.write(out / "tides-2.traj", "submitted (exit_format)")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
