"""A small travel desk as a LangChain agent, played against the local model server.

`play(run)` drives the same conversations for every writer that listens to LangChain: a clean
session with parallel calls, malformed arguments, an unknown tool, arguments that break the schema,
a tool's error, a sub-agent, an HTTP error, a cut answer and a refusal. What was played is in
`PLAYED`, so that the tests can count it.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.tools import ToolException, tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from model_server import Call, Reply, serve

SYSTEM = "You are the travel desk of a small inn. Use the tools."
RAIN = {"Oslo": "Oslo: rain, 7 degrees", "Bergen": "Bergen: heavy rain, 8 degrees"}

TALKS: tuple[tuple[str, str, tuple[Reply, ...]], ...] = (
    (
        "desk-1",
        "Will it rain in Oslo and in Bergen tomorrow?",
        (
            Reply(
                calls=(
                    Call("get_weather", '{"city": "Oslo", "day": "tomorrow"}', "call_oslo"),
                    Call("get_weather", '{"day":"tomorrow","city":"Bergen"}', "call_bergen"),
                )
            ),
            Reply("Yes, in both; take a good coat to Bergen."),
        ),
    ),
    (
        "desk-1",
        "And in Turku?",
        (Reply(calls=(Call("get_weather", '{"city": "Turku", "day": ', "call_turku"),)),),
    ),
    (
        "desk-1",
        "That was half a sentence. Please look again.",
        (
            Reply(
                calls=(Call("get_weather", '{"city": "Turku", "day": "tomorrow"}', "call_turku2"),)
            ),
            Reply("Turku stays dry."),
        ),
    ),
    (
        "desk-2",
        "A table for four tonight at the Gull, please.",
        (
            Reply(calls=(Call("reserve_table", '{"place": "Gull", "guests": 4}', "call_reserve"),)),
            Reply(calls=(Call("book_table", '{"place": "Gull"}', "call_short"),)),
            Reply(calls=(Call("book_table", '{"place": "Gull", "guests": 4}', "call_full"),)),
            Reply("The Gull is full tonight, I am sorry."),
        ),
    ),
    (
        "desk-3",
        "What should we see in Turku?",
        (
            Reply(calls=(Call("ask_guide", '{"question": "Sights of Turku?"}', "call_guide"),)),
            Reply(calls=(Call("look_up", '{"topic": "Turku"}', "call_look"),)),
            Reply("The castle and the river."),
            Reply("Our guide says: the castle and the river."),
        ),
    ),
    ("desk-4", "Is the ferry running?", (Reply(status=429),)),
    (
        "desk-5",
        "Tell me the whole history of the inn.",
        (Reply("It was built in", finish="length"),),
    ),
    ("desk-6", "Open the neighbour's safe.", (Reply(refusal="I cannot help with that."),)),
)
"""Thread, what the human says, what the model answers."""


@tool
def get_weather(city: str, day: str) -> str:
    """The weather of a city."""
    return RAIN.get(city, f"{city}: dry, 11 degrees")


@tool
def book_table(place: str, guests: int) -> str:
    """Book a table for some guests."""
    raise ToolException(f"no table for {guests} at {place}")


book_table.handle_tool_error = True


@tool
def look_up(topic: str) -> str:
    """Look a topic up in the guide book."""
    return f"{topic}: a castle, a river, a cathedral"


def desk(url: str) -> Any:
    """The agent, with a guide as its sub-agent."""
    model = ChatOpenAI(model="desk-model", base_url=f"{url}/v1", api_key="none", max_retries=0)
    guide = create_agent(model, [look_up], system_prompt="You are a guide. Be short.", name="guide")

    @tool
    def ask_guide(question: str) -> str:
        """Ask the guide."""
        said = guide.invoke({"messages": [HumanMessage(question)]})
        return str(said["messages"][-1].content)

    tools = [get_weather, book_table, ask_guide]
    return create_agent(
        model, tools, system_prompt=SYSTEM, checkpointer=InMemorySaver(), name="desk"
    )


def play(run: Callable[[Any, str, str, int], None]) -> None:
    """Drive all talks; `run(agent, thread, said, number)` invokes the agent once."""
    replies = [reply for _, _, answers in TALKS for reply in answers]
    with serve(replies) as server:
        agent = desk(server.url)
        for number, (thread, said, _) in enumerate(TALKS):
            run(agent, thread, said, number)
        played = len(server.requests)
    if played != len(replies):
        raise SystemExit(f"{len(replies)} replies were scripted, {played} were asked for")


IDS = re.compile(
    r"(lc_run--?|run--?)?"
    r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|(?<![0-9a-f])[0-9a-f]{16}(?:[0-9a-f]{16})?(?![0-9a-f]))"
)
OURS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"http://127\.0\.0\.1:\d+"), "http://127.0.0.1:8000"),
    (re.compile(r"/[\w./-]*/site-packages/"), "/home/ada/venv/site-packages/"),
    (re.compile(r"/[\w./-]*/sample_logs/"), "/home/ada/desk/"),
    (re.compile(r"Linux-[\w.+-]*"), "Linux"),
    (re.compile(r', ?"revision_id": ?"[^"]*"'), ""),
)
"""What names the machine that made a log."""


class Tidy:
    """Writes logs with the ids that change from run to run numbered, and nothing of ours."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def __call__(self, path: Path, lines: Sequence[str]) -> None:
        text = "\n".join(IDS.sub(self._numbered, line) for line in lines) + "\n"
        for pattern, plain in OURS:
            text = pattern.sub(plain, text)
        data = text.encode()
        path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)

    def _numbered(self, found: re.Match[str]) -> str:
        return (found[1] or "") + self._seen.setdefault(found[2], f"id-{len(self._seen) + 1:04d}")


__all__ = ["TALKS", "Tidy", "desk", "get_weather", "play"]
