"""Makes the sample: OpenLLMetry's OpenAI instrumentation at work.

    pip install openai==1.99.9 httpx opentelemetry-sdk==1.45.2 \\
        opentelemetry-instrumentation-openai==0.52.6 opentelemetry-exporter-otlp-json-file==0.66b1
    python sample_logs/openllmetry/make.py

Writes `numbered.jsonl` (`gen_ai.prompt.N`, `gen_ai.completion.N`). With version 0.62.4 of the
instrumentation and openai==3.54.0 the same script writes `messages.jsonl`, its newer form, which is
OpenTelemetry's own.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "make"))
logging.disable(logging.CRITICAL)

import ferry
import otlp_files
from opentelemetry.instrumentation.openai import OpenAIInstrumentor

OLD = version("opentelemetry-instrumentation-openai").startswith("0.52")
PATH = HERE / ("numbered.jsonl" if OLD else "messages.jsonl")


def tool_spans(tracer):
    """Spans as Traceloop's tool decorator makes them; they know no call id."""

    @contextmanager
    def span(name: str, call_id: str, arguments: str) -> Iterator[Callable[[str], None]]:
        given = {
            "traceloop.span.kind": "tool",
            "traceloop.entity.name": name,
            "traceloop.entity.input": '{"args": [], "kwargs": ' + arguments + "}",
        }
        with tracer.start_as_current_span(f"{name}.tool", attributes=given) as made:
            yield lambda result: made.set_attribute("traceloop.entity.output", result)

    return span


if __name__ == "__main__":
    otlp_files.tool_spans = tool_spans
    tracing = otlp_files.spans_to(PATH)
    OpenAIInstrumentor().instrument(tracer_provider=tracing)
    chats = [(ferry.MISTAKES, False), (ferry.CUT, True)]
    if OLD:
        chats += [(ferry.CLEAN, False), (ferry.REFUSED, False), (ferry.LIMITED, False)]
    otlp_files.play(tracing, chats, "Desk 5" if OLD else "Desk 6")
    otlp_files.tidy(PATH)
