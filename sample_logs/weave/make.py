"""Makes `calls.jsonl.gz` and `calls.csv` with weave 0.54.0 and openai 2.54.0:

    pip install weave==0.54.0 openai==2.54.0
    PYTHONPATH=sample_logs/make python sample_logs/weave/make.py

An agent as plain functions under `@weave.op` and the patched OpenAI client; the SDK sends its
finished calls to a local server, which writes them as they came, one a line, without the attributes
(the machine) and the tracebacks. `calls.csv` holds the calls of the last conversation as the table
of the page exports them: nested fields as columns (`inputs.messages`). Ids are numbered.
"""

from __future__ import annotations

import csv
import gzip
import importlib
import io
import json
import os
import pkgutil
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from model_server import Call, Reply, serve

HERE = Path(__file__).parent
SIZES = {"hall": 40, "attic": 12}


def tool(name: str, about: str, **fields: str) -> dict[str, Any]:
    """A tool as the API wants it."""
    properties = {field: {"type": kind} for field, kind in fields.items()}
    schema = {"type": "object", "properties": properties, "required": list(fields)}
    return {
        "type": "function",
        "function": {"name": name, "description": about, "parameters": schema},
    }


TOOLS = [
    tool("room_size", "Square metres of a room.", room="string"),
    tool("paint_needed", "Litres of paint.", metres="number", coats="integer"),
    tool("ask_colour", "Ask the colour expert.", question="string"),
]
EXPERT = [tool("swatch", "The code of a colour.", colour="string")]
HALL = (
    Reply(
        calls=(
            Call("room_size", '{"room": "hall"}', "call_hall"),
            Call("room_size", '{"room": "cellar"}', "call_cellar"),
        )
    ),
    Reply(calls=(Call("paint_needed", '{"metres": 40, "coats": "two"}', "call_coats"),)),
    Reply(calls=(Call("paint_needed", '{"metres": 40, "coats": 2', "call_open"),)),
    Reply(calls=(Call("ask_colour", '{"question": "A warm white?"}', "call_ask"),)),
    Reply(calls=(Call("swatch", '{"colour": "ivory"}', "call_swatch"),)),
    Reply("Take ivory, N-103."),
    Reply("Eight litres of ivory, N-103."),
)
ATTIC = (Reply(calls=(Call("room_sise", '{"room": "attic"}', "call_sise"),)), Reply(status=500))


class Store:
    """What the SDK sent."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []


@contextmanager
def weave_server() -> Iterator[tuple[str, Store]]:
    """A server that takes what the SDK sends."""
    store = Store()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._send({"min_required_weave_python_version": "0.0.1"})

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path.endswith("/calls/complete"):
                store.calls.extend(json.loads(data)["batch"])
            self._send({"digest": "none", "row_digests": [], "res": []})

        def _send(self, value: Any) -> None:
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}", store
    finally:
        http.shutdown()
        http.server_close()


def main() -> None:
    with weave_server() as (url, store):
        os.environ |= {
            "WF_TRACE_SERVER_URL": url,
            "WANDB_API_KEY": "n" * 40,
            "WANDB_BASE_URL": url,
            "WEAVE_CAPTURE_CODE": "false",
        }
        client = connect(url)
        play()
        client.flush()
        time.sleep(1)
        write(sorted(store.calls, key=lambda call: call["started_at"]))


def connect(url: str) -> Any:
    """A weave client without an account."""
    import weave.vendor.weave_server_sdk.resources as resources
    from weave.integrations.openai.openai_sdk import get_openai_patcher
    from weave.trace import weave_client
    from weave.trace.context import weave_client_context
    from weave.trace_server_bindings.remote_http_trace_server import RemoteHTTPTraceServer

    for module in pkgutil.iter_modules(resources.__path__):
        importlib.import_module(f"{resources.__name__}.{module.name}")
    server = RemoteHTTPTraceServer(url, should_batch=True)
    client = weave_client.WeaveClient("ada", "paint", server, ensure_project_exists=False)
    weave_client_context.set_weave_client_global(client)
    get_openai_patcher().attempt_patch()
    return client


def play() -> None:
    import weave
    from openai import OpenAI, OpenAIError

    @weave.op
    def room_size(room: str) -> int:
        if room not in SIZES:
            raise KeyError(room)
        return SIZES[room]

    @weave.op
    def paint_needed(metres: float, coats: int) -> float:
        if not isinstance(coats, int):
            raise TypeError("coats must be an integer")
        return metres * coats / 10

    @weave.op
    def swatch(colour: str) -> str:
        return f"{colour}: N-103"

    def rounds(url: str, said: list[Any], tools: list[Any], known: dict[str, Any]) -> str:
        client = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        while True:
            answer = client.chat.completions.create(model="paint-model", messages=said, tools=tools)
            message = answer.choices[0].message
            said = [*said, message.model_dump(exclude_none=True)]
            if not message.tool_calls:
                return message.content or ""
            for call in message.tool_calls:
                function: Any = call.function
                said.append(
                    {
                        "role": "tool",
                        "tool_call_id": call.id,
                        "content": result(known, function.name, function.arguments),
                    }
                )

    @weave.op
    def painter(url: str, question: str) -> str:
        @weave.op
        def ask_colour(question: str) -> str:
            said = [{"role": "user", "content": question}]
            return rounds(url, said, EXPERT, {"swatch": swatch})

        known = {"room_size": room_size, "paint_needed": paint_needed, "ask_colour": ask_colour}
        said = [
            {"role": "system", "content": "You plan the painting of an inn."},
            {"role": "user", "content": question},
        ]
        return rounds(url, said, TOOLS, known)

    for replies, question, thread in (
        (HALL, "How much paint for the hall, and which white?", "paint-1"),
        (ATTIC, "And for the attic?", "paint-2"),
    ):
        with serve(replies) as server, weave.thread(thread):
            try:
                print(painter(server.url, question))
            except OpenAIError as error:  # the writer's own errors are part of the sample
                print(type(error).__name__)


def result(known: dict[str, Any], name: str, arguments: str) -> str:
    try:
        return str(known[name](**json.loads(arguments)))
    except (LookupError, TypeError, ValueError) as error:
        return f"error: {error}"


IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def write(calls: list[dict[str, Any]]) -> None:
    for call in calls:
        call.pop("attributes", None)
        if call["exception"]:
            told = json.loads(call["exception"])
            call["exception"] = json.dumps({**told, "traceback": []})
    seen: dict[str, str] = {}
    lines = [tidied(json.dumps(call), seen) for call in calls]
    rows = [json.loads(line) for line in lines]
    first = [json.dumps(row) + "\n" for row in rows if row["thread_id"] != "paint-2"]
    (HERE / "calls.jsonl.gz").write_bytes(gzip.compress("".join(first).encode(), mtime=0))
    last = [flat(row) for row in rows if row["thread_id"] == "paint-2"]
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in last for name in row))
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(last)
    (HERE / "calls.csv").write_text(text.getvalue(), "utf-8")


def tidied(line: str, seen: dict[str, str]) -> str:
    line = IDS.sub(lambda m: seen.setdefault(m[0], f"id-{len(seen) + 1:04d}"), line)
    return re.sub(r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:8000", line)


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """A call as columns; what lies deeper is JSON text."""
    made: dict[str, Any] = {}
    for key, value in row.items():
        if key in ("inputs", "output") and isinstance(value, dict):
            told = {f"{key}.{name}": held for name, held in value.items()}
        else:
            told = {key: value}
        for name, held in told.items():
            made[name] = json.dumps(held) if isinstance(held, (dict, list)) else held
    return made


if __name__ == "__main__":
    main()
