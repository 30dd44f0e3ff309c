"""Makes the sample: the OpenAI Agents SDK at work, its trace processor replaced by a file.

    pip install openai-agents==0.24.0
    python sample_logs/openai-agents/make.py

Writes `chat.jsonl` (chat completions: generation spans), one `export()` of a trace or span a line,
and `responses.jsonl` (Responses: the SDK exports no content there, so the processor adds the input
and the response, as loggers of others do).
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "make"))
logging.disable(logging.CRITICAL)

import ferry
from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
    set_trace_processors,
)
from agents.exceptions import AgentsException
from agents.tracing import TracingProcessor
from model_server import Call, Reply, serve
from openai import AsyncOpenAI, OpenAIError


class Lines(TracingProcessor):
    """Writes what the SDK would send to its backend."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)

    def _write(self, line: dict) -> None:
        text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8080", json.dumps(line, default=str))
        with self._path.open("a") as out:
            out.write(text + "\n")

    def on_trace_start(self, trace) -> None:
        """A trace begins."""
        self._write(trace.export())

    def on_span_end(self, span) -> None:
        """A span ends."""
        line = span.export()
        data = span.span_data
        if data.type == "response" and data.response is not None:
            line["span_data"]["input"] = data.input
            line["span_data"]["response"] = data.response.model_dump(mode="json")
        self._write(line)

    def on_trace_end(self, trace) -> None:
        """Nothing to do."""

    def on_span_start(self, span) -> None:
        """Nothing to do."""

    def shutdown(self) -> None:
        """Nothing to do."""

    def force_flush(self) -> None:
        """Nothing to do."""


@function_tool
def find_ferries(port: str, limit: int = 5) -> list[str]:
    """Lists the departures to a port."""
    return ferry.find_ferries(port, limit)


@function_tool
def book_seat(port: str, time: str, seats: int) -> str:
    """Books seats on one departure."""
    return ferry.book_seat(port, time, seats)


async def play(model_class, replies, question: str, group: str, *, nested: bool = False) -> None:
    """One run of the desk; `nested` gives it an agent as a tool, and one to hand over to."""
    with serve(replies) as server:
        client = AsyncOpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
        model = model_class("misstep-sample", client)
        tools, others = [find_ferries, book_seat], []
        if nested:
            clock = Agent(name="Timetable", instructions="Answer with a time.", model=model,
                          tools=[find_ferries])  # fmt: skip
            tools = [clock.as_tool("ask_timetable", "Asks the timetable.")]
            others = [
                Agent(name="Booking Clerk", instructions="Book.", model=model, tools=[book_seat])
            ]
        desk = Agent(
            name="Desk", instructions=ferry.SYSTEM, model=model, tools=tools, handoffs=others
        )
        config = RunConfig(workflow_name="ferry desk", group_id=group)
        with suppress(AgentsException, OpenAIError):
            await Runner.run(desk, question, run_config=config)


NESTED = [
    Reply(calls=(Call("ask_timetable", '{"input": "first ferry to Moss?"}'),)),
    Reply(calls=(Call("find_ferries", '{"port": "Moss", "limit": 1}'),)),
    Reply("09:05"),
    Reply(calls=(Call("transfer_to_booking_clerk", "{}"),)),
    Reply(calls=(Call("book_seat", '{"port": "Moss", "time": "09:05", "seats": 1}'),)),
    Reply("The booking system is down."),
]
WRONG = [ferry.MISTAKES[1][0], *ferry.MISTAKES[1][2:]]
UNKNOWN = [ferry.MISTAKES[1][1]]


async def chat() -> None:
    """Chat completions."""
    set_trace_processors([Lines(HERE / "chat.jsonl")])
    model = OpenAIChatCompletionsModel
    await play(model, ferry.CLEAN[1], "Desk 10: When do ferries leave?", "desk-10-a")
    await play(model, WRONG, "Desk 10: Book two seats to Moss.", "desk-10-b")
    await play(model, UNKNOWN, "Desk 10: Any ferry today?", "desk-10-c")
    await play(
        model, NESTED, "Desk 10: One seat on the first ferry to Moss.", "desk-10-d", nested=True
    )
    await play(model, ferry.LIMITED[1], "Desk 10: Is the 13:15 on time?", "desk-10-e")


async def responses() -> None:
    """The Responses API."""
    set_trace_processors([Lines(HERE / "responses.jsonl")])
    model = OpenAIResponsesModel
    await play(model, ferry.CLEAN[1], "Desk 11: When do ferries leave?", "desk-11-a")
    await play(model, WRONG, "Desk 11: Book two seats to Moss.", "desk-11-b")
    await play(model, ferry.REFUSED[1], "Desk 11: Threaten the captain.", "desk-11-c")


if __name__ == "__main__":
    asyncio.run(chat())
    asyncio.run(responses())
