"""Makes the sample: OpenTelemetry's OpenAI instrumentation and pydantic-ai at work.

    pip install openai==3.54.0 httpx opentelemetry-sdk==1.45.2 pydantic-ai-slim==2.68.0 \\
        opentelemetry-instrumentation-genai-openai==1.3b0 \\
        opentelemetry-exporter-otlp-json-file==0.66b1
    python sample_logs/otel-genai/make.py

Writes `openai_messages.jsonl` (messages in attributes), `pydantic_ai.jsonl` (an agent with a
sub-agent; spans of agents, requests and tools) and `console.json` (the first chat again, as the
SDK's console exporter prints it). `make_events.py` and `make_vercel.mjs` make the other files.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "make"))
logging.disable(logging.CRITICAL)

import ferry
from model_server import Call, Reply, serve
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace.export import ConsoleSpanExporter
from otlp_files import play, provider, spans_to, tidy

CHATS = ((ferry.CLEAN, False), (ferry.MISTAKES, False), (ferry.REFUSED, False))
CHATS += ((ferry.CUT, True), (ferry.LIMITED, False))


def messages() -> None:
    """Messages in attributes, the newest form."""
    path = HERE / "openai_messages.jsonl"
    tracing = spans_to(path)
    OpenAIInstrumentor().instrument(tracer_provider=tracing)
    play(tracing, CHATS, "Desk 1")
    tidy(path)


def console() -> None:
    """The first chat as the console exporter prints it."""
    path = HERE / "console.json"
    with path.open("w") as out:
        tracing = provider(ConsoleSpanExporter(out=out))
        OpenAIInstrumentor().instrument(tracer_provider=tracing)
        play(tracing, CHATS[:1], "Desk 3")
    tidy(path)


def pydantic_ai() -> None:
    """An agent that asks another one; the library's own spans."""
    from pydantic_ai import Agent, ModelRetry
    from pydantic_ai.models.instrumented import InstrumentationSettings
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    path = HERE / "pydantic_ai.jsonl"
    tracing = spans_to(path)
    replies = [
        Reply(calls=(Call("ask_timetable", '{"question": "first ferry to Skagen?"}'),)),
        Reply(calls=(Call("departures", '{"port": "Oslo"}'),)),
        Reply(calls=(Call("departures", '{"port": "Skagen"}'),)),
        Reply("07:40"),
        Reply(calls=(Call("book", '{"time": "07:40", "seats": "many"}'),)),
        Reply(calls=(Call("book", '{"time": "07:40", "seats": 2'),)),
        Reply(calls=(Call("book", '{"time": "07:40", "seats": 2}'),)),
        Reply("Two seats on the 07:40 are booked."),
    ]
    with serve(replies) as server:
        shown = InstrumentationSettings(tracer_provider=tracing)
        host = OpenAIProvider(base_url=server.url + "/v1", api_key="none")
        model = OpenAIChatModel("misstep-sample", provider=host)
        timetable = Agent(model, name="timetable", instructions="Answer with a time.", retries=3)
        desk = Agent(model, name="desk", instructions=ferry.SYSTEM, retries=3)

        @timetable.tool_plain
        def departures(port: str) -> list[str]:
            """Lists departures to a port."""
            if port not in ferry.TIMES:
                raise ModelRetry(f"no ferries to {port}; ask for Skagen or Moss")
            return ferry.TIMES[port]

        @desk.tool_plain
        async def ask_timetable(question: str) -> str:
            """Asks the timetable."""
            return (await timetable.run(question)).output

        @desk.tool_plain
        def book(time: str, seats: int) -> str:
            """Books seats."""
            return f"booked {seats} on {time}"

        for agent in (timetable, desk):
            agent.instrument = shown
        desk.run_sync("Two seats on the first ferry to Skagen, please.")
    tracing.shutdown()
    tidy(path)


PARTS = {"messages": messages, "console": console, "pydantic_ai": pydantic_ai}
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

if __name__ == "__main__":
    if len(sys.argv) > 1:
        PARTS[sys.argv[1]]()
    else:
        for name in PARTS:
            given = {**os.environ, CAPTURE: "SPAN_ONLY"}
            subprocess.run([sys.executable, __file__, name], env=given, check=True)
