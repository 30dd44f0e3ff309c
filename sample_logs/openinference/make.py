"""Makes the sample: OpenInference's OpenAI and smolagents instrumentations at work.

    pip install openai==3.54.0 httpx opentelemetry-sdk==1.45.2 smolagents==1.26.0 polars \\
        openinference-instrumentation-openai==0.1.66 \\
        openinference-instrumentation-smolagents==0.1.43 \\
        opentelemetry-exporter-otlp-json-file==0.66b1
    python sample_logs/openinference/make.py

Writes `openai.jsonl` (OTLP) and `agents.jsonl` (an agent that manages another one), and the chats
once more in the two forms in which Phoenix gives them back: `rows.jsonl` (one span a line, with
nested attributes) and `spans.parquet` (a column for each attribute).
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "make"))
logging.disable(logging.CRITICAL)

import ferry
import otlp_files
import polars
from model_server import Call, Reply, serve
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

CHATS = [(ferry.CLEAN, False), (ferry.MISTAKES, False), (ferry.REFUSED, False)]
CHATS += [(ferry.CUT, True), (ferry.LIMITED, False)]
MISTAKES = (ferry.MISTAKES[0], [*ferry.MISTAKES[1][1:3], Reply("I can't find it.")])


def tool_spans(tracer):
    """TOOL spans as OpenInference asks for them."""

    @contextmanager
    def span(name: str, call_id: str, arguments: str) -> Iterator[Callable[[str], None]]:
        given = {
            "openinference.span.kind": "TOOL",
            "tool.name": name,
            "input.value": arguments,
            "input.mime_type": "application/json",
        }
        with tracer.start_as_current_span(name, attributes=given) as made:
            yield lambda result: made.set_attribute("output.value", result)

    return span


class Kept(SpanExporter):
    """Keeps spans as flat rows."""

    def __init__(self) -> None:
        self.rows: list[dict] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take ended spans."""
        for span in spans:
            whole = json.loads(span.to_json())
            attributes = whole["attributes"]
            self.rows.append(
                {
                    "name": whole["name"],
                    "span_kind": attributes.pop("openinference.span.kind", "UNKNOWN"),
                    "parent_id": (whole["parent_id"] or "")[2:] or None,
                    "start_time": whole["start_time"],
                    "end_time": whole["end_time"],
                    "status_code": whole["status"]["status_code"],
                    "status_message": whole["status"].get("description", ""),
                    "events": whole["events"],
                    "context": {
                        "span_id": whole["context"]["span_id"][2:],
                        "trace_id": whole["context"]["trace_id"][2:],
                    },
                    "attributes": attributes,
                }
            )
        return SpanExportResult.SUCCESS


def nested(flat: dict) -> dict:
    """Dotted keys as Phoenix nests them: numbers make lists."""
    root: dict = {}
    for key, value in flat.items():
        at = root
        *path, last = key.split(".")
        for step in path:
            at = at.setdefault(step, {})
        at[last] = value
    return as_lists(root)


def as_lists(value):
    """Objects whose keys are numbers, as lists."""
    if not isinstance(value, dict):
        return value
    inner = {key: as_lists(below) for key, below in value.items()}
    if inner and all(key.isdigit() for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner


def columns(row: dict) -> dict:
    """A row of Phoenix's data frame: a column for each attribute, messages as lists of objects."""
    flat = {key: value for key, value in row.items() if key not in ("attributes", "context")}
    flat |= {f"context.{key}": value for key, value in row["context"].items()}
    flat["events"] = json.dumps(flat["events"])
    deep = nested(row["attributes"])
    for key, value in row["attributes"].items():
        if not any(part.isdigit() for part in key.split(".")):
            flat[f"attributes.{key}"] = value
    for key in ("input_messages", "output_messages", "tools"):
        if key in deep.get("llm", {}):
            flat[f"attributes.llm.{key}"] = json.dumps(deep["llm"][key])
    return flat


def openai() -> None:
    """The chats, three times over."""
    otlp_files.tool_spans = tool_spans
    path = HERE / "openai.jsonl"
    tracing = otlp_files.spans_to(path)
    OpenAIInstrumentor().instrument(tracer_provider=tracing)
    otlp_files.play(tracing, CHATS[1:], "Desk 7")
    otlp_files.tidy(path)


def rows() -> None:
    """The chats as Phoenix gives them back."""
    otlp_files.tool_spans = tool_spans
    kept = Kept()
    tracing = otlp_files.provider(kept)
    OpenAIInstrumentor().instrument(tracer_provider=tracing)
    otlp_files.play(tracing, [CHATS[0], (MISTAKES, False)], "Desk 8")
    table, kept.rows = kept.rows[:3], kept.rows[3:]
    path = HERE / "rows.jsonl"
    lines = (json.dumps({**row, "attributes": nested(row["attributes"])}) for row in kept.rows)
    path.write_text("".join(line + "\n" for line in lines))
    otlp_files.tidy(path)
    frame = polars.DataFrame([columns(row) for row in table], infer_schema_length=None)
    frame.write_parquet(HERE / "spans.parquet")


def agents() -> None:
    """smolagents: a manager with one more agent among its tools."""
    from openinference.instrumentation.smolagents import SmolagentsInstrumentor
    from smolagents import OpenAIServerModel, ToolCallingAgent, tool

    @tool
    def find_ferries(port: str) -> list:
        """Lists the departures to a port.

        Args:
            port: The port.
        """
        return ferry.TIMES[port]

    path = HERE / "agents.jsonl"
    tracing = otlp_files.spans_to(path)
    SmolagentsInstrumentor().instrument(tracer_provider=tracing)
    replies = [
        Reply(calls=(Call("timetable", '{"task": "first ferry to Moss?"}'),)),
        Reply(calls=(Call("find_ferries", '{"port": "Oslo"}'),)),
        Reply(calls=(Call("find_ferries", '{"port": "Moss"}'),)),
        Reply(calls=(Call("final_answer", '{"answer": "09:05"}'),)),
        Reply(calls=(Call("final_answer", '{"answer": "The first one leaves at 09:05."}'),)),
    ]
    with serve(replies) as server:
        model = OpenAIServerModel("misstep-sample", api_base=server.url + "/v1", api_key="none")
        helper = ToolCallingAgent(
            [find_ferries], model, name="timetable", description="Knows the times.", max_steps=4
        )
        desk = ToolCallingAgent([], model, managed_agents=[helper], max_steps=3)
        for agent in (helper, desk):
            agent.prompt_templates["system_prompt"] = "Call tools, then call final_answer."
            agent.prompt_templates["managed_agent"] = {
                "task": "{{task}}",
                "report": "{{final_answer}}",
            }
        desk.run("When is the first ferry to Moss?")
    tracing.shutdown()
    otlp_files.tidy(path)


PARTS = {"openai": openai, "rows": rows, "agents": agents}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        PARTS[sys.argv[1]]()
    else:
        for name in PARTS:
            subprocess.run([sys.executable, __file__, name], check=True)
