"""Drives Inspect AI against the local model server; see README.md.

    PYTHONPATH=sample_logs/make python sample_logs/inspect-ai/make.py sample_logs/inspect-ai

Needs `inspect-ai` 0.3.285 and `openai`. Writes one `.json` and one `.eval` log of each task.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from inspect_ai import Task, eval
from inspect_ai.agent import Agent, AgentState, agent, as_tool, react
from inspect_ai.dataset import Sample
from inspect_ai.log import read_eval_log, write_eval_log
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.scorer import includes, model_graded_qa
from inspect_ai.solver import generate, system_message, use_tools
from inspect_ai.tool import Tool, ToolError, tool
from model_server import Call, Reply, serve


@tool
def tide() -> Tool:
    async def execute(port: str, hour: int) -> str:
        """Height of the tide.

        Args:
            port: Name of a port.
            hour: Hour of the day.
        """
        if port == "Ys":
            raise ToolError("no such port: Ys")
        if port == "Nord":
            raise TimeoutError
        if port == "Sealed":
            raise PermissionError(13, "Permission denied", "/srv/tides/sealed")
        return f"{port} at {hour}: {2 + hour % 5}.{hour % 10} m"

    return execute


@agent(description="Knows when ships may leave.")
def harbour_master() -> Agent:

    async def execute(state: AgentState) -> AgentState:
        inner = react(name="pilot", prompt="Say when to leave.", tools=[tide()])
        return await inner(state)

    return execute


def call(arguments: str, name: str = "tide") -> Reply:
    """An answer of one call."""
    return Reply(calls=(Call(name, arguments),))


WAYS = [
    call('{"port": "Brest", "hour": 3}'),
    call('{"port": "Brest", "hour": 4'),
    call('{"port": "Brest", "hour": "noon"}'),
    call('{"harbour": "Brest", "hour": 4}'),
    call('{"level": 2}', "depth"),
    call('{"port": "Ys", "hour": 1}'),
    call('{"port": "Nord", "hour": 1}'),
    call('{"port": "Sealed", "hour": 1}'),
    Reply(
        "Two at once.",
        calls=(
            Call("tide", '{"hour": 9, "port": "Brest"}'),
            Call("tide", '{"port": "Dover", "hour": 9}'),
        ),
    ),
    Reply("At nine it is 6.9 m in Brest."),
    Reply("GRADE: C"),
]
"""A clean call, then each way to go wrong, and the grader's word."""
SECOND = [
    call('{"port": "Dover", "hour": 2}'),
    Reply("I can't help with that.", finish="content_filter"),
    Reply("GRADE: I"),
    Reply("It is 4.2", finish="length"),
    Reply("GRADE: I"),
]
"""Two epochs: one refused, one cut off by the limit."""
CREW = [
    call('{"input": "When may we leave Brest?"}', "harbour_master"),
    call('{"port": "Brest", "hour": 6}'),
    call('{"answer": "At six."}', "submit"),
    call('{"answer": "At six, says the pilot."}', "submit"),
]
"""A sub-agent that is called as a tool."""
BROKEN = [Reply(status=400, error={"error": {"message": "bad request", "type": "invalid"}})]


def main(out: Path) -> None:
    """Run each task and keep its logs."""
    grader = model_graded_qa(model=None)
    asking = [system_message("You read tide tables."), use_tools(tide()), generate()]
    one = Sample(id="ways", input="How high is the tide in Brest at nine?", target="6.9 m")
    two = Sample(id="two", input="How high is it in Dover?", target="4.2 m")
    trip = Sample(id="trip", input="When may we leave?", target="six")
    pilot = react(prompt="You run a ship.", tools=[as_tool(harbour_master())])
    plans = [
        ("ways", Task([one], name="tides", solver=asking, scorer=grader), WAYS, 1),
        ("epochs", Task([two], name="tides", solver=asking, scorer=grader), SECOND, 2),
        ("crew", Task([trip], name="crew", solver=pilot, scorer=includes()), CREW, 1),
        ("broken", Task([two], name="tides", solver=asking, scorer=includes()), BROKEN, 1),
    ]
    for name, task, replies, epochs in plans:
        with tempfile.TemporaryDirectory() as logs, serve(replies) as server:
            config = GenerateConfig(max_tokens=200, max_retries=0, temperature=0.5)
            model = get_model(
                "openai/misstep-sample",
                base_url=f"{server.url}/v1",
                api_key="none",
                config=config,
                responses_api=False,
            )
            eval(
                task,
                model=model,
                epochs=epochs,
                log_dir=logs,
                max_samples=1,
                max_connections=1,
                display="none",
                log_format="eval",
                fail_on_error=False,
            )
            kept = next(Path(logs).glob("*.eval"))
            log = read_eval_log(str(kept))
            if name in ("epochs", "broken"):
                write_eval_log(log, str(out / f"{name}.json"))
                text = (out / f"{name}.json").read_text()
                (out / f"{name}.json").write_text(clean(text, logs))
            else:
                shutil.copy(kept, out / f"{name}.eval")


def clean(text: str, logs: str) -> str:
    """Without the places of the machine."""
    text = text.replace(logs, "/home/ada/logs").replace(str(Path.cwd()), "/home/ada/tides")
    text = re.sub(r'"traceback(_ansi)?": "(?:[^"\\]|\\.)*"', r'"traceback\1": ""', text)
    return json.dumps(json.loads(text)) + "\n"


if __name__ == "__main__":
    os.environ.setdefault("INSPECT_DISABLE_VERSION_CHECK", "1")
    main(Path(sys.argv[1]).resolve())
