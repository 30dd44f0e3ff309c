"""Makes the logs of this folder with langfuse 5.0.4 and langchain 1.4.7:

    pip install langfuse==5.0.4 langchain==1.4.7 langchain-openai==1.7.3 langgraph==1.2.22
    PYTHONPATH=sample_logs/make python sample_logs/langfuse/make.py

The conversations of `langchain_desk`, traced by Langfuse's LangChain handler, and one by its OpenAI
client, to a local server that takes the spans (OTLP) and the scores. The SDK writes every input,
output and name; the server only lays them out as Langfuse's exports do: `traces.json` holds
`{trace, observations}` of the first threads, `observations.jsonl.gz` and `scores.jsonl` are rows as
the blob export writes them. Ids are numbered.
"""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from langchain_desk import Tidy, play
from model_server import Call, Reply, serve
from openai import OpenAIError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

HERE = Path(__file__).parent
OPENAI = (
    Reply(calls=(Call("count_keys", '{"floor": "two"}', "call_keys"),)),
    Reply(status=500),
)
KEYS = {
    "type": "function",
    "function": {
        "name": "count_keys",
        "description": "Keys that hang on a floor's board.",
        "parameters": {
            "type": "object",
            "properties": {"floor": {"type": "integer"}},
            "required": ["floor"],
        },
    },
}


class Store:
    """What the SDK sent."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.scores: list[dict[str, Any]] = []

    def observations(self) -> list[dict[str, Any]]:
        """The spans, laid out as observations of the API."""
        return [_observation(span) for span in self.spans]


def _observation(span: Any) -> dict[str, Any]:
    told = {a.key: _value(a.value) for a in span.attributes}
    meta = {
        key.removeprefix("langfuse.observation.metadata."): value
        for key, value in told.items()
        if key.startswith("langfuse.observation.metadata.")
    }
    kind = "langfuse.observation."
    return {
        "id": span.span_id.hex(),
        "traceId": span.trace_id.hex(),
        "startTime": _time(span.start_time_unix_nano),
        "endTime": _time(span.end_time_unix_nano),
        "parentObservationId": span.parent_span_id.hex() or None,
        "type": str(told.get(f"{kind}type", "span")).upper(),
        "name": span.name,
        "level": told.get(f"{kind}level", "DEFAULT"),
        "statusMessage": told.get(f"{kind}status_message"),
        "input": told.get(f"{kind}input"),
        "output": told.get(f"{kind}output"),
        "model": told.get(f"{kind}model.name"),
        "modelParameters": json.loads(told.get(f"{kind}model.parameters", "{}")),
        "usageDetails": json.loads(told.get(f"{kind}usage_details", "{}")),
        "metadata": json.dumps(meta),
        "sessionId": told.get("session.id"),
        "traceName": told.get("langfuse.trace.name"),
    }


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(v) for v in value.array_value.values]
    return getattr(value, kind) if kind else None


def _time(nanoseconds: int) -> str:
    at = datetime.fromtimestamp(nanoseconds / 1e9, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@contextmanager
def langfuse() -> Iterator[tuple[str, Store]]:
    """A server that takes what the SDK sends."""
    store = Store()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                data = gzip.decompress(data)
            if self.path.endswith("/v1/traces"):
                got = ExportTraceServiceRequest.FromString(data)
                for resource in got.resource_spans:
                    for scope in resource.scope_spans:
                        store.spans.extend(scope.spans)
                self._send(b"", "application/x-protobuf")
                return
            body = json.loads(data)
            for event in body if isinstance(body, list) else body.get("batch", []):
                store.scores.append(event.get("body", event))
            self._send(b'{"successes": [], "errors": []}', "application/json")

        def _send(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}", store
    finally:
        http.shutdown()
        http.server_close()


def main() -> None:
    with langfuse() as (url, store):
        os.environ |= {
            "LANGFUSE_HOST": url,
            "LANGFUSE_BASE_URL": url,
            "LANGFUSE_PUBLIC_KEY": "pk-lf-none",
            "LANGFUSE_SECRET_KEY": "sk-lf-none",
        }
        from langchain_core.messages import HumanMessage
        from langfuse import get_client
        from langfuse.langchain import CallbackHandler

        client = get_client()

        def run(agent: Any, thread: str, said: str, number: int) -> None:
            config = {
                "configurable": {"thread_id": thread},
                "callbacks": [CallbackHandler()],
                "metadata": {"langfuse_session_id": thread},
                "run_name": "desk",
            }
            try:
                agent.invoke({"messages": [HumanMessage(said)]}, config)
            except OpenAIError as error:  # the writer's own errors are part of the sample
                print(thread, type(error).__name__)

        play(run)
        counted()
        client.flush()
        for row in store.observations():
            if row["sessionId"] in ("desk-1", "desk-2") and row["parentObservationId"] is None:
                value = 1 if row["sessionId"] == "desk-1" else 0
                client.create_score(
                    name="user-feedback", value=value, trace_id=row["traceId"], data_type="BOOLEAN"
                )
        client.flush()
        write(store)


def counted() -> None:
    """One conversation through Langfuse's OpenAI client."""
    from langfuse.openai import OpenAI

    with serve(OPENAI) as server:
        client = OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        said: list[Any] = [{"role": "user", "content": "How many keys hang on floor two?"}]
        for _ in OPENAI:
            try:
                answer = client.chat.completions.create(
                    model="desk-model", messages=said, tools=[KEYS], temperature=0.5
                )
            except OpenAIError as error:  # the writer's own errors are part of the sample
                print("keys", type(error).__name__)
                return
            said.append(answer.choices[0].message.model_dump(exclude_none=True))
            result = "error: floor must be a number"
            said.append({"role": "tool", "tool_call_id": "call_keys", "content": result})


