"""Makes `batches.jsonl.gz` and `runs.jsonl.gz` with langsmith 0.15.0 and langchain 1.4.7:

    pip install langsmith==0.15.0 langchain==1.4.7 langchain-openai==1.7.3 langgraph==1.2.22
    PYTHONPATH=sample_logs/make python sample_logs/langsmith/make.py

The conversations of `langchain_desk`, traced by the SDK to a local server. `batches` holds the
bodies that the SDK sent to `/runs/batch`, one a line, as they came. `runs` holds what
`Client.list_runs` gives for two traces of a second round, with the statistics of the feedback that
was sent through the SDK. Ids that change with every run are numbered.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from langchain_desk import Tidy, play
from openai import OpenAIError

HERE = Path(__file__).parent
INFO = {
    "version": "0.10.0",
    "batch_ingest_config": {
        "use_multipart_endpoint": False,
        "scale_up_qsize_trigger": 1000,
        "scale_up_nthreads_limit": 1,
        "scale_down_nempty_trigger": 4,
        "size_limit": 20,
        "size_limit_bytes": 2000000,
    },
}


class Store:
    """What the SDK sent."""

    def __init__(self) -> None:
        self.batches: list[str] = []
        self.feedback: list[dict[str, Any]] = []
        self.asked: list[str] = []

    def runs(self) -> dict[str, dict[str, Any]]:
        """Every run, its posts and patches merged."""
        merged: dict[str, dict[str, Any]] = {}
        for text in self.batches:
            batch = json.loads(text)
            for run in batch.get("post", []) + batch.get("patch", []):
                known = merged.setdefault(run["id"], {})
                known.update({k: v for k, v in run.items() if v is not None})
        return merged

    def listed(self, trace: str) -> list[dict[str, Any]]:
        """The runs of a trace as the API gives them."""
        stats: dict[str, dict[str, Any]] = {}
        for entry in self.feedback:
            stats.setdefault(entry["run_id"], {})[entry["key"]] = {"n": 1, "avg": entry["score"]}
        return [
            {
                "session_id": "00000000-0000-0000-0000-000000000001",
                "app_path": "/",
                "status": "error" if run.get("error") else "success",
                "feedback_stats": stats.get(id),
                **run,
            }
            for id, run in self.runs().items()
            if run.get("trace_id") == trace
        ]


@contextmanager
def langsmith() -> Iterator[tuple[str, Store]]:
    """A server that takes what the SDK sends."""
    store = Store()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._send(INFO if "info" in self.path else {})

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            answer: Any = {}
            if self.path.endswith("/runs/batch"):
                store.batches.append(text)
            elif "feedback" in self.path:
                store.feedback.append(json.loads(text))
            elif self.path.endswith("/runs/query"):
                answer = {"runs": store.listed(json.loads(text)["trace"]), "cursors": {}}
            else:
                store.asked.append(self.path)
            self._send(answer)

        def _send(self, value: Any) -> None:
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}", store
    finally:
        http.shutdown()
        http.server_close()


def main() -> None:
    with langsmith() as (url, store):
        os.environ |= {
            "LANGSMITH_TRACING": "true",
            "LANGSMITH_ENDPOINT": url,
            "LANGSMITH_API_KEY": "none",
            "LANGSMITH_PROJECT": "desk",
        }
        from langchain_core.messages import HumanMessage
        from langchain_core.tracers.langchain import wait_for_all_tracers
        from langsmith import Client

        client = Client()

        def run(agent: Any, thread: str, said: str, number: int) -> None:
            config = {"configurable": {"thread_id": thread}, "metadata": {"turn": number}}
            try:
                agent.invoke({"messages": [HumanMessage(said)]}, config)
            except OpenAIError as error:  # the writer's own errors are part of the sample
                print(thread, type(error).__name__)

        tidy = Tidy()
        play(run)
        wait_for_all_tracers()
        tidy(HERE / "batches.jsonl.gz", store.batches)
        known = set(store.runs())
        play(run)
        wait_for_all_tracers()
        roots = [r for r in store.runs().values() if not r.get("parent_run_id")]
        marked = [r for r in roots if r["id"] not in known and _thread(r) in ("desk-2", "desk-3")]
        for root in marked:
            score = 0.0 if _thread(root) == "desk-2" else 1.0
            client.create_feedback(root["id"], key="user_score", score=score)
        client.flush()
        rows = [r for root in marked for r in client.list_runs(trace_id=root["trace_id"])]
        tidy(HERE / "runs.jsonl.gz", [row.model_dump_json() for row in rows])


def _thread(run: dict[str, Any]) -> Any:
    return run.get("extra", {}).get("metadata", {}).get("thread_id")


if __name__ == "__main__":
    main()
