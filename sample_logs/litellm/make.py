"""Makes `payloads.jsonl` with litellm 1.106.2:

    pip install litellm==1.106.2
    PYTHONPATH=sample_logs/make python sample_logs/litellm/make.py

A custom logger writes the standard logging payload of every call, success or failure, one a line.
Prices and the table of model properties are left out of the lines (they are most of their length).
`spend.jsonl` holds two of the payloads as the proxy's spend log lays them out in its table, after
the documents: messages, response and the proxy's request as JSON texts.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import litellm
from litellm.integrations.custom_logger import CustomLogger
from model_server import Call, Reply, serve
from openai import OpenAIError

HERE = Path(__file__).parent
DROPPED = (
    *("model_map_information", "cost_breakdown", "autorouter_savings_estimate"),
    "response_cost_failure_debug_info",
)
STOCK = {
    "type": "function",
    "function": {
        "name": "count_stock",
        "description": "How many of an article are on the shelf.",
        "parameters": {
            "type": "object",
            "properties": {"article": {"type": "string"}, "shelf": {"type": "integer"}},
            "required": ["article", "shelf"],
            "additionalProperties": False,
        },
    },
}
FAILED = {
    "error": {
        "message": "Failed to call a function. Please adjust your prompt.",
        "type": "invalid_request_error",
        "code": "tool_use_failed",
        "failed_generation": '{"name": "count_stock", "arguments": '
        '{"article": "nails", "shelf": }}',
    }
}
SHELF = (
    Reply(
        calls=(
            Call("count_stock", '{"article": "nails", "shelf": 3}', "call_nails"),
            Call("count_stock", '{"article":"screws","shelf":"four"}', "call_screws"),
        )
    ),
    Reply("There are 40 nails; for the screws I need a shelf number."),
    Reply(calls=(Call("count_stok", '{"article": "screws", "shelf": 4}', "call_typo"),)),
    Reply(calls=(Call("count_stock", '{"article": "screws", ', "call_half"),)),
    Reply(calls=(Call("count_stock", '{"article": "screws", "shelf": 4}', "call_screws2"),)),
    Reply("There are 7 screws."),
)
RESULTS = {
    "call_nails": "40",
    "call_screws": "error: shelf must be an integer",
    "call_typo": "error: no such tool",
    "call_half": "error: the arguments are no JSON",
    "call_screws2": "7",
}


class Keep(CustomLogger):
    """Keeps every payload."""

    def __init__(self) -> None:
        super().__init__()
        self.payloads: list[dict[str, Any]] = []

    def log_success_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        self.payloads.append(kwargs["standard_logging_object"])

    log_failure_event = log_success_event


def play(keep: Keep) -> None:
    litellm.callbacks = [keep]
    shelf()
    alone("groq", Reply(status=400, error=FAILED), "How many nails are on shelf 3?")
    alone("openai", Reply(status=429), "Are we open on Sunday?")
    alone("openai", Reply("We open at", finish="length"), "When do we open?")
    stream()


def shelf() -> None:
    """A session whose requests repeat the history."""
    said: list[Any] = [
        {"role": "system", "content": "You run the storeroom of a hardware shop."},
        {"role": "user", "content": "How many nails on shelf 3, how many screws on shelf 4?"},
    ]
    with serve(SHELF) as server:
        for _ in SHELF:
            message = ask("openai", server.url, said).choices[0].message
            said.append(message.model_dump(exclude_none=True))
            for call in message.tool_calls or ():
                result = {"role": "tool", "tool_call_id": call.id, "content": RESULTS[call.id]}
                said.append(result)
            if not message.tool_calls:
                said.append({"role": "user", "content": "And the screws?"})


def ask(provider: str, url: str, said: list[Any], **more: Any) -> Any:
    answer = litellm.completion(
        model=f"{provider}/store-model",
        messages=said,
        tools=[STOCK],
        temperature=0.2,
        api_base=f"{url}/v1",
        api_key="none",
        num_retries=0,
        max_retries=0,
        metadata={"session_id": f"store-{provider}"},
        litellm_session_id="store-1" if len(said) > 1 else None,
        **more,
    )
    if not more:
        time.sleep(0.3)
    return answer


def alone(provider: str, reply: Reply, text: str) -> None:
    with serve([reply]) as server:
        try:
            ask(provider, server.url, [{"role": "user", "content": text}])
        except OpenAIError as error:  # the writer's own errors are part of the sample
            print(provider, type(error).__name__)
        time.sleep(0.5)


def stream() -> None:
    calls = (Call("count_stock", '{"article":  "glue", "shelf": 1}', "call_glue"),)
    with serve([Reply(calls=calls)]) as server:
        said = [{"role": "user", "content": "Is there glue on shelf 1?"}]
        for _ in ask("openai", server.url, said, stream=True):
            pass
        time.sleep(0.5)


IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{64}")


def main() -> None:
    keep = Keep()
    play(keep)
    time.sleep(1)
    rows = [{k: v for k, v in p.items() if k not in DROPPED} for p in keep.payloads]
    write("payloads.jsonl", rows)
    write("spend.jsonl", [spend(rows[0]), spend(rows[1]), {**spend(rows[2]), "messages": "{}"}])


def spend(row: dict[str, Any]) -> dict[str, Any]:
    """A payload as the columns of the spend log that hold what was said."""
    kept = ("call_type", "model", "prompt_tokens", "completion_tokens", "status", "startTime")
    offered = {"model": row["model"], "messages": row["messages"], **row["model_parameters"]}
    empty = row["prompt_tokens"] is None
    return {
        "request_id": f"spend-{row['id']}",
        "session_id": "store-spend",
        **{key: row[key] for key in kept},
        "messages": json.dumps(row["messages"]),
        "response": "{}" if empty else json.dumps(row["response"]),
        "proxy_server_request": json.dumps(offered),
        "metadata": json.dumps({"status": row["status"]}),
        "request_tags": "[]",
        "spend": 0.0,
    }


def write(name: str, rows: list[dict[str, Any]]) -> None:
    seen: dict[str, str] = {}
    text = "".join(json.dumps(row, default=str) + "\n" for row in rows)
    text = IDS.sub(lambda m: seen.setdefault(m[0], f"id-{len(seen) + 1:04d}"), text)
    text = re.sub(r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:8000", text)
    text = re.sub(r"/[\w./-]*/site-packages/", "/home/ada/venv/site-packages/", text)
    (HERE / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