def write(store: Store) -> None:
    rows = store.observations()
    tidy = Tidy()
    whole, rest = [], []
    for trace in dict.fromkeys(row["traceId"] for row in rows):
        held = [row for row in rows if row["traceId"] == trace]
        session = next((row["sessionId"] for row in held if row["sessionId"]), None)
        if session in ("desk-3", "desk-4", None):
            whole.append(_trace(trace, session, held))
        else:
            rest.extend(_snake(row) for row in held)
    tidy(HERE / "traces.json", [json.dumps(whole, indent=1)])
    tidy(HERE / "observations.jsonl.gz", [json.dumps(row) for row in rest])
    scores = [
        {
            "id": score["id"],
            "timestamp": "2026-01-01 00:00:00.000000",
            "trace_id": score["traceId"],
            "observation_id": None,
            "name": score["name"],
            "value": score["value"],
            "source": "API",
            "data_type": score["dataType"],
        }
        for score in store.scores
    ]
    tidy(HERE / "scores.jsonl", [json.dumps(score) for score in scores])


def _trace(trace: str, session: str | None, rows: list[dict[str, Any]]) -> dict[str, Any]:
    root = next(row for row in rows if row["parentObservationId"] is None)
    kept = [{k: v for k, v in r.items() if k not in ("sessionId", "traceName")} for r in rows]
    told = {
        "id": trace,
        "name": root["traceName"] or root["name"],
        "timestamp": root["startTime"],
        "sessionId": session,
        "input": root["input"],
        "output": root["output"],
        "tags": [],
        "scores": [],
    }
    return {"trace": told, "observations": kept}


SNAKE = {
    "traceId": "trace_id",
    "startTime": "start_time",
    "endTime": "end_time",
    "parentObservationId": "parent_observation_id",
    "statusMessage": "status_message",
    "modelParameters": "model_parameters",
    "usageDetails": "usage_details",
    "sessionId": "session_id",
    "traceName": "trace_name",
}


def _snake(row: dict[str, Any]) -> dict[str, Any]:
    return {SNAKE.get(key, key): value for key, value in row.items()}


if __name__ == "__main__":
    main()
