"""Makes `rows.jsonl`, `states.jsonl`, `updates.jsonl` and `chunks.json` with langchain 1.4.7,
langchain-core 1.7.2, langchain-openai 1.7.3 and langgraph 1.2.22:

    pip install langchain==1.4.7 langchain-openai==1.7.3 langgraph==1.2.22
    PYTHONPATH=sample_logs/make python sample_logs/langchain/make.py

The conversations of `langchain_desk`: as `messages_to_dict` rows, as `dumps` of the graph's state,
one of them as the updates that the graph streams, and one streamed answer as the chunk that its
pieces add up to. Ids that change with every run are numbered.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from langchain_core.load import dumps
from langchain_core.messages import HumanMessage, messages_to_dict
from langchain_desk import Tidy, desk, get_weather, play
from langchain_openai import ChatOpenAI
from model_server import Call, Reply, serve
from openai import OpenAIError

HERE = Path(__file__).parent


def states() -> dict[str, Any]:
    """The state of each thread after its last turn."""
    found: dict[str, Any] = {}

    def run(agent: Any, thread: str, said: str, number: int) -> None:
        config = {"configurable": {"thread_id": thread}}
        try:
            agent.invoke({"messages": [HumanMessage(said)]}, config)
        except OpenAIError as error:  # the writer's own errors are part of the sample
            print(thread, type(error).__name__)
        found[thread] = agent.get_state(config).values

    play(run)
    return found


def updates() -> list[str]:
    """What a graph streams with `stream_mode="updates"`."""
    replies = [
        Reply(calls=(Call("get_weather", '{"city": "Vaasa"}', "call_vaasa"),)),
        Reply(calls=(Call("get_weather", '{"city": "Vaasa", "day": "today"}', "call_vaasa2"),)),
        Reply("Vaasa stays dry."),
    ]
    config = {"configurable": {"thread_id": "desk-9"}}
    with serve(replies) as server:
        agent = desk(server.url)
        said = {"messages": [HumanMessage("Do I need a coat in Vaasa?")]}
        return [dumps(update) for update in agent.stream(said, config, stream_mode="updates")]


def chunks() -> str:
    """A streamed answer, its pieces added up, with the request before it."""
    calls = (Call("get_weather", '{"city":  "Kemi", "day": "today"}', "call_kemi"),)
    with serve([Reply("I will look.", calls=calls)]) as server:
        model = ChatOpenAI(model="desk-model", base_url=f"{server.url}/v1", api_key="none")
        asked = HumanMessage("And Kemi?")
        pieces = list(model.bind_tools([get_weather]).stream([asked]))
    total = pieces[0]
    for piece in pieces[1:]:
        total = total + piece
    return json.dumps(messages_to_dict([asked, total]), indent=1)


def main() -> None:
    told = states()
    rows = [
        {"thread_id": thread, "messages": messages_to_dict(state["messages"])}
        for thread, state in told.items()
    ]
    tidy = Tidy()
    tidy(HERE / "rows.jsonl", [json.dumps(row) for row in rows])
    tidy(HERE / "states.jsonl", [dumps(state) for state in told.values()])
    tidy(HERE / "updates.jsonl", updates())
    tidy(HERE / "chunks.json", [chunks()])


if __name__ == "__main__":
    main()
