"""Drives Harbor's Terminus 2 against the local model server; see README.md.

    PYTHONPATH=sample_logs/make python sample_logs/atif/make.py sample_logs/atif

Needs `harbor` 0.25.0 (Python 3.13), tmux, and `atif` 1.8.0. The agent works in a scratch folder of
this machine instead of a container; `subagents.json` is written with the models of `atif`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}

from atif import (
    Agent,
    Metrics,
    Observation,
    ObservationResult,
    Step,
    SubagentTrajectoryRef,
    ToolCall,
    Trajectory,
)
from harbor.agents.terminus_2.terminus_2 import Terminus2
from harbor.environments.base import ExecResult
from harbor.models.agent.context import AgentContext
from model_server import Reply, serve


class Local:
    """What Terminus needs of an environment, on this machine."""

    default_user = None
    session_id = "local"

    def __init__(self, folder: str) -> None:
        self.trial_paths = SimpleNamespace(agent_dir=Path(folder))
        self._folder = folder

    async def exec(self, command: str, **rest: Any) -> ExecResult:
        """Run a command in the scratch folder."""
        done = subprocess.run(
            command, shell=True, cwd=self._folder, capture_output=True, text=True, timeout=60
        )
        return ExecResult(stdout=done.stdout, stderr=done.stderr, return_code=done.returncode)

    async def is_dir(self, path: str, **rest: Any) -> bool:
        """Whether a folder is there."""
        return Path(path).is_dir()


def plan(keys: list[str], *, done: bool = False, more: str = "") -> Reply:
    """An answer in Terminus' own JSON."""
    commands = [{"keystrokes": f"{key}\n", "duration": 0.3} for key in keys]
    said = {"analysis": "The tide is low.", "plan": "Go on.", "commands": commands}
    return Reply(more + json.dumps(said | {"task_complete": done}))


SCRIPT = [
    plan(["echo 06:12 > low.txt"]),
    Reply('{"analysis": "I look.", "commands": [{"keystrokes": "cat low.txt\\n"}'),
    Reply("I would like to look at the file."),
    plan(["cat low.txt", "cat high.txt"]),
    plan(["wc -c low.txt"], more="Here is my plan: "),
    plan([], done=True),
    plan([], done=True),
]


async def terminus(out: Path, *, raw: bool) -> None:
    """One run; `raw` keeps the answers as they were written."""
    with tempfile.TemporaryDirectory() as logs, tempfile.TemporaryDirectory() as scratch:
        with serve(SCRIPT) as server:
            agent = Terminus2(
                logs_dir=Path(logs),
                model_name="openai/misstep-sample",
                api_base=f"{server.url}/v1",
                temperature=0.5,
                session_id="7c1d2f8a-raw" if raw else "7c1d2f8a-parsed",
                enable_summarize=False,
                record_terminal_session=False,
                trajectory_config={"raw_content": raw, "linear_history": False},
                llm_kwargs={"api_key": "none"},
                model_info={"max_input_tokens": 32000, "max_output_tokens": 4000},
            )
            local = Local(scratch)
            await agent.setup(local)
            try:
                await agent.run("Note low water in low.txt.", local, AgentContext())
            finally:
                await local.exec("tmux kill-server")
        text = (Path(logs) / "trajectory.json").read_text()
        text = text.replace(scratch, "/home/ada/tides").replace(server.url, "http://localhost")
        text = re.sub(r"root@[\w-]+", "ada@tides", text)
        name = "terminus-raw" if raw else "terminus"
        (out / f"{name}.json").write_text(text)


def crew() -> Trajectory:
    """A trajectory with an embedded sub-agent, flags and exit codes."""
    schema = {"type": "object", "properties": {"port": {"type": "string"}}, "required": ["port"]}
    tools = [
        {"type": "function", "function": {"name": name, "parameters": schema}}
        for name in ("tide", "pilot")
    ]
    who = Agent(name="crew", version="1.0", model_name="misstep-sample", tool_definitions=tools)
    ref = SubagentTrajectoryRef(trajectory_id="pilot-1")
    one = ObservationResult(source_call_id="a", content="6.9 m", extra={"exit_code": 0})
    two = ObservationResult(
        source_call_id="b", content="missing port", extra={"is_error": True, "exit_code": 2}
    )
    sub = Trajectory(
        schema_version="ATIF-v1.8",
        trajectory_id="pilot-1",
        agent=Agent(name="pilot", version="1.0", model_name="misstep-sample"),
        steps=[
            Step(step_id=1, source="user", message="When may we leave?"),
            Step(step_id=2, source="agent", message="At six."),
        ],
    )
    calls = [
        ToolCall(tool_call_id="a", function_name="tide", arguments={"port": "Brest"}),
        ToolCall(tool_call_id="b", function_name="tide", arguments={"harbour": "Brest"}),
    ]
    asked = ToolCall(tool_call_id="c", function_name="pilot", arguments={"port": "Brest"})
    went = ObservationResult(source_call_id="c", content="At six.", subagent_trajectory_ref=[ref])
    return Trajectory(
        schema_version="ATIF-v1.8",
        session_id="crew-1",
        agent=who,
        steps=[
            Step(step_id=1, source="system", message="You run a ship."),
            Step(step_id=2, source="user", message="May we leave Brest?"),
            Step(
                step_id=3,
                source="agent",
                message="I ask for the tide.",
                reasoning_content="Depth first.",
                timestamp="2026-01-02T03:04:05Z",
                tool_calls=calls,
                observation=Observation(results=[one, two]),
                metrics=Metrics(prompt_tokens=50, completion_tokens=9),
            ),
            Step(
                step_id=4,
                source="agent",
                message="",
                tool_calls=[asked],
                observation=Observation(results=[went]),
            ),
            Step(step_id=5, source="agent", message="At six we may."),
        ],
        subagent_trajectories=[sub],
    )


def main(out: Path) -> None:
    """Write the three trajectories."""
    for raw in (False, True):
        asyncio.run(terminus(out, raw=raw))
    (out / "subagents.json").write_text(json.dumps(crew().to_json_dict(), indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
