"""Makes the sample: AutoGen's AgentChat at work against the local model server.

    pip install autogen-agentchat==0.7.5 'autogen-ext[openai]==0.7.5'
    python sample_logs/autogen/make.py

Writes `events.log` (AutoGen's event logger, one event a line), `messages.jsonl` (the messages of a
run of one agent, `model_dump_json` each) and `team.json` (the `TaskResult` of two agents that take
turns).
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "make"))

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TaskResult
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import EVENT_LOGGER_NAME
from autogen_ext.models.openai import OpenAIChatCompletionClient
from model_server import Call, Reply, serve


def find_order(order_id: str) -> str:
    """Looks an order up by its number."""
    if not order_id.startswith("A"):
        raise ValueError(f"no order {order_id}")
    return f"{order_id} is shipped"


def quote_delivery(order_id: str, express: bool) -> int:
    """Days until an order arrives."""
    return 1 if express else 4


SOLO = [
    Reply(
        "I look.",
        calls=(
            Call("find_order", '{"order_id": "A17"}'),
            Call("quote_delivery", '{"order_id": "A17",  "express": true}'),
        ),
    ),
    Reply(calls=(Call("find_order", '{"order_id": "A17"'),)),
    Reply(calls=(Call("quote_delivery", '{"order_id": "A17", "express": "very"}'),)),
    Reply(calls=(Call("cancel_order", '{"order_id": "A17"}'),)),
    Reply(calls=(Call("find_order", '{"order_id": "C99"}'),)),
    Reply("A17 is shipped and arrives tomorrow."),
]
TEAM = [
    Reply(calls=(Call("find_order", '{"order_id": "A20"}'),)),
    Reply("A20 is shipped."),
    Reply("Right, and politely said. APPROVE"),
]
LOGGED = [
    Reply(calls=(Call("find_order", '{"order_id": "A31"}'),)),
    Reply(calls=(Call("quote_delivery", "{'order_id': 'A31'}"),)),
    Reply(calls=(Call("quote_delivery", '{"order_id": "A31"}'),)),
    Reply("It may take a while: A31 is", finish="length"),
]
REFUSED = [Reply(refusal="I cannot help with that.")]
DOWN = [Reply(status=500)]


def client(url: str) -> OpenAIChatCompletionClient:
    about = {
        "vision": False,
        "function_calling": True,
        "json_output": True,
        "family": "unknown",
        "structured_output": True,
    }
    return OpenAIChatCompletionClient(
        model="misstep-sample",
        base_url=f"{url}/v1",
        api_key="none",
        model_info=about,
        max_retries=0,
    )


def support(url: str, rounds: int) -> AssistantAgent:
    return AssistantAgent(
        "support",
        client(url),
        tools=[find_order, quote_delivery],
        system_message="You answer questions about orders.",
        reflect_on_tool_use=True,
        max_tool_iterations=rounds,
    )


async def solo() -> None:
    with serve(SOLO) as server:
        result = await support(server.url, 6).run(task="Where is order A17?")
    text = "".join(message.model_dump_json() + "\n" for message in result.messages)
    (HERE / "messages.jsonl").write_text(text)


async def team() -> None:
    with serve(TEAM) as server:
        critic = AssistantAgent("critic", client(server.url), system_message="You check answers.")
        ends = TextMentionTermination("APPROVE") | MaxMessageTermination(8)
        both = RoundRobinGroupChat([support(server.url, 2), critic], termination_condition=ends)
        result: TaskResult = await both.run(task="Where is order A20?")
    (HERE / "team.json").write_text(result.model_dump_json(indent=1) + "\n")


async def logged(replies: list[Reply], task: str) -> None:
    with serve(replies) as server:
        try:
            await support(server.url, 4).run(task=task)
        except Exception as error:  # noqa: BLE001  # a request that failed leaves no trace in the log
            print(type(error).__name__, file=sys.stderr)


async def main() -> None:
    await solo()
    await team()
    handler = logging.FileHandler(HERE / "events.log", mode="w")
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger(EVENT_LOGGER_NAME)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    await logged(LOGGED, "Where is order A31?")
    await logged(REFUSED, "Tell me something dangerous.")
    await logged(DOWN, "Are you there?")


if __name__ == "__main__":
    asyncio.run(main())
