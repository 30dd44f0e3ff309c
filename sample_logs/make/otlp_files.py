"""Traces of a script as OTLP/JSON lines, with spans for the tools that the ferry desk runs.

The exporter is OpenTelemetry's own file exporter. What a machine says of itself (process, host,
port) is left out or set to a fixed value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ferry
import httpx
from model_server import serve
from openai import OpenAI, OpenAIError
from opentelemetry import trace
from opentelemetry.exporter.otlp.json.file import FileSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter

RESOURCE = Resource({"service.name": "ferry-desk"})


def provider(exporter: SpanExporter) -> TracerProvider:
    """A tracer provider that hands each span over as it ends."""
    made = TracerProvider(resource=RESOURCE)
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made


def spans_to(path: Path) -> TracerProvider:
    """A tracer provider that writes to `path`, which starts empty."""
    path.unlink(missing_ok=True)
    return provider(FileSpanExporter(path))


def tool_spans(tracer: trace.Tracer) -> Callable[[str, str, str], Any]:
    """Spans as the conventions ask for them; an exception becomes the span's error."""

    @contextmanager
    def span(name: str, call_id: str, arguments: str) -> Iterator[Callable[[str], None]]:
        given = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.call.id": call_id,
            "gen_ai.tool.call.arguments": arguments,
        }
        with tracer.start_as_current_span(f"execute_tool {name}", attributes=given) as made:
            try:
                yield lambda result: made.set_attribute("gen_ai.tool.call.result", result)
            except Exception as error:
                made.set_attribute("error.type", type(error).__name__)
                raise

    return span


def play(tracing: TracerProvider, chats: Iterable[tuple[Any, bool]], desk: str) -> None:
    """Each chat (and whether it streams) under a span of its own, as a web request would be."""
    tracer = tracing.get_tracer("ferry-desk")
    for (question, replies), stream in chats:
        with serve(replies) as server, tracer.start_as_current_span("POST /desk"):
            client = OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
            with suppress(OpenAIError, ValueError, OSError, httpx.HTTPError):
                ferry.chat(client, f"{desk}: {question}", stream=stream, span=tool_spans(tracer))
    tracing.shutdown()


def tidy(*paths: Path) -> None:
    """Takes ports, stack traces, process ids and code paths out of written files."""
    for path in paths:
        text = path.read_text()
        text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8080", text)
        text = re.sub(r'("server\.port","value":\{"intValue":)"\d+"', r'\1"8080"', text)
        text = re.sub(r'("server\.port": )\d+', r"\g<1>8080", text)
        trail = r'Traceback \(most recent call last\)(?:[^"\\]|\\.)*'
        path.write_text(re.sub(trail, "Traceback left out", text))
