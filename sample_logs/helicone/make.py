"""Makes `requests.jsonl` and `requests.csv` after Helicone's documents:

    pip install openai==2.54.0 anthropic==2.12.0
    PYTHONPATH=sample_logs/make python sample_logs/helicone/make.py

Helicone is a proxy in a cloud, so the rows are written here, with the fields of its request API and
of its export tool. The bodies in them are what the real OpenAI and Anthropic clients sent and got,
taken where the proxy would stand. The CSV has the columns of the export tool, which leaves out the
response's body.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import httpx
import httpx2
from anthropic import Anthropic
from model_server import Call, Reply, serve
from openai import OpenAI, OpenAIError

HERE = Path(__file__).parent
COLUMNS = (
    *("response_id", "response_created_at", "response_status", "request_created_at"),
    *("request_body", "request_properties", "request_user_id", "model", "prompt_tokens"),
    *("completion_tokens", "latency", "cost"),
)
FIND = {
    "name": "find_book",
    "description": "Find a book by its author.",
    "parameters": {
        "type": "object",
        "properties": {"author": {"type": "string"}, "copies": {"type": "integer"}},
        "required": ["author"],
        "additionalProperties": False,
    },
}
LOAN = (
    Reply(calls=(Call("find_book", '{"author": "Jansson", "copies": "all"}', "call_jansson"),)),
    Reply(calls=(Call("find_book", '{"author": "Jansson"', "call_cut"),)),
    Reply(calls=(Call("search_book", '{"author": "Jansson"}', "call_search"),)),
    Reply("We have two books by Jansson."),
)
SHELF = (
    Reply(calls=(Call("find_book", '{"author": "Waltari"}', "toolu_waltari"),)),
    Reply("One book by Waltari."),
)


class Rows:
    """What passes the proxy."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.session = ""

    def client(self, module: Any) -> Any:
        """A client whose answers pass by here; the two SDKs build on different modules."""
        return module.Client(event_hooks={"response": [self._keep]})

    def _keep(self, response: Any) -> None:
        response.read()
        number = len(self.rows) + 1
        body = json.loads(response.request.content)
        text = response.text
        answer = json.loads(text) if text[:1] in "{[" else text
        usage = answer.get("usage", {}) if isinstance(answer, dict) else {}
        self.rows.append(
            {
                "response_id": f"00000000-0000-4000-8000-{number:012d}",
                "response_created_at": f"2026-01-01T10:00:{number:02d}.500Z",
                "response_body": answer,
                "response_status": response.status_code,
                "response_model": body.get("model"),
                "request_id": f"10000000-0000-4000-8000-{number:012d}",
                "request_created_at": f"2026-01-01T10:00:{number:02d}.000Z",
                "request_body": body,
                "request_path": response.request.url.path,
                "request_user_id": "ada",
                "request_properties": {
                    "Helicone-Session-Id": self.session,
                    "Helicone-Session-Path": "/loan",
                    "Helicone-Session-Name": "library",
                },
                "request_model": body.get("model"),
                "provider": "ANTHROPIC" if "/messages" in text else "OPENAI",
                "delay_ms": 500,
                "prompt_tokens": usage.get("prompt_tokens", usage.get("input_tokens")),
                "completion_tokens": usage.get("completion_tokens", usage.get("output_tokens")),
                "model": body.get("model"),
                "cost": 0,
                "feedback_rating": None,
                "scores": {},
            }
        )


def openai(rows: Rows) -> None:
    """A session, then a cut answer, a failed request and a stream."""
    rows.session = "library-1"
    said: list[Any] = [{"role": "user", "content": "What do you have by Jansson?"}]
    tools: list[Any] = [{"type": "function", "function": FIND}]
    with serve(LOAN) as server:
        for _ in LOAN:
            client = OpenAI(
                base_url=f"{server.url}/v1", api_key="none", http_client=rows.client(httpx)
            )
            made = client.chat.completions.create(model="shelf-model", messages=said, tools=tools)
            message = made.choices[0].message
            said = [*said, message.model_dump(exclude_none=True)]
            for call in message.tool_calls or ():
                said.append({"role": "tool", "tool_call_id": call.id, "content": "error: not so"})
    rows.rows[-1]["feedback_rating"] = False
    for session, reply, stream in (
        ("library-2", Reply("We open", finish="length"), False),
        ("library-3", Reply(status=503), False),
        ("library-4", Reply(calls=(Call("find_book", '{"author":  "Aho"}', "call_aho"),)), True),
    ):
        rows.session = session
        with serve([reply]) as server:
            client = OpenAI(
                base_url=f"{server.url}/v1",
                api_key="none",
                http_client=rows.client(httpx),
                max_retries=0,
            )
            asked: list[Any] = [{"role": "user", "content": f"About {session}?"}]
            try:
                made = client.chat.completions.create(
                    model="shelf-model", messages=asked, tools=tools, stream=stream
                )
                list(made)
            except OpenAIError as error:  # the client's own errors are part of the sample
                print(session, type(error).__name__)


def anthropic(rows: Rows) -> None:
    rows.session = "library-5"
    said: list[Any] = [{"role": "user", "content": "And by Waltari?"}]
    schema = FIND["parameters"]
    tools: list[Any] = [
        {"name": "find_book", "description": FIND["description"], "input_schema": schema}
    ]
    with serve(SHELF) as server:
        for _ in SHELF:
            client = Anthropic(base_url=server.url, api_key="none", http_client=rows.client(httpx2))
            made = client.messages.create(
                model="claude-shelf", max_tokens=200, messages=said, tools=tools
            )
            blocks = [block.model_dump(exclude_none=True) for block in made.content]
            results = [
                {"type": "tool_result", "tool_use_id": b["id"], "content": "one", "is_error": False}
                for b in blocks
                if b["type"] == "tool_use"
            ]
            said = [*said, {"role": "assistant", "content": blocks}]
            said += [{"role": "user", "content": results}] if results else []


def main() -> None:
    rows = Rows()
    openai(rows)
    anthropic(rows)
    lines = "".join(json.dumps(row) + "\n" for row in rows.rows)
    (HERE / "requests.jsonl").write_text(lines, "utf-8")
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows.rows[:2]:
        held = [row.get(name) for name in COLUMNS]
        writer.writerow([json.dumps(v) if isinstance(v, (dict, list)) else v for v in held])
    (HERE / "requests.csv").write_text(text.getvalue(), "utf-8")


if __name__ == "__main__":
    main()
