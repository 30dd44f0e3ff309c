"""Drives mini-swe-agent against the local model server; see README.md.

    PYTHONPATH=sample_logs/make python sample_logs/mini-swe-agent/make.py sample_logs/mini-swe-agent

Needs `mini-swe-agent` 2.4.6. Commands run in a scratch folder; its path becomes /home/ada/tides.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ |= {"MSWEA_SILENT_STARTUP": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}

from minisweagent.agents.default import DefaultAgent
from minisweagent.environments.local import LocalEnvironment
from minisweagent.models.litellm_model import LitellmModel
from minisweagent.models.litellm_response_model import LitellmResponseModel
from minisweagent.models.litellm_textbased_model import LitellmTextbasedModel
from model_server import Call, Reply, serve

DONE = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && cat low.txt"
TASK = "Write the lowest height of heights.txt into low.txt."
FENCE = "```mswea_bash_command\n{}\n```"


def bash(command: str, text: str = "") -> Reply:
    """An answer with one command as a tool call."""
    return Reply(text, calls=(Call("bash", json.dumps({"command": command})),))


def fenced(text: str, command: str) -> Reply:
    """An answer with one command in a block."""
    return Reply(f"{text}\n\n{FENCE.format(command)}")


CALLS = [
    bash("cat heights.txt", "I look first."),
    Reply(calls=(Call("bash", '{"command": "sort -n heights.txt'),)),
    Reply(calls=(Call("terminal", '{"command": "sort -n heights.txt"}'),)),
    bash("sort -n hights.txt"),
    Reply(
        calls=(
            Call("bash", '{"command": "sort -n heights.txt | head -1 > low.txt"}'),
            Call("bash", '{"command": "cat low.txt"}'),
        )
    ),
    Reply("The lowest is 1.2."),
    bash("sleep 5"),
    bash(DONE),
]
BLOCKS = [
    fenced("THOUGHT: I look first.", "cat heights.txt"),
    Reply("THOUGHT: I sort it, then I write it."),
    fenced("THOUGHT: I sort.", "sort -n hights.txt"),
    Reply(f"Two.\n{FENCE.format('sort -n heights.txt')}\n{FENCE.format('cat low.txt')}"),
    fenced("THOUGHT: One at a time.", "sort -n heights.txt | head -1 > low.txt"),
    fenced("Done.", DONE),
]
ITEMS = [
    bash("cat heights.txt"),
    Reply(calls=(Call("bash", '{"cmd": "sort -n heights.txt"}'),)),
    bash("sort -n heights.txt | head -1 > low.txt"),
    bash(DONE),
]


def main(out: Path) -> None:
    """One trajectory with tool calls, one with blocks, one over the Responses API."""
    plans = [
        ("calls", LitellmModel, CALLS),
        ("blocks", LitellmTextbasedModel, BLOCKS),
        ("responses", LitellmResponseModel, ITEMS),
    ]
    for name, kind, replies in plans:
        with tempfile.TemporaryDirectory() as scratch, serve(replies) as server:
            Path(scratch, "heights.txt").write_text("3.4\n1.2\n2.8\n")
            model = kind(
                model_name="openai/misstep-sample",
                model_kwargs={
                    "api_base": f"{server.url}/v1",
                    "api_key": "none",
                    "temperature": 0.0,
                },
                cost_tracking="ignore_errors",
            )
            agent = DefaultAgent(
                model,
                LocalEnvironment(cwd=scratch, timeout=2),
                system_template="You work in a shell. End with the given command.",
                instance_template="{{task}} End with `" + DONE + "`.",
                output_path=Path(scratch, "out.traj.json"),
            )
            agent.run(TASK)
            text = Path(scratch, "out.traj.json").read_text().replace(scratch, "/home/ada/tides")
            value = json.loads(text.replace(server.url, "http://localhost"))
            (out / f"{name}.traj.json").write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
