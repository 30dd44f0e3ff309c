"""Drives smolagents against the local model server; see README.md.

    PYTHONPATH=sample_logs/make python sample_logs/smolagents/make.py sample_logs/smolagents

Needs `smolagents[openai]` 1.26.0. Dumps the memory of a tool-calling and of a code agent.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from model_server import Call, Reply, serve
from smolagents import AgentError, CodeAgent, OpenAIServerModel, ToolCallingAgent, tool


@tool
def tide(port: str, hour: int) -> str:
    """Height of the tide.

    Args:
        port: Name of a port.
        hour: Hour of the day.
    """
    if port == "Ys":
        raise ValueError("no such port: Ys")
    return f"{port} at {hour}: {2 + hour % 5}.{hour % 10} m"


def call(arguments: str, name: str = "tide") -> Reply:
    """An answer of one call."""
    return Reply(calls=(Call(name, arguments),))


CALLS = [
    call('{"port": "Brest", "hour": 3}'),
    call('{"port": "Brest", "hour": 4'),
    call('{"port": "Brest", "hour": "noon"}'),
    call('{"level": 2}', "depth"),
    call('{"port": "Ys", "hour": 1}'),
    Reply("It is high."),
    Reply(status=400),
]
MORE = [
    Reply(
        calls=(
            Call("tide", '{"port": "Brest", "hour": 9}'),
            Call("tide", '{"hour": 9, "port": "Dover"}'),
        )
    ),
    call('{"answer": "6.9 m in both"}', "final_answer"),
]
CODE = [
    Reply('Thought: I ask for nine.\n<code>\nh = tide("Brest", 9)\nprint(h)\n</code>'),
    Reply("Thought: It is 6.9 m, I am done."),
    Reply("Thought: again\n<code>\nprint(h[0]\n</code>"),
    Reply('Thought: another port\n<code>\nprint(tide("Ys", 9))\n</code>'),
    Reply('<code>\nfinal_answer("6.9 m")\n</code>'),
]


def main(out: Path) -> None:
    """Run the three scripts."""
    plans = [
        ("calls", ToolCallingAgent, CALLS),
        ("parallel", ToolCallingAgent, MORE),
        ("code", CodeAgent, CODE),
    ]
    for name, kind, replies in plans:
        with serve(replies) as server:
            model = OpenAIServerModel(
                "misstep-sample",
                api_base=f"{server.url}/v1",
                api_key="none",
                client_kwargs={"max_retries": 0},
            )
            agent = kind(tools=[tide], model=model, max_steps=8, verbosity_level=0)
            agent.prompt_templates["system_prompt"] = "You read tide tables."
            agent.memory.system_prompt.system_prompt = "You read tide tables."
            try:
                agent.run("How high is the tide in Brest at nine?")
            except AgentError as error:
                print(name, type(error).__name__)
            steps = agent.memory.get_full_steps()
        text = json.dumps(steps).replace(server.url, "http://localhost")
        (out / f"{name}.json").write_text(json.dumps(json.loads(text), indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
